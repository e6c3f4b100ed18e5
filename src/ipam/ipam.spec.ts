import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseCidr4, subnetCount4 } from '#address/cidr4.js';
import { parseCidr6, subnetCount6 } from '#address/cidr6.js';
import { formatCidr, formatIp, parseCidr, parseIp } from '#address/ip.js';
import { ipv4, parseIpv4 } from '#address/ipv4.js';
import { ipv6 } from '#address/ipv6.js';
import { formatMac } from '#address/mac.js';
import type { Agent } from '#ipam/agent.js';
import type { Action, HeldLease, Register } from '#ipam/command.js';
import { encodeCommand } from '#ipam/command-codec.js';
import { parseAgentId, parseInstanceId } from '#ipam/identity.js';
import { Ipam } from '#ipam/ipam.js';
import type { Overlay } from '#ipam/network.js';
import { everything, overlay, PlanUnderTest } from '#ipam/plan-under-test.js';
import { RecordError } from '#ipam/wire.js';

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

describe('the plan as a reader sees it', () => {
  it('lists agents page by page in order of id', () => {
    const plan = new PlanUnderTest();
    for (const n of [3, 1, 2, 0]) plan.register(`a${n}`);
    const pages = [undefined, 'a1', 'a3'].map((after) =>
      plan.ipam.agentsAfter(after === undefined ? undefined : parseAgentId(after), 2),
    );
    assert.deepEqual(
      pages.map((page) => page.map((agent) => agent.agentId)),
      [['a0', 'a1'], ['a2', 'a3'], []],
    );
    assert.deepEqual(
      [...plan.ipam.leases()].map((lease) => lease.agentId),
      ['a0', 'a1', 'a2', 'a3'],
    );
  });

  it('tells whose an address is', () => {
    const plan = new PlanUnderTest({}, [overlay('dcos', '9.0.0.0/8', 24), overlay('six', 'fd01:b::/64', 80)]);
    plan.register('a0');
    plan.register('a1');
    plan.release('a1');
    plan.run({ kind: 'reserve', overlay: 'dcos', subnet: parseCidr('9.0.7.0/24'), agentId: parseAgentId('vip') });
    const found = (ip: string) => {
      const answer = plan.ipam.lookup(parseIp(ip), plan.time);
      const { ip: _, ...rest } = { ...answer, ...('subnet' in answer && { subnet: formatCidr(answer.subnet) }) };
      return rest;
    };
    const dcos = { kind: 'overlay', overlay: 'dcos' };
    const vtep = { kind: 'vtep', subnet: '44.128.0.0/20' };
    assert.deepEqual(found('9.0.0.127'), {
      ...dcos,
      subnet: '9.0.0.0/24',
      state: 'held',
      agentId: 'a0',
      bridge: 'm-dcos',
    });
    assert.deepEqual(found('9.0.0.128'), {
      ...dcos,
      subnet: '9.0.0.0/24',
      state: 'held',
      agentId: 'a0',
      bridge: 'd-dcos',
    });
    assert.deepEqual(found('9.0.1.1'), {
      ...dcos,
      subnet: '9.0.1.0/24',
      state: 'quarantined',
      agentId: undefined,
      bridge: 'm-dcos',
    });
    assert.deepEqual(found('9.0.7.1'), {
      ...dcos,
      subnet: '9.0.7.0/24',
      state: 'reserved',
      agentId: 'vip',
      bridge: 'm-dcos',
    });
    assert.deepEqual(found('9.255.0.1'), {
      ...dcos,
      subnet: '9.255.0.0/24',
      state: 'free',
      agentId: undefined,
      bridge: 'm-dcos',
    });
    assert.deepEqual(found('fd01:b::8000:0:1'), {
      ...{ kind: 'overlay', overlay: 'six', subnet: 'fd01:b::/80', state: 'held', agentId: 'a0', bridge: 'd-six' },
    });
    assert.deepEqual(found('44.128.0.1'), { ...vtep, state: 'held', agentId: 'a0' });
    assert.deepEqual(found('44.128.0.0'), { ...vtep, state: 'excluded', agentId: undefined });
    assert.deepEqual(found('44.128.15.255'), { ...vtep, state: 'excluded', agentId: undefined });
    assert.deepEqual(found('fd01:a::1'), { ...vtep, subnet: 'fd01:a::/64', state: 'held', agentId: 'a0' });
    assert.deepEqual(found('fd01:a::1:0:0:1'), {
      ...vtep,
      subnet: 'fd01:a::/64',
      state: 'excluded',
      agentId: undefined,
    });
    assert.deepEqual(found('10.0.0.1'), { kind: 'node', agentId: 'a0' });
    assert.deepEqual(found('192.0.2.1'), { kind: 'unknown' });
    assert.deepEqual(found('2001:db8::1'), { kind: 'unknown' });
  });

  it('names whom a registration depends on', () => {
    const plan = new PlanUnderTest();
    plan.register('a0');
    plan.register('a1');
    const names = (request: Register) => plan.ipam.holdersConcerned(request).map((lease) => lease.agentId);
    assert.deepEqual(names(plan.request('a0')), []);
    assert.deepEqual(names(plan.request('a0', { instance: 'other' })), ['a0']);
    assert.deepEqual(names(plan.request('a0', { instance: 'other', node: '10.0.0.2' })), ['a0', 'a1']);
    assert.deepEqual(names(plan.request('new', { node: '10.0.0.2' })), ['a1']);
  });
});

