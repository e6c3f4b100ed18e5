import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseCidr4 } from '#address/cidr4.js';
import { parseCidr } from '#address/ip.js';
import { parseAgentId } from '#ipam/identity.js';
import type { Overlay } from '#ipam/network.js';
import {
  type BlockCounts,
  CapacityModel,
  type CapacityStart,
  forecastCapacity,
  unusedCounts,
} from '#ipam/space/capacity.js';
import type { PoolUsage } from '#ipam/space/usage.js';
import { overlay, PlanUnderTest } from '#ipam/testing/plan-under-test.js';

const dayMs = 86_400_000;

function countsOf({ held, reserved, excluded, quarantined, free, total }: PoolUsage): BlockCounts {
  const [h, r, e, q, f, t] = [held, reserved, excluded, quarantined, free, total].map(Number);
  return { held: h ?? 0, reserved: r ?? 0, excluded: e ?? 0, quarantined: q ?? 0, free: f ?? 0, total: t ?? 0 };
}

/** The plan and the model of it, which take the same steps. */
class CapacityPair {
  readonly plan: PlanUnderTest;
  readonly model: CapacityModel;
  readonly agents: string[] = [];
  #next = 0;

  constructor(overlays: readonly Overlay[], quarantineMs: number, agents: number) {
    this.plan = new PlanUnderTest({ quarantineMs, vtepSubnet: parseCidr4('44.128.0.0/28') }, overlays);
    this.plan.run({ kind: 'exclude', overlay: undefined, subnet: parseCidr('44.128.0.3/32') });
    this.plan.run({ kind: 'exclude', overlay: 'a', subnet: parseCidr('9.0.0.64/27') });
    this.plan.run({
      kind: 'reserve',
      overlay: 'a',
      subnet: parseCidr('9.0.0.16/28'),
      agentId: parseAgentId('another'),
    });
    for (let count = 0; count < agents; count++) this.#inPlan('arrive');
    this.model = new CapacityModel(this.start);
  }

  get start(): CapacityStart {
    const { vtep, overlays } = this.usage;
    const { agentCount } = this.plan.ipam;
    return { quarantineMs: this.plan.ipam.network?.quarantineMs ?? 0, agents: agentCount, vtep, overlays };
  }

  get usage() {
    const usage = this.plan.ipam.usage(this.plan.time) ?? assert.fail('no network');
    return {
      vtep: countsOf(usage.vtep),
      overlays: usage.overlays.map(({ v4, v6 }) => [v4, v6].filter((each) => each !== undefined).map(countsOf)),
    };
  }

  /** @returns whether the agent was admitted, or there was one that departed */
  #inPlan(step: CapacityStep): boolean {
    if (step === 'arrive') {
      const id = `n-${this.#next++}`;
      const { result } = this.plan.try(this.plan.request(id));
      if (result.kind === 'refused') assert.equal(result.code, 'resource-exhausted');
      else this.agents.push(id);
      return result.kind !== 'refused';
    }
    if (step !== 'depart') {
      this.plan.time += step;
      return true;
    }
    const oldest = this.agents.shift();
    if (oldest !== undefined) this.plan.release(oldest);
    return oldest !== undefined;
  }

  take(step: CapacityStep, since: number): void {
    const happened = this.#inPlan(step);
    const time = this.plan.time - since;
    if (step === 'arrive') assert.equal(this.model.arrive(time), happened);
    if (step === 'depart') assert.equal(this.model.depart(time), happened);
    const { agents, vtep, overlays } = this.model.forecast(time);
    assert.equal(agents, this.agents.length);
    assert.deepEqual(
      { vtep: vtep?.end, overlays: overlays.map(({ families }) => families.map(({ end }) => end)) },
      this.usage,
    );
  }
}

type CapacityStep = 'arrive' | 'depart' | number;

const step: fc.Arbitrary<CapacityStep> = fc.oneof(
  { arbitrary: fc.constant('arrive' as const), weight: 4 },
  { arbitrary: fc.constant('depart' as const), weight: 2 },
  { arbitrary: fc.integer({ min: 1, max: 60 }), weight: 2 },
);

/** The first one has 8 pieces less 2 excluded and 1 reserved; the second one has 4 and, of IPv6, 16. */
const overlays = [overlay('a', '9.0.0.0/25', 28), overlay('b', '11.0.0.0/26', 28, 'fd01:b::/64', 68)];

