/**
 * Random commands over small and over vast address spaces. An account that is kept from outside, and knows nothing of
 * the pools, checks after each which agent holds what and counts the five states of every space anew; a second replica,
 * restored from the records now and then, must come to the same answers and the same hash.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseCidr4 } from '#address/cidr4.js';
import { formatCidr, formatIp } from '#address/ip.js';
import { formatMac } from '#address/mac.js';
import type { Overlay } from '#ipam/network.js';
import { PlanAccount } from '#ipam/testing/plan-account.js';
import { overlay, PlanUnderTest } from '#ipam/testing/plan-under-test.js';
import { type DraftStep, draftOverlays, draftRegister, draftStep, quarantineMs } from '#ipam/testing/random-drafts.js';
import type { FullAgent } from '#ipam/view/full-agent.js';

const run = fc.record({
  overlays: draftOverlays,
  steps: fc.array(draftStep, { minLength: 10, maxLength: 100, size: 'max' }),
});

/** Every address that an agent holds. */
function addressesOf(agent: FullAgent): readonly string[] {
  const subnets = agent.overlays
    .flatMap(({ subnet, subnet6 }) => [subnet, subnet6])
    .filter((subnet) => subnet !== undefined);
  return [`vtep ${formatIp(agent.vxlan.vtepIp.address)}`, ...subnets.map(formatCidr)];
}

/** What the plan shows of its agents: never in two hands. */
function oneHolderEach(agents: readonly FullAgent[]): void {
  const unique = (what: string, values: readonly string[]) =>
    assert.equal(new Set(values).size, values.length, `${what} in two hands: ${values}`);
  unique('addresses', agents.flatMap(addressesOf));
  unique(
    'MACs',
    agents.map(({ vxlan }) => formatMac(vxlan.vtepMac)),
  );
  unique(
    'node addresses',
    agents.filter(({ reachable }) => reachable).map(({ nodeIp }) => formatIp(nodeIp)),
  );
  assert.ok(new Set(agents.map(({ nodeIp }) => typeof nodeIp)).size <= 1, 'two underlay families');
}

type Run = { readonly overlays: readonly Overlay[]; readonly steps: readonly DraftStep[] };

/** Runs random commands on a plan and on a second replica that is restored now and then. Returns what they brought about. */
function play({ overlays: given, steps }: Run): ReadonlySet<string> {
  const settings = { vtepSubnet: parseCidr4('44.128.0.0/28'), quarantineMs, reclaimMs: 60_000 };
  const plan = new PlanUnderTest(settings, given);
  const account = new PlanAccount(settings, given);
  let second = plan.restored();
  for (const { draft, wait, restore } of steps) {
    plan.time += wait;
    const action = draft(plan);
    const before = plan.ipam.hash();
    const command = { wallTime: 1_700_000_000_000 + plan.time, by: '', ...action };
    const preview = plan.ipam.preview(command, plan.time);
    assert.equal(plan.ipam.hash(), before);
    const outcome = plan.try(action);
    assert.deepEqual(second.apply(command, { index: plan.index, time: plan.time }), outcome);
    const changed = outcome.result.kind !== 'refused' && outcome.result.changed;
    assert.equal(plan.ipam.hash() !== before, changed);
    assert.deepEqual(
      preview,
      outcome.result.kind === 'refused' ? outcome.result : { kind: 'accepted', changes: changed },
    );
    assert.equal(outcome.changes.length > 0, changed);
    const keys = outcome.changes.map(({ key }) => Buffer.from(key).toString('hex'));
    assert.equal(new Set(keys).size, keys.length, 'a record changed twice');
    assert.equal(second.hash(), plan.ipam.hash());
    if (restore) second = plan.restored();
    assert.equal(second.hash(), plan.ipam.hash());
    account.take(action, outcome, plan.time);
    account.compare(plan.ipam, plan.time);
    assert.deepEqual(second.usage(plan.time), plan.ipam.usage(plan.time));
    oneHolderEach(plan.ipam.agentsAfter(undefined, 1000));
  }
  const stored = [...plan.store].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, [key, value]]) => [hex(key), hex(value)]);
  assert.deepEqual(
    plan.ipam.records().map(([key, value]) => [hex(key), hex(value)]),
    stored,
  );
  account.compare(second, plan.time);
  return account.seen;
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** What sixty runs must come by, or they would show little. */
const wanted = [
  ...['held', 'reserved', 'excluded', 'quarantined', 'free'].flatMap((state) => [`${state} IPv4`, `${state} IPv6`]),
  ...[
    'gave free',
    'gave reserved',
    'gave reserved for a node',
    'gave quarantined',
    'exhausted overlay',
    'exhausted vtep',
  ],
  ...['register', 'leave', 'expire', 'report-status'].map((kind) => `fenced ${kind}`),
];

describe('the plan, over random commands', () => {
  it('keeps every address in one hand, respects rest and reservation, counts every block, and restores to the same state', () => {
    fc.assert(
      fc.property(run, (scene) => void play(scene)),
      { numRuns: 120 },
    );
  });

  it('does so for a fixed seed, which reaches every state and every way to be granted or refused a block', () => {
    const seen = new Set<string>();
    const cuts = new Set<string>();
    fc.assert(
      fc.property(run, (scene) => {
        for (const one of play(scene)) seen.add(one);
        for (const { v4 } of scene.overlays) if (v4) cuts.add(`/${v4.subnet.prefix} to /${v4.prefix}`);
      }),
      { numRuns: 60, seed: 42 },
    );
    assert.deepEqual(
      wanted.filter((one) => !seen.has(one)),
      [],
    );
    assert.ok(cuts.has('/8 to /24'));
  });

  it('answers a copy of the last registration as before, whatever came in between', () => {
    const scene = fc.record({ before: fc.array(draftStep, { maxLength: 15, size: 'max' }), ask: draftRegister });
    fc.assert(
      fc.property(scene, ({ before, ask }) => {
        const plan = new PlanUnderTest({ reclaimMs: 60_000 }, [
          overlay('x', '9.0.0.0/22', 24),
          overlay('y', '10.0.0.0/24', 26),
        ]);
        for (const { draft } of before) plan.try(draft(plan));
        const request = ask(plan);
        const first = plan.try(request);
        if (first.result.kind !== 'registered') return;
        const again = { ...request, holders: [] };
        const { result, events } = plan.try(again);
        assert.deepEqual(result, { ...first.result, changed: false });
        assert.deepEqual(events, []);
      }),
      { numRuns: 200 },
    );
  });
});