describe('a command', () => {
  it('with another expected_revision than the plan has is aborted', () => {
    const plan = new PlanUnderTest();
    const disable = { kind: 'update-overlay', name: 'dcos', enabled: false } as const;
    const refusal = plan.refused(disable, { expectedRevision: 7 });
    assert.deepEqual([refusal.code, refusal.field], ['aborted', 'expected_revision']);
    assert.match(refusal.message, /expected_revision 7: the plan is at revision 1/);
    plan.run(disable, { expectedRevision: 1 });
  });

  it('with a status that says nothing new changes nothing; one that does concerns no peer', () => {
    const plan = new PlanUnderTest();
    const { epoch } = plan.register('a0');
    const report = (status: 'ok' | 'failed', error = '', name = 'dcos') =>
      ({
        kind: 'report-status',
        agentId: parseAgentId('a0'),
        epoch,
        overlays: [{ overlay: name, status, error }],
      }) as const;
    const { events } = plan.run(report('failed', 'no Docker'));
    assert.deepEqual(
      events.map((event) => event.kind === 'agent-changed' && event.statusOnly),
      [true],
    );
    assert.deepEqual(
      plan.agent('a0').overlays.map(({ status, error }) => [status, error]),
      [['failed', 'no Docker']],
    );
    plan.run(report('ok', 'left over'));
    assert.deepEqual(
      plan.agent('a0').overlays.map(({ status, error }) => [status, error]),
      [['ok', '']],
    );
    const { result } = plan.run(report('ok'));
    assert.deepEqual(result, { kind: 'done', revision: 4, changed: false });
    assert.equal(plan.refused(report('ok', '', 'nope')).code, 'not-found');
    assert.match(plan.refused(report('failed', 'x'.repeat(1025))).message, /1025 characters: at most 1024/);
  });

  for (const [what, change, field] of [
    ['an unspecified node address', { node: '0.0.0.0' }, 'node_ip'],
    ['a multicast node address', { node: '224.0.0.1' }, 'node_ip'],
    ['the broadcast address', { node: '255.255.255.255' }, 'node_ip'],
    ['an IPv6 multicast node address', { node: 'ff02::1' }, 'node_ip'],
    ['a mapped node address', { node: '::ffff:10.0.0.1' }, 'node_ip'],
    ['a long hostname', { hostname: 'h'.repeat(254) }, 'hostname'],
    ['a small overlay MTU', { networkConfig: { ...everything, overlayMtu: 1279 } }, 'network_config.overlay_mtu'],
    ['a large overlay MTU', { networkConfig: { ...everything, overlayMtu: 65_536 } }, 'network_config.overlay_mtu'],
  ] as const) {
    it(`to register with ${what} is refused, naming the field`, () => {
      const plan = new PlanUnderTest();
      const refusal = plan.refused(plan.request('a0', change));
      assert.deepEqual([refusal.code, refusal.field], ['invalid-argument', field]);
    });
  }

  it('that names an id with other characters than allowed is never made', () => {
    for (const id of ['', 'a b', 'ä', 'a/b', 'x'.repeat(254)]) assert.throws(() => parseAgentId(id), /agent_id/);
    assert.throws(() => parseInstanceId('x'.repeat(65)), /instance_id .* has 65 characters: 1 to 64/);
  });

  it('is applied once and in order, on a clock that does not go back', () => {
    const plan = new PlanUnderTest();
    const command = { kind: 'begin-adoption', wallTime: 0, by: '' } as const;
    assert.throws(() => plan.ipam.apply(command, { index: 1, time: 0 }), /index 1 does not follow revision 1/);
    plan.ipam.apply(command, { index: 2, time: 10 });
    assert.throws(() => plan.ipam.apply(command, { index: 3, time: 9 }), /cluster time went back/);
  });
});

describe('records', () => {
  const stored = () => {
    const plan = new PlanUnderTest();
    plan.register('a0');
    plan.release('a0');
    plan.register('a1');
    return plan.ipam.records();
  };

  it('that are damaged, missing or out of order are no plan', () => {
    const records = stored();
    const [first, ...rest] = records;
    assert.ok(first);
    assert.throws(() => Ipam.restore([...rest, first]), RecordError);
    assert.throws(() => Ipam.restore([[first[0], new Uint8Array([0xff])]]), RecordError);
    assert.throws(() => Ipam.restore([[new Uint8Array([2]), first[1]]]), /under the key of another/);
    const command = encodeCommand({ kind: 'begin-adoption', wallTime: 0, by: '' });
    assert.throws(() => Ipam.restore([[new Uint8Array([1]), command]]), RecordError);
    // Without its overlay, what an agent holds of it makes no sense.
    assert.throws(() => Ipam.restore(records.filter(([key]) => key[0] !== 3)), /not there/);
  });

  it('can be taken in one by one', () => {
    const restoration = Ipam.restoration();
    for (const [key, value] of stored()) restoration.add(key, value);
    const plan = restoration.finish();
    assert.equal(plan.agentCount, 1);
    assert.deepEqual(
      plan.records().map(([key]) => hex(key)),
      stored().map(([key]) => hex(key)),
    );
  });
});
