/**
 * Random commands over small and over vast address spaces. A watcher from outside checks after each that nothing is in
 * two hands, that rest and reservation are respected and that the five states add up; a second replica, restored from
 * the records now and then, must come to the same answers and the same hash.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseCidr4, subnetCount4 } from '#address/cidr4.js';
import { parseCidr6, subnetCount6 } from '#address/cidr6.js';
import { containsIp, formatCidr, formatIp, parseCidr, parseIp } from '#address/ip.js';
import { ipv4, parseIpv4 } from '#address/ipv4.js';
import { ipv6 } from '#address/ipv6.js';
import { formatMac } from '#address/mac.js';
import type { Agent } from '#ipam/agent.js';
import type { Action, HeldLease, Register } from '#ipam/command.js';
import { parseAgentId, parseInstanceId } from '#ipam/identity.js';
import type { Overlay } from '#ipam/network.js';
import { everything, overlay, PlanUnderTest } from '#ipam/plan-under-test.js';

const quarantineMs = 900_000;
const ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
const agentId = fc.constantFrom(...ids).map(parseAgentId);

/** Few blocks or very many, in one family or both: /8 … /27 cut to at most /28, and IPv6 up to /126. */
const spaces4 = ['9.0.0.0/27 28', '9.0.0.0/26 28', '9.0.0.0/22 24', '9.0.0.0/8 28', '9.0.0.0/8 9'];
const spaces6 = ['fd01:b::/125 126', 'fd01:b::/78 80', 'fd01:b::/64 126', 'fd02::/16 126'];
const parts = (text: string) => text.split(' ');
const overlays = fc
  .record({ one: fc.constantFrom(...spaces4), two: fc.constantFrom(...spaces6), both: fc.constantFrom(0, 1, 2) })
  .map(({ one, two, both }): readonly Overlay[] => {
    if (both === 0) return [overlay('x', ...parts(one)), overlay('y', ...parts(two))];
    if (both === 1) return [overlay('x', ...parts(one), ...parts(two))];
    return [overlay('x', ...parts(one), ...parts(two)), overlay('y', '10.0.0.0/24', 26)];
  });

type Draft = (plan: PlanUnderTest) => Action;

const register: fc.Arbitrary<Draft> = fc
  .record({
    agentId,
    instance: fc.constantFrom('1', '2', '3'),
    sequence: fc.nat({ max: 4 }),
    node: fc.constantFrom('10.99.0.1', '10.99.0.2', '10.99.0.3', '10.99.0.4', '10.99.0.5', '9.0.0.1', '2001:db8::1'),
    allocateSubnet: fc.boolean(),
    enableIpv6: fc.boolean(),
    takeover: fc.boolean(),
    silent: fc.boolean(),
    staleJudgement: fc.boolean(),
    held: fc.option(fc.record({ vtep: fc.nat({ max: 16 }), block: fc.nat({ max: 5 }) }), { nil: undefined }),
  })
  .map((draft) => (plan) => {
    const request: Register = {
      kind: 'register',
      agentId: draft.agentId,
      instanceId: parseInstanceId(draft.instance),
      sequence: draft.sequence,
      nodeIp: parseIp(draft.node),
      hostname: draft.agentId,
      networkConfig: { ...everything, allocateSubnet: draft.allocateSubnet, enableIpv6: draft.enableIpv6 },
      takeover: draft.takeover,
      held: draft.held && heldLease(plan, draft.held.vtep, draft.held.block),
      holders: [],
    };
    const holders = plan.ipam.holdersConcerned(request).map(({ agentId: id }) => {
      const judgement = plan.judge(id, draft.silent, 40);
      return { ...judgement, epoch: judgement.epoch - (draft.staleJudgement ? 1 : 0) };
    });
    return { ...request, holders };
  });

