import assert from 'node:assert/strict';
import { formatCidr4, parseCidr4 } from '#address/cidr4.js';
import { formatCidr, parseCidr } from '#address/ip.js';
import { parseAgentId } from '#ipam/identity.js';
import { everything, overlay, PlanUnderTest, subnetOf } from '#ipam/testing/plan-under-test.js';

const minute = 60_000;

describe('rule 5, static stability: only a release frees, unless lease.reclaim says otherwise', () => {
  it('refuses an expiry while lease.reclaim is never', () => {
    const plan = new PlanUnderTest();
    const { epoch } = plan.register('a');
    const refusal = plan.refused({ kind: 'expire', agentId: parseAgentId('a'), epoch });
    assert.match(refusal.message, /lease\.reclaim is never/);
  });

  it('refuses a quarantine that is too short for the TTL', () => {
    const plan = new PlanUnderTest();
    const hour = 60 * minute;
    const refusal = plan.refused({ kind: 'update-network', reclaim: { ttlMs: 24 * hour } });
    assert.equal(refusal.field, 'lease.quarantine');
    assert.match(refusal.message, /at least 6h is needed/);
    plan.run({ kind: 'update-network', reclaim: { ttlMs: 24 * hour }, quarantineMs: 6 * hour });
    assert.equal(plan.ipam.network?.reclaimMs, 24 * hour);
    plan.run({ kind: 'update-network', reclaim: { ttlMs: undefined } });
    assert.equal(plan.ipam.network?.reclaimMs, undefined);
  });

  it('lengthens the TTL under agents, or takes it off, but never shortens it: an unreachable agent would not know', () => {
    const hour = 60 * minute;
    const plan = new PlanUnderTest({ reclaimMs: 24 * hour, quarantineMs: 12 * hour });
    plan.register('a');
    const update = (ttlMs: number | undefined) => ({ kind: 'update-network', reclaim: { ttlMs } }) as const;
    const shorter = plan.refused(update(23 * hour));
    assert.equal(shorter.field, 'lease.reclaim');
    assert.match(shorter.message, /from 1d to 23h while agents hold leases \(1 do\)/);
    plan.run(update(48 * hour));
    assert.match(plan.refused(update(24 * hour)).message, /from 2d to 1d/);
    plan.run(update(undefined));
    assert.match(plan.refused(update(48 * hour)).message, /from never to 2d/);
    plan.run({ kind: 'release', agentIds: [parseAgentId('a')], force: true, holders: [] });
    plan.run(update(24 * hour));
    assert.equal(plan.ipam.network?.reclaimMs, 24 * hour);
  });

  it('does not release a holder that may be live, unless forced', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    const agentIds = [parseAgentId('a')];
    const release = { kind: 'release', agentIds, force: false } as const;
    const refusal = plan.refused({ ...release, holders: [plan.judge('a', false, 1)] });
    assert.equal(refusal.code, 'failed-precondition');
    assert.match(refusal.message, /agent "a" on node 10\.0\.0\.1 holds it and was last heard 1s ago; stop it first/);
    assert.equal(plan.refused({ ...release, holders: [] }).code, 'failed-precondition');
    plan.run({ ...release, holders: [plan.judge('a', true, 40)] });
  });

  it('releases all that are named or none', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    const release = { kind: 'release', agentIds: ['a', 'nobody'].map(parseAgentId), force: true, holders: [] } as const;
    assert.deepEqual(plan.refused(release).code, 'not-found');
    assert.equal(plan.ipam.agentCount, 1);
  });

  it('keeps what an agent holds when it no longer asks for it', () => {
    const plan = new PlanUnderTest({}, [overlay('both', '9.0.0.0/8', 24, 'fd01:b::/64', 80)]);
    plan.register('a');
    const less = plan.register('a', { sequence: 2, networkConfig: { ...everything, enableIpv6: false } });
    assert.equal(less.overlays[0]?.subnet6 && formatCidr(less.overlays[0].subnet6), 'fd01:b::/80');
  });
});

