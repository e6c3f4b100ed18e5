import assert from 'node:assert/strict';
import { parseCidr4 } from '#address/cidr4.js';
import { parseCidr } from '#address/ip.js';
import { historyMax } from '#ipam/limits.js';
import type { Overlay } from '#ipam/network.js';
import { agentFlow, flowWords, type HistoryFlow } from '#ipam/space/agent-flow.js';
import { type FullForecast, outlook } from '#ipam/space/outlook.js';
import { overlay, PlanUnderTest } from '#ipam/testing/plan-under-test.js';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const windowMs = 30 * dayMs;
const quarantineMs = 900_000;
/** 16 blocks. */
const small = overlay('dcos', '9.0.0.0/24', 28);

/** A plan in which an agent arrives every six hours. */
function growing(
  arrivals: number,
  overlays: readonly Overlay[] = [small],
  vtepSubnet = '44.128.0.0/20',
): PlanUnderTest {
  const plan = new PlanUnderTest({ quarantineMs, vtepSubnet: parseCidr4(vtepSubnet) }, overlays);
  for (let number = 0; number < arrivals; number++) {
    plan.time = number * 6 * hourMs;
    plan.register(`agent-${number}`);
  }
  return plan;
}

function flowOf(plan: PlanUnderTest): HistoryFlow {
  const entries = plan.ipam.history({ after: 0, limit: 2 * historyMax, what: new Set(flowWords) });
  return agentFlow(entries, windowMs, 1_700_000_000_000 + plan.time) ?? assert.fail('nothing came or went');
}

function outlookOf(plan: PlanUnderTest, flow = flowOf(plan)): readonly FullForecast[] {
  return outlook(plan.ipam.usage(plan.time) ?? assert.fail('no usage'), quarantineMs, flow);
}

describe('the outlook', () => {
  it('says when an overlay is full, if agents go on to arrive as they did', () => {
    const plan = growing(12);
    assert.deepEqual(flowOf(plan), { arrivals: 12, departures: 0, spanMs: 66 * hourMs, lateArrivals: 6 });
    // Four blocks are left, and 12 agents in 66 hours are one in 5.5.
    assert.deepEqual(outlookOf(plan), [{ overlay: 'dcos', family: 4, fullInMs: 22 * hourMs }]);
  });

  it('counts departures, and names each family', () => {
    const plan = growing(12, [overlay('dcos', '9.0.0.0/24', 28, 'fd01:b::/76', 80)]);
    for (const id of ['agent-0', 'agent-1', 'agent-2']) plan.release(id);
    plan.time += hourMs;
    const { arrivals, departures } = flowOf(plan);
    assert.deepEqual([arrivals, departures], [12, 3]);
    assert.deepEqual(
      outlookOf(plan).map(({ overlay: name, family }) => [name, family]),
      [
        ['dcos', 4],
        ['dcos', 6],
      ],
    );
  });

  it('names the VTEP subnet where that is full first: no agent arrives after that', () => {
    const plan = growing(12, [small], '44.128.0.0/28');
    assert.deepEqual(outlookOf(plan), [{ overlay: undefined, family: 4, fullInMs: 11 * hourMs }]);
  });

  it('says nothing that the history does not bear out', () => {
    const plan = growing(12);
    const flow = flowOf(plan);
    const cases: readonly (readonly [string, Partial<HistoryFlow>])[] = [
      ['fewer than ten arrivals may be chance', { arrivals: 9 }],
      ['less than a day', { spanMs: dayMs - 1 }],
      ['all were set up at once, and no more came', { lateArrivals: 3 }],
      ['as many depart as arrive', { departures: 12 }],
    ];
    for (const [why, other] of cases) assert.deepEqual(outlookOf(plan, { ...flow, ...other }), [], why);
    const larger = growing(12, [overlay('dcos', '9.0.0.0/22', 28)]);
    assert.deepEqual(outlookOf(larger), [], 'beyond three times the history');
    assert.equal(outlookOf(larger, { ...flow, arrivals: 24, lateArrivals: 12 }).length, 1);
  });

  it('leaves out an overlay that is full already, or that does not allocate', () => {
    assert.deepEqual(outlookOf(growing(16)), []);
    const plan = growing(12);
    plan.run({ kind: 'update-overlay', name: 'dcos', enabled: false });
    assert.deepEqual(outlookOf(plan), []);
  });

  it('ends after 100,000 arrivals and departures of all spaces, and after a year', () => {
    const free = (blocks: bigint, flow: HistoryFlow): number => {
      const { overlays } = growing(12).ipam.usage(0) ?? assert.fail('no usage');
      const pool = { held: 0n, reserved: 0n, excluded: 0n, quarantined: 0n, free: blocks, total: blocks };
      const usage = { vtep: { ...pool, free: 1_000_000n, total: 1_000_000n }, overlays };
      const filled = { ...usage, overlays: overlays.map((each) => ({ ...each, v4: pool })) };
      return outlook(filled, quarantineMs, flow).length;
    };
    const many = { arrivals: 100_000, departures: 0, spanMs: dayMs, lateArrivals: 50_000 };
    assert.deepEqual([free(49_000n, many), free(51_000n, many)], [1, 0], 'of two spaces');
    const long = { arrivals: 200, departures: 0, spanMs: 200 * dayMs, lateArrivals: 100 };
    assert.deepEqual([free(364n, long), free(366n, long)], [1, 0]);
  });

  it('names the space first that is full first', () => {
    const larger = overlay('a-larger', '9.9.0.0/24', 28);
    const plan = growing(12, [larger, small]);
    plan.run({ kind: 'exclude', overlay: 'dcos', subnet: parseCidr('9.0.0.240/28') });
    const names = outlookOf(plan).map(({ overlay: name }) => name);
    assert.deepEqual(names, ['dcos', 'a-larger']);
  });

  it('finds nothing where no agent came or went, and less than was asked for where the history is short', () => {
    const plan = new PlanUnderTest();
    const entries = plan.ipam.history({ after: 0, limit: 10 });
    assert.equal(agentFlow(entries, windowMs, 0), undefined);
    const long = growing(12);
    const day = agentFlow(long.ipam.history({ after: 0, limit: 100 }), dayMs, 1_700_000_000_000 + long.time);
    assert.deepEqual(day, { arrivals: 5, departures: 0, spanMs: dayMs, lateArrivals: 3 });
  });
});