function heldLease(plan: PlanUnderTest, vtep: number, block: number): HeldLease {
  const vtepIp = parseIpv4(`44.128.0.${vtep}`);
  const subnets = (plan.ipam.network?.overlays ?? []).flatMap(({ name, v4 }) => {
    if (v4 === undefined) return [];
    const subnet = parseCidr4(`${formatIp(v4.subnet.address).replace(/\d+$/, '')}${(block * 16) % 256}/28`);
    return [{ overlay: name, subnet, subnet6: undefined }];
  });
  return { vtepIp, subnets };
}

/** A piece of an overlay that some agent has or might get. */
function piece(plan: PlanUnderTest, n: number, width: number): Extract<Action, { kind: 'exclude' }> {
  const all = plan.ipam.network?.overlays ?? [];
  const { name, v4, v6 } = all[n % Math.max(1, all.length)] ?? overlay('none', '9.0.0.0/24', 26);
  if (n % 5 === 0)
    return { kind: 'exclude', overlay: undefined, subnet: parseCidr(`44.128.0.${(n % 4) * 4}/${32 - (width % 3)}`) };
  const choice = v4 !== undefined && (v6 === undefined || n % 2 === 0) ? v4 : (v6 ?? v4);
  if (choice === undefined) return { kind: 'exclude', overlay: name, subnet: parseCidr('9.0.0.0/28') };
  const prefix = Math.max(choice.subnet.prefix, choice.prefix - (width % 3));
  const size = typeof choice.subnet.address === 'number' ? 32 : 128;
  const count = 2n ** BigInt(Math.min(3, prefix - choice.subnet.prefix));
  const start = BigInt(choice.subnet.address) + ((BigInt(n) % count) << BigInt(size - prefix));
  const text = formatIp(size === 32 ? ipv4(Number(start)) : ipv6(start));
  return { kind: 'exclude', overlay: name, subnet: parseCidr(`${text}/${prefix}`) };
}

const other: fc.Arbitrary<Draft> = fc.oneof(
  agentId.map(
    (id): Draft =>
      (plan) => ({ kind: 'leave', agentId: id, epoch: plan.ipam.lease(id)?.epoch ?? 1 }),
  ),
  agentId.map(
    (id): Draft =>
      (plan) => ({ kind: 'expire', agentId: id, epoch: plan.ipam.lease(id)?.epoch ?? 1 }),
  ),
  fc.uniqueArray(agentId, { minLength: 1, maxLength: 3 }).map(
    (agentIds): Draft =>
      () => ({ kind: 'release', agentIds, force: true, holders: [] }),
  ),
  fc.tuple(agentId, fc.nat(50), fc.nat(3)).map(
    ([id, n, width]): Draft =>
      (plan) => ({ ...piece(plan, n, width === 3 ? 1 : 0), kind: 'reserve', agentId: id }),
  ),
  fc.nat(50).map(
    (n): Draft =>
      (plan) => ({ ...piece(plan, n, 0), kind: 'unreserve' }),
  ),
  fc.tuple(fc.nat(50), fc.nat(3)).map(
    ([n, width]): Draft =>
      (plan) =>
        piece(plan, n, width),
  ),
  fc.nat(9).map(
    (n): Draft =>
      (plan) => {
        const all = plan.ipam.exclusions();
        return { kind: 'unexclude', ...(all[n % Math.max(1, all.length)] ?? piece(plan, n, 0)) };
      },
  ),
  fc.tuple(agentId, fc.constantFrom('ok' as const, 'failed' as const)).map(
    ([id, status]): Draft =>
      (plan) => ({
        kind: 'report-status',
        agentId: id,
        epoch: plan.ipam.lease(id)?.epoch ?? 1,
        overlays: [{ overlay: 'x', status, error: 'why' }],
      }),
  ),
  fc
    .constantFrom<Action>(
      { kind: 'update-overlay', name: 'x', enabled: false },
      { kind: 'update-overlay', name: 'x', enabled: true },
      { kind: 'update-overlay', name: 'x', subnet: parseCidr4('8.0.0.0/7') },
      { kind: 'update-overlay', name: 'y', subnet: parseCidr4('10.0.0.0/23') },
      { kind: 'update-overlay', name: 'y', subnet6: parseCidr6('fd01:b::/32') },
      { kind: 'update-network', vtepSubnet: parseCidr4('44.128.0.0/27') },
      { kind: 'update-network', quarantineMs: quarantineMs + 1 },
      { kind: 'remove-overlay', name: 'y' },
      { kind: 'add-overlay', overlay: overlay('y', '10.0.0.0/24', 26), source: 'operator' },
      { kind: 'add-overlay', overlay: overlay('z', '10.1.0.0/24', 28), source: 'config' },
      { kind: 'begin-adoption' },
      { kind: 'end-adoption' },
    )
    .map(
      (action): Draft =>
        () =>
          action,
    ),
);