describe('rule 6, quarantine: what is freed is quarantined; then the lowest never used comes first, then the longest free', () => {
  /** Four blocks. */
  const small = () => new PlanUnderTest({}, [overlay('dcos', '9.0.0.0/22', 24)]);

  it('gives no freed block to another agent before its quarantine is over', () => {
    const plan = small();
    for (const id of ['a0', 'a1', 'a2', 'a3']) plan.register(id);
    plan.release('a2');
    plan.time += 15 * minute - 1;
    assert.equal(plan.register('a4').problems[0]?.reason, 'exhausted');
    plan.time += 1;
    assert.equal(subnetOf(plan.register('a4', { sequence: 2 })), '9.0.2.0/24');
  });

  it('prefers what was never used, then what is free for longest', () => {
    const plan = small();
    for (const id of ['a0', 'a1', 'a2']) plan.register(id);
    plan.release('a1');
    plan.time += minute;
    plan.release('a0');
    plan.time += 16 * minute;
    const order = ['b4', 'b5', 'b6'].map((id) => subnetOf(plan.register(id)));
    assert.deepEqual(order, ['9.0.3.0/24', '9.0.1.0/24', '9.0.0.0/24']);
  });

  it('quarantines VTEP addresses as well', () => {
    const plan = new PlanUnderTest({ vtepSubnet: parseCidr4('44.128.0.0/28') });
    for (let n = 0; n < 14; n++) plan.register(`a${n}`);
    plan.release('a3');
    assert.equal(plan.refused(plan.request('b14')).code, 'resource-exhausted');
    plan.time += 15 * minute;
    assert.equal(formatCidr4(plan.register('b14').vxlan.vtepIp), '44.128.0.4/28');
  });

  it('keeps a reserved block for its agent alone', () => {
    const plan = small();
    const subnet = parseCidr('9.0.0.0/24');
    plan.run({ kind: 'reserve', overlay: 'dcos', subnet, agentId: parseAgentId('vip') });
    assert.equal(subnetOf(plan.register('a0')), '9.0.1.0/24');
    assert.equal(subnetOf(plan.register('vip5')), '9.0.2.0/24');
    assert.equal(subnetOf(plan.register('vip', { node: '10.0.0.50' })), '9.0.0.0/24');
    // Released, it is quarantined and is then that agent's again.
    plan.release('vip');
    plan.time += 60 * minute;
    assert.equal(plan.ipam.usage(plan.time)?.overlays[0]?.v4?.reserved, 1n);
    assert.equal(subnetOf(plan.register('vip', { node: '10.0.0.50', sequence: 2 })), '9.0.0.0/24');
    plan.run({ kind: 'unreserve', overlay: 'dcos', subnet });
    assert.deepEqual(plan.ipam.reservations(), []);
  });

  it('reserves VTEP addresses too', () => {
    const plan = small();
    const vtep = parseCidr('44.128.0.1/32');
    plan.run({ kind: 'reserve', overlay: undefined, subnet: vtep, agentId: parseAgentId('vip') });
    assert.equal(formatCidr4(plan.register('a0').vxlan.vtepIp), '44.128.0.2/20');
    assert.equal(formatCidr4(plan.register('vip', { node: '10.0.0.50' }).vxlan.vtepIp), '44.128.0.1/20');
  });

  it('reserves what an agent holds for it, too: once released, it is quarantined and then waits for it alone', () => {
    const plan = small();
    plan.register('a0');
    plan.run({ kind: 'reserve', overlay: 'dcos', subnet: parseCidr('9.0.0.0/24'), agentId: parseAgentId('a0') });
    plan.release('a0');
    plan.time += 60 * minute;
    const others = ['b1', 'b2', 'b3', 'b4'].map((id) => subnetOf(plan.register(id)));
    assert.deepEqual(others, ['9.0.1.0/24', '9.0.2.0/24', '9.0.3.0/24', undefined]);
    assert.equal(subnetOf(plan.register('a0', { sequence: 2 })), '9.0.0.0/24');
  });

  it('sets no more aside than 10,000 blocks and 1,000 ranges', () => {
    const plan = new PlanUnderTest();
    const block = (n: number) => parseCidr(`9.${n >> 8}.${n & 255}.0/24`);
    for (let n = 0; n < 10_000; n++) {
      plan.run({ kind: 'reserve', overlay: 'dcos', subnet: block(n), agentId: parseAgentId(`vip${n}`) });
    }
    const one = plan.refused({ kind: 'reserve', overlay: 'dcos', subnet: block(10_000), agentId: who });
    assert.equal(one.code, 'resource-exhausted');
    assert.match(one.message, /there are 10000 reservations, the most allowed/);
    for (let n = 0; n < 1000; n++) plan.run({ kind: 'exclude', overlay: 'dcos', subnet: block(20_000 + n) });
    const range = plan.refused({ kind: 'exclude', overlay: 'dcos', subnet: block(30_000) });
    assert.match(range.message, /there are 1000 exclusions, the most allowed/);
    plan.run({ kind: 'unreserve', overlay: 'dcos', subnet: block(0) });
    plan.run({ kind: 'reserve', overlay: 'dcos', subnet: block(10_000), agentId: who });
  });

  it('allocates nothing of an excluded range; a holder of a block of it keeps it and does not get it back', () => {
    const plan = small();
    plan.register('a0');
    const subnet = parseCidr('9.0.0.0/23');
    plan.run({ kind: 'exclude', overlay: 'dcos', subnet });
    assert.equal(subnetOf(plan.register('a0', { sequence: 2 })), '9.0.0.0/24');
    assert.equal(subnetOf(plan.register('a1')), '9.0.2.0/24');
    plan.release('a0');
    assert.equal(subnetOf(plan.register('a0', { sequence: 3 })), '9.0.3.0/24');
    const usage = plan.ipam.usage(plan.time)?.overlays[0]?.v4;
    assert.deepEqual(usage, { held: 2n, excluded: 2n, quarantined: 0n, reserved: 0n, free: 0n, total: 4n });
    plan.run({ kind: 'unexclude', overlay: 'dcos', subnet });
    assert.equal(plan.ipam.usage(plan.time)?.overlays[0]?.v4?.quarantined, 1n);
    assert.equal(subnetOf(plan.register('b5')), '9.0.1.0/24');
  });

  const range = (text: string, overlayName: string | undefined = 'dcos') => ({
    overlay: overlayName,
    subnet: parseCidr(text),
  });
  const who = parseAgentId('vip');

  it('refuses to set aside what is not to be had', () => {
    const plan = small();
    plan.register('a0');
    plan.run({ kind: 'reserve', ...range('9.0.1.0/24'), agentId: who });
    plan.run({ kind: 'exclude', ...range('9.0.2.0/24') });
    const cases = [
      [{ kind: 'reserve', ...range('9.0.0.0/24'), agentId: who }, 'failed-precondition', /agent "a0" holds it/],
      [
        { kind: 'reserve', ...range('9.0.1.0/24'), agentId: parseAgentId('other') },
        'already-exists',
        /reserved for agent "vip"/,
      ],
      [{ kind: 'reserve', ...range('9.0.2.0/24'), agentId: who }, 'failed-precondition', /excluded/],
      [
        { kind: 'reserve', ...range('9.0.1.0/25'), agentId: who },
        'invalid-argument',
        /one \/24 block of overlay "dcos"/,
      ],
      [
        { kind: 'reserve', ...range('9.9.1.0/24'), agentId: who },
        'invalid-argument',
        /one \/24 block of overlay "dcos"/,
      ],
      [{ kind: 'reserve', ...range('9.0.1.0/24', 'nope'), agentId: who }, 'not-found', /no such overlay/],
      [{ kind: 'reserve', ...range('fd00::/64'), agentId: who }, 'invalid-argument', /no IPv6 blocks/],
      [
        { kind: 'reserve', overlay: undefined, subnet: parseCidr('44.128.0.0/32'), agentId: who },
        'invalid-argument',
        /VTEP subnet/,
      ],
      [{ kind: 'unreserve', ...range('9.0.3.0/24') }, 'not-found', /not reserved/],
      [{ kind: 'exclude', ...range('9.0.0.0/23') }, 'failed-precondition', /reserved for agent "vip"/],
      [{ kind: 'exclude', ...range('9.0.2.0/23') }, 'already-exists', /overlaps the exclusion of 9\.0\.2\.0\/24/],
      [{ kind: 'exclude', ...range('9.0.3.0/25') }, 'invalid-argument', /whole \/24 blocks/],
      [{ kind: 'exclude', ...range('9.0.0.0/20') }, 'invalid-argument', /whole \/24 blocks/],
      [{ kind: 'unexclude', ...range('9.0.3.0/24') }, 'not-found', /no exclusion of exactly this range/],
    ] as const;
    for (const [action, code, message] of cases) {
      const refusal = plan.refused(action);
      assert.equal(refusal.code, code, refusal.message);
      assert.match(refusal.message, message);
    }
  });
});