describe('the capacity of a plan', () => {
  it('develops as the allocator has it, step by step', () => {
    fc.assert(
      fc.property(
        fc.nat(15),
        fc.array(step, { maxLength: 80, size: 'max' }),
        fc.constantFrom(0, 20, 100),
        (before, steps, quarantineMs) => {
          const pair = new CapacityPair(overlays, quarantineMs, before);
          const since = pair.plan.time;
          for (const next of steps) pair.take(next, since);
        },
      ),
      { numRuns: 100 },
    );
  });

  const empty = (total: number): BlockCounts => ({
    held: 0,
    reserved: 0,
    excluded: 0,
    quarantined: 0,
    free: total,
    total,
  });

  it('is used up by the rates, and says when', () => {
    const start = { quarantineMs: 0, agents: 0, vtep: empty(1_000), overlays: [[empty(100)], [empty(500)]] };
    const { agents, refused, vtep, overlays } = forecastCapacity(start, 40, { arrivals: 20, departures: 0 }, 30);
    assert.deepEqual([agents, refused, vtep?.fullAt], [640, 0, undefined]);
    assert.deepEqual(
      overlays.map(({ without, families }) => [without, families[0]?.fullAt]),
      [
        [540, 3 * dayMs],
        [140, 23 * dayMs],
      ],
    );
  });

  it('is used up by the quarantine alone when as many arrive as depart', () => {
    const start = (quarantineDays: number): CapacityStart => ({
      quarantineMs: quarantineDays * dayMs,
      agents: 50,
      vtep: undefined,
      overlays: [[{ ...empty(100), held: 50, free: 50 }]],
    });
    const flow = { arrivals: 10, departures: 10 };
    const brief = forecastCapacity(start(4), 0, flow, 100).overlays[0];
    const long = forecastCapacity(start(6), 0, flow, 100).overlays[0];
    assert.deepEqual([brief?.without, brief?.families[0]?.fullAt], [0, undefined]);
    assert.deepEqual([brief?.families[0]?.end.held, brief?.families[0]?.end.quarantined], [50, 40]);
    assert.equal(long?.families[0]?.fullAt, 5 * dayMs);
    assert.ok((long?.without ?? 0) > 0);
  });

  it('has a departure before an arrival of the same time', () => {
    const held = { ...empty(1), held: 1, free: 0 };
    const start = { quarantineMs: 0, agents: 1, vtep: held, overlays: [[held]] };
    const { refused, agents, overlays } = forecastCapacity(start, 0, { arrivals: 1, departures: 1 }, 9);
    assert.deepEqual([refused, agents, overlays[0]?.without], [0, 1, 0]);
  });

  it('refuses agents that the VTEP subnet has no address for, and gives them no block', () => {
    const start = { quarantineMs: dayMs, agents: 0, vtep: empty(5), overlays: [[empty(100)]] };
    const { agents, refused, vtep, overlays } = forecastCapacity(start, 8, { arrivals: 0, departures: 0 }, 1);
    assert.deepEqual([agents, refused, vtep?.fullAt, overlays[0]?.families[0]?.end.held], [5, 3, 0, 5]);
  });

  it('holds what is quarantined at the start for one quarantine more', () => {
    const full = { ...empty(10), quarantined: 10, free: 0 };
    const start = { quarantineMs: 2 * dayMs, agents: 0, vtep: undefined, overlays: [[full]] };
    const { overlays } = forecastCapacity(start, 0, { arrivals: 1, departures: 0 }, 3);
    assert.deepEqual([overlays[0]?.without, overlays[0]?.families[0]?.end], [1, { ...empty(10), held: 2, free: 8 }]);
  });

  it('forgets what has come out of quarantine, and counts on', () => {
    const start = { quarantineMs: dayMs / 2, agents: 0, vtep: undefined, overlays: [[empty(3_000)]] };
    const { overlays, agents } = forecastCapacity(start, 0, { arrivals: 2_000, departures: 2_000 }, 5);
    const end = overlays[0]?.families[0]?.end;
    assert.deepEqual([end?.held, end?.quarantined, end?.free], [agents, 1_000, 2_000 - agents]);
  });

  const range = fc.tuple(fc.nat(15), fc.integer({ min: 24, max: 28 })).map(([block, prefix]) => {
    const first = (block * 16) & (0xff << (32 - prefix));
    return parseCidr(`9.0.0.${first & 0xff}/${prefix}`);
  });

  it('counts what is set aside as the plan does', () => {
    fc.assert(
      fc.property(fc.array(range, { maxLength: 6 }), fc.array(fc.nat(15), { maxLength: 6 }), (excluded, blocks) => {
        const plan = new PlanUnderTest({}, [overlay('a', '9.0.0.0/24', 28)]);
        const reserved = blocks.map((block) => parseCidr(`9.0.0.${block * 16}/28`));
        const taken = { excluded: [...excluded], reserved: [...reserved] };
        // The plan refuses what overlaps: of that, the model counts each block once.
        taken.excluded = excluded.filter(
          (subnet) => plan.try({ kind: 'exclude', overlay: 'a', subnet }).result.kind !== 'refused',
        );
        taken.reserved = reserved.filter((subnet, at) => {
          const agentId = parseAgentId(`agent-${at}`);
          return plan.try({ kind: 'reserve', overlay: 'a', subnet, agentId }).result.kind !== 'refused';
        });
        const usage = plan.ipam.usage(0)?.overlays[0]?.v4 ?? assert.fail('no overlay');
        assert.deepEqual(unusedCounts(parseCidr('9.0.0.0/24'), 28, taken), countsOf(usage));
      }),
      { numRuns: 100 },
    );
  });

  it('counts each block once that an exclusion of another prefix touches, and one block for a reservation', () => {
    const excluded = ['9.0.0.0/29', '9.0.0.8/29', '9.0.0.64/26', '9.0.0.96/28'].map(parseCidr);
    const reserved = ['9.0.0.16/29', '9.0.0.24/29', '9.0.0.128/26', '9.0.0.64/28', '9.1.0.0/28'].map(parseCidr);
    assert.deepEqual(unusedCounts(parseCidr('9.0.0.0/24'), 28, { excluded, reserved }), {
      ...empty(16),
      excluded: 5,
      reserved: 2,
      free: 9,
    });
  });

  it('counts the addresses of the VTEP subnet but the first and the last, and IPv6 to the largest safe integer', () => {
    const none = { excluded: [], reserved: [] };
    assert.equal(unusedCounts(parseCidr('44.128.0.0/28'), undefined, none).total, 14);
    const { total, free } = unusedCounts(parseCidr('fd01:b::/48'), 112, none);
    assert.deepEqual([total, free], [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER]);
  });
});