type Step = { readonly draft: Draft; readonly wait: number; readonly restore: boolean };
const step: fc.Arbitrary<Step> = fc.record({
  draft: fc.oneof({ weight: 3, arbitrary: register }, { weight: 2, arbitrary: other }),
  wait: fc.constantFrom(0, 0, 1, 60_000, quarantineMs - 1, quarantineMs),
  restore: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
});

const run = fc.record({ overlays, steps: fc.array(step, { minLength: 10, maxLength: 100, size: 'max' }) });

/** Every address that an agent holds. */
function addressesOf(agent: Agent): readonly string[] {
  const subnets = agent.overlays
    .flatMap(({ subnet, subnet6 }) => [subnet, subnet6])
    .filter((subnet) => subnet !== undefined);
  return [`vtep ${formatIp(agent.vxlan.vtepIp.address)}`, ...subnets.map(formatCidr)];
}

/** Watches a plan from outside, and remembers when what was freed. */
class Watcher {
  readonly plan: PlanUnderTest;
  /** Who holds what. */
  private held = new Map<string, string>();
  /** When the rest of a freed address ends, and whose it was. */
  private readonly resting = new Map<string, { until: number; agentId: string }>();

  constructor(plan: PlanUnderTest) {
    this.plan = plan;
  }

  check(action: Action, wasAdoption: boolean): void {
    const { ipam, time } = this.plan;
    const agents = ipam.agentsAfter(undefined, 1000);
    this.oneHolderEach(agents);
    const now = new Map(
      agents.flatMap((agent) => addressesOf(agent).map((address) => [address, agent.agentId as string])),
    );
    for (const [address, holder] of now) {
      if (this.held.get(address) === holder) continue;
      const rest = this.resting.get(address);
      const early = rest !== undefined && rest.until > time && rest.agentId !== holder;
      assert.ok(!early || wasAdoption, `${address} went to ${holder} before its rest was over`);
      assert.equal(action.kind, 'register');
      assert.ok(!this.isExcluded(address), `${address} is excluded and went to ${holder}`);
      this.resting.delete(address);
    }
    for (const [address, holder] of this.held) {
      if (now.get(address) === holder) continue;
      assert.ok(!now.has(address), `${address} changed hands at once`);
      this.resting.set(address, { until: time + (ipam.network?.quarantineMs ?? 0), agentId: holder });
    }
    this.held = now;
    this.countsAddUp(agents);
    this.nothingSetAsideIsLet(agents);
  }

  /** What was held when it was excluded stays held; nobody gets it anew. */
  private isExcluded(held: string): boolean {
    const vtep = held.startsWith('vtep ');
    const address = vtep ? parseIp(held.slice('vtep '.length)) : parseCidr(held).address;
    return this.plan.ipam
      .exclusions()
      .some(({ overlay: of, subnet }) => vtep === (of === undefined) && containsIp(subnet, address));
  }

  private oneHolderEach(agents: readonly Agent[]): void {
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

  private countsAddUp(agents: readonly Agent[]): void {
    const { ipam, time } = this.plan;
    const usage = ipam.usage(time);
    assert.ok(usage);
    const pools = [usage.vtep, ...usage.overlays.flatMap(({ v4, v6 }) => [v4, v6])].filter(
      (pool) => pool !== undefined,
    );
    for (const { held, reserved, excluded, quarantined, free, total } of pools) {
      assert.equal(held + reserved + excluded + quarantined + free, total);
      assert.ok([held, reserved, excluded, quarantined, free].every((count) => count >= 0n));
    }
    for (const { overlay: of, v4, v6 } of usage.overlays) {
      const pieces = agents.flatMap((agent) => agent.overlays).filter(({ info }) => info.name === of.name);
      assert.equal(v4?.held ?? 0n, BigInt(pieces.filter(({ subnet }) => subnet).length));
      assert.equal(v6?.held ?? 0n, BigInt(pieces.filter(({ subnet6 }) => subnet6).length));
      assert.equal(v4?.total, of.v4 && BigInt(subnetCount4(of.v4.subnet, of.v4.prefix)));
      assert.equal(v6?.total, of.v6 && subnetCount6(of.v6.subnet, of.v6.prefix));
    }
    assert.equal(usage.vtep.held, BigInt(agents.length));
  }

  private nothingSetAsideIsLet(agents: readonly Agent[]): void {
    for (const { subnet, agentId: keptFor, overlay: of } of this.plan.ipam.reservations()) {
      const name = of === undefined ? `vtep ${formatIp(subnet.address)}` : formatCidr(subnet);
      const holder = agents.find((agent) => addressesOf(agent).includes(name));
      assert.ok(holder === undefined || holder.agentId === keptFor, `${name} is reserved for ${keptFor}`);
    }
  }
}

/** Runs random commands on a plan, a second replica that is restored now and then, and a watcher. */
function play({
  overlays: given,
  steps,
}: {
  readonly overlays: readonly Overlay[];
  readonly steps: readonly Step[];
}): void {
  const plan = new PlanUnderTest({ vtepSubnet: parseCidr4('44.128.0.0/28'), quarantineMs, reclaimMs: 60_000 }, given);
  const watcher = new Watcher(plan);
  let second = plan.restored();
  for (const { draft, wait, restore } of steps) {
    plan.time += wait;
    const action = draft(plan);
    const wasAdoption = plan.ipam.adoption;
    const before = plan.ipam.hash();
    const outcome = plan.try(action);
    const command = { wallTime: 1_700_000_000_000 + plan.time, by: '', ...action };
    assert.deepEqual(second.apply(command, { index: plan.index, time: plan.time }), outcome);
    const changed = outcome.result.kind !== 'refused' && outcome.result.changed;
    assert.equal(plan.ipam.hash() !== before, changed);
    assert.equal(outcome.changes.length > 0, changed);
    const keys = outcome.changes.map(({ key }) => Buffer.from(key).toString('hex'));
    assert.equal(new Set(keys).size, keys.length, 'a record changed twice');
    assert.equal(second.hash(), plan.ipam.hash());
    if (restore) second = plan.restored();
    assert.equal(second.hash(), plan.ipam.hash());
    watcher.check(action, wasAdoption);
  }
  const stored = [...plan.store].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, [key, value]]) => [hex(key), hex(value)]);
  assert.deepEqual(
    plan.ipam.records().map(([key, value]) => [hex(key), hex(value)]),
    stored,
  );
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

describe('the plan, over random commands', () => {
  it('keeps every address in one hand, respects rest and reservation, counts every block, and restores to the same state', () => {
    fc.assert(fc.property(run, play), { numRuns: 80 });
  });

  it('does so for a seed that never changes', () => {
    fc.assert(fc.property(run, play), { numRuns: 30, seed: 42 });
  });

  it('answers a copy of the last registration as before, whatever came in between', () => {
    const scene = fc.record({ before: fc.array(step, { maxLength: 15, size: 'max' }), ask: register });
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
        const { result, events } = plan.try({ ...request, ...{ holders: [] } });
        assert.deepEqual(result, { ...first.result, changed: false });
        assert.deepEqual(events, []);
      }),
      { numRuns: 200 },
    );
  });
});
