import assert from 'node:assert/strict';
import { formatCidr4, parseCidr4 } from '#address/cidr4.js';
import { formatCidr6, parseCidr6 } from '#address/cidr6.js';
import { formatCidr, parseCidr, parseIp } from '#address/ip.js';
import { parseIpv4 } from '#address/ipv4.js';
import { formatMac } from '#address/mac.js';
import { parseAgentId } from '#ipam/identity.js';
import { dcos, everything, overlay, PlanUnderTest, subnetOf } from '#ipam/plan-under-test.js';

const minute = 60_000;

describe('the worked example', () => {
  it('lets the first two agents what DESIGN §1 says', () => {
    const plan = new PlanUnderTest({}, [dcos, overlay('dcos6', 'fd01:b::/64', 80)]);
    const first = plan.register('a');
    const [v4, v6] = first.overlays;
    assert.equal(subnetOf(first), '9.0.0.0/24');
    assert.deepEqual(v4?.mesosBridge, { name: 'm-dcos', ip: parseCidr4('9.0.0.0/25'), ip6: undefined });
    assert.deepEqual(v4?.dockerBridge, { name: 'd-dcos', ip: parseCidr4('9.0.0.128/25'), ip6: undefined });
    assert.deepEqual(v6?.mesosBridge, { name: 'm-dcos6', ip: undefined, ip6: parseCidr6('fd01:b::/81') });
    assert.deepEqual(v6?.dockerBridge, { name: 'd-dcos6', ip: undefined, ip6: parseCidr6('fd01:b::8000:0:0/81') });
    assert.equal(formatCidr4(first.vxlan.vtepIp), '44.128.0.1/20');
    assert.equal(first.vxlan.vtepIp6 && formatCidr6(first.vxlan.vtepIp6), 'fd01:a::1/64');
    assert.equal(formatMac(first.vxlan.vtepMac), '70:b3:d5:80:00:01');
    assert.deepEqual([first.vxlan.vni, first.vxlan.vtepName, first.vxlan.vxlanPort], [1024, 'vtep1024', 64000]);
    const second = plan.register('b1');
    assert.equal(subnetOf(second), '9.0.1.0/24');
    assert.equal(formatCidr4(second.vxlan.vtepIp), '44.128.0.2/20');
    assert.equal(formatMac(second.vxlan.vtepMac), '70:b3:d5:80:00:02');
  });

  it('gives an agent that takes no subnet its VTEP only', () => {
    const plan = new PlanUnderTest();
    const agent = plan.register('a', { networkConfig: { ...everything, allocateSubnet: false } });
    assert.deepEqual(agent.overlays, []);
    assert.deepEqual(agent.problems, []);
    assert.equal(formatCidr4(agent.vxlan.vtepIp), '44.128.0.1/20');
  });

  it('leaves out what the agent does not want', () => {
    const plan = new PlanUnderTest({}, [
      overlay('both', '9.0.0.0/8', 24, 'fd01:b::/64', 80),
      overlay('six', 'fd01:c::/64', 80),
    ]);
    const config = { ...everything, mesosBridge: false, enableIpv6: false };
    const agent = plan.register('a', { networkConfig: config });
    assert.deepEqual(
      agent.overlays.map(({ info, subnet6, mesosBridge }) => [info.name, subnet6, mesosBridge]),
      [['both', undefined, undefined]],
    );
    assert.deepEqual(agent.overlays[0]?.dockerBridge?.ip, parseCidr4('9.0.0.128/25'));
    // Asked for later, IPv6 is added to what is held.
    const later = plan.register('a', { sequence: 2 });
    assert.deepEqual(
      later.overlays.map(({ info, subnet, subnet6 }) => [
        info.name,
        subnet && formatCidr(subnet),
        subnet6 && formatCidr(subnet6),
      ]),
      [
        ['both', '9.0.0.0/24', 'fd01:b::/80'],
        ['six', undefined, 'fd01:c::/80'],
      ],
    );
    assert.equal(later.epoch, agent.epoch);
  });
});

describe('rule 1, sticky: the same agent_id gets the same subnets and VTEP back while they are held or quarantined', () => {
  it('when it registers again', () => {
    const plan = new PlanUnderTest();
    const first = plan.register('a');
    plan.register('b1');
    const again = plan.run(plan.request('a'));
    assert.equal(again.result.kind === 'registered' && again.result.changed, false);
    assert.deepEqual(again.result.kind === 'registered' && again.result.agent, first);
  });

  it('when it was released and comes back before the quarantine ends, at a new epoch', () => {
    const plan = new PlanUnderTest();
    const first = plan.register('a');
    plan.release('a');
    plan.time += 15 * minute - 1;
    assert.equal(subnetOf(plan.register('b1')), '9.0.1.0/24');
    const back = plan.register('a', { sequence: 2 });
    assert.equal(subnetOf(back), '9.0.0.0/24');
    assert.deepEqual(back.vxlan, first.vxlan);
    assert.ok(back.epoch > first.epoch);
  });

  it('but as any other agent once the quarantine is over', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    plan.release('a');
    plan.time += 15 * minute;
    assert.equal(subnetOf(plan.register('a', { sequence: 2 })), '9.0.1.0/24');
  });

  it('also when a new overlay, another node_ip or another wish comes with the request', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    plan.run({ kind: 'add-overlay', overlay: overlay('blue', '10.128.0.0/16', 24), source: 'operator' });
    const again = plan.register('a', {
      sequence: 2,
      node: '10.0.0.99',
      networkConfig: { ...everything, allocateSubnet: false },
    });
    assert.equal(subnetOf(again), '9.0.0.0/24');
    assert.equal(subnetOf(again, 'blue'), undefined);
    assert.equal(again.epoch, 2);
  });
});

describe('rule 2, never in two hands: a subnet, a VTEP address, a MAC and a node_ip have one holder', () => {
  it('refuses a second host that claims a live agent_id, saying who holds it and when it was last heard', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    const refusal = plan.refused(
      plan.request('a', { instance: 'other', node: '10.0.0.7', holders: [plan.judge('a', false, 12)] }),
    );
    assert.equal(refusal.code, 'already-exists');
    assert.match(
      refusal.message,
      /agent_id "a": agent "a" on node 10\.0\.0\.1 holds it and was last heard 12 s ago \(instance a-1\)/,
    );
  });

  it('takes a holder that the leader has not judged for live', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    assert.equal(plan.refused(plan.request('a', { instance: 'other', node: '10.0.0.1' })).code, 'already-exists');
  });

  it('gives a reinstalled host (same node_ip, holder silent) the same subnets at a new epoch', () => {
    const plan = new PlanUnderTest();
    const first = plan.register('a');
    const again = plan.register('a', { instance: 'other', holders: [plan.judge('a', true, 40)] });
    assert.equal(subnetOf(again), subnetOf(first));
    assert.deepEqual(again.vxlan, first.vxlan);
    assert.ok(again.epoch > first.epoch);
  });

  it('does not take a silent holder on another node for the same host', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    const request = plan.request('a', { instance: 'other', node: '10.0.0.7', holders: [plan.judge('a', true, 40)] });
    assert.match(
      plan.refused(request).message,
      /silent, but on another node than 10\.0\.0\.7: release it, or register with takeover/,
    );
  });

  it('gives a takeover fresh subnets and lets the old ones rest, for this agent too', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    const taken = plan.register('a', { instance: 'other', node: '10.0.0.7', takeover: true });
    assert.equal(subnetOf(taken), '9.0.1.0/24');
    assert.equal(formatCidr4(taken.vxlan.vtepIp), '44.128.0.2/20');
    assert.equal(plan.ipam.usage(plan.time)?.overlays[0]?.v4?.quarantined, 1n);
    plan.release('a');
    assert.equal(subnetOf(plan.register('a', { instance: 'other', node: '10.0.0.7', sequence: 2 })), '9.0.1.0/24');
  });

  it('counts a judgement only for the epoch that it was made of', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    const stale = plan.judge('a', true, 40);
    plan.register('a', { instance: 'second', holders: [stale] });
    const refusal = plan.refused(plan.request('a', { instance: 'third', holders: [stale] }));
    assert.equal(refusal.code, 'already-exists');
  });

  it('refuses a node_ip whose holder is live', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    const refusal = plan.refused(plan.request('b', { node: '10.0.0.1', holders: [plan.judge('a', false, 3)] }));
    assert.equal(refusal.code, 'already-exists');
    assert.equal(refusal.field, 'node_ip');
    assert.match(
      refusal.message,
      /node_ip 10\.0\.0\.1 is taken: agent "a" on node 10\.0\.0\.1 holds it and was last heard 3 s ago/,
    );
  });

  it('gives a node_ip whose holder is silent to the new claimant; the loser keeps its subnets but is not reached', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    const { events } = plan.run(plan.request('b', { node: '10.0.0.1', holders: [plan.judge('a', true, 40)] }));
    assert.deepEqual(
      events.map(
        (event) =>
          event.kind === 'agent-changed' && [event.agent.agentId, event.agent.reachable, subnetOf(event.agent)],
      ),
      [
        ['a', false, '9.0.0.0/24'],
        ['b', true, '9.0.1.0/24'],
      ],
    );
    // Back at an address of its own it is reached again, at the same epoch.
    const back = plan.register('a', { sequence: 2, node: '10.0.0.9' });
    assert.deepEqual([back.reachable, subnetOf(back), back.epoch], [true, '9.0.0.0/24', 2]);
    // And it can't have the old one while the new holder lives.
    assert.equal(plan.refused(plan.request('a', { sequence: 3, node: '10.0.0.1' })).field, 'node_ip');
  });

  it('refuses a node_ip inside an overlay or the VTEP subnets', () => {
    const plan = new PlanUnderTest({}, [dcos, overlay('six', 'fd01:b::/64', 80)]);
    for (const [node, where] of [
      ['9.1.2.3', 'overlay "dcos" 9.0.0.0/8'],
      ['44.128.0.200', 'the VTEP subnet 44.128.0.0/20'],
      ['fd01:b::7', 'overlay "six" fd01:b::/64'],
      ['fd01:a::7', 'the VTEP subnet fd01:a::/64'],
    ] as const) {
      const refusal = plan.refused(plan.request('a', { node }));
      assert.equal(refusal.code, 'invalid-argument');
      assert.ok(refusal.message.includes(`node_ip ${node} lies in ${where}`), refusal.message);
    }
  });

  it('refuses an overlay or a VTEP subnet that would contain a node_ip', () => {
    const plan = new PlanUnderTest({}, [overlay('dcos', '9.0.0.0/9', 24)]);
    plan.register('a', { node: '9.200.0.1' });
    const wide = plan.refused({ kind: 'update-overlay', name: 'dcos', subnet: parseCidr4('9.0.0.0/8') });
    assert.match(wide.message, /subnet 9\.0\.0\.0\/8 contains 9\.200\.0\.1, the node_ip of agent "a"/);
    const added = overlay('more', '9.128.0.0/9', 24);
    assert.equal(plan.refused({ kind: 'add-overlay', overlay: added, source: 'operator' }).field, 'subnet');
    plan.register('a', { node: '44.128.99.1', sequence: 2 });
    const vtep = plan.refused({ kind: 'update-network', vtepSubnet: parseCidr4('44.128.0.0/16') });
    assert.match(vtep.message, /contains 44\.128\.99\.1/);
  });

  it('refuses a second underlay family, but lets a lone agent change it', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    plan.register('a', { sequence: 2, node: '2001:db8::1' });
    const refusal = plan.refused(plan.request('b', { node: '10.0.0.2' }));
    assert.equal(refusal.code, 'failed-precondition');
    assert.match(refusal.message, /node_ip 10\.0\.0\.2 is IPv4, but 1 other agents are at IPv6 addresses/);
    plan.register('b', { node: '2001:db8::2' });
  });

  it('does not give what an operator released to another host, which might share it with the old one', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    plan.release('a');
    assert.equal(subnetOf(plan.register('a', { instance: 'other', node: '10.0.0.7' })), '9.0.1.0/24');
  });

  it('gives what an agent left to whoever has its id next', () => {
    const plan = new PlanUnderTest();
    const { epoch } = plan.register('a');
    plan.run({ kind: 'leave', agentId: parseAgentId('a'), epoch });
    assert.equal(subnetOf(plan.register('a', { instance: 'other', node: '10.0.0.7' })), '9.0.0.0/24');
  });
});

describe('rule 3, fenced: what is late or stale is ABORTED and changes nothing', () => {
  const a = parseAgentId('a');

  it('a lower sequence of the same instance', () => {
    const plan = new PlanUnderTest();
    plan.register('a', { sequence: 5 });
    for (const sequence of [4, 0]) {
      const refusal = plan.refused(plan.request('a', { sequence }));
      assert.deepEqual([refusal.code, refusal.field], ['aborted', 'sequence']);
    }
  });

  it('takes an equal sequence for a retry: the same answer, no new revision', () => {
    const plan = new PlanUnderTest();
    const first = plan.run(plan.request('a', { sequence: 5 }));
    const { result } = plan.run(plan.request('a', { sequence: 5 }));
    assert.deepEqual(result, { ...first.result, changed: false });
    assert.equal(plan.ipam.revision, 2);
  });

  it('refuses an equal sequence with another content, naming the field', () => {
    const plan = new PlanUnderTest();
    plan.register('a', { sequence: 5 });
    const refusal = plan.refused(plan.request('a', { sequence: 5, node: '10.0.0.9' }));
    assert.deepEqual(refusal.code, 'aborted');
    assert.match(refusal.message, /sequence 5: that sequence came with another node_ip/);
  });

  it('takes an agent that sends no sequence at its word', () => {
    const plan = new PlanUnderTest();
    plan.register('a', { sequence: 0 });
    const moved = plan.register('a', { sequence: 0, node: '10.0.0.9' });
    assert.equal(moved.nodeIp, parseIp('10.0.0.9'));
    plan.release('a');
    assert.equal(subnetOf(plan.register('a', { sequence: 0 })), '9.0.0.0/24');
  });

  it('counts the sequences of each instance for themselves', () => {
    const plan = new PlanUnderTest();
    plan.register('a', { sequence: 50 });
    const again = plan.register('a', { instance: 'other', sequence: 1, holders: [plan.judge('a', true)] });
    assert.equal(again.sequence, 1);
  });

  it('a late retry of a lease that has ended since', () => {
    const plan = new PlanUnderTest();
    const { epoch } = plan.register('a', { sequence: 5 });
    plan.run({ kind: 'leave', agentId: a, epoch });
    assert.equal(plan.refused(plan.request('a', { sequence: 5 })).code, 'aborted');
    plan.register('a', { sequence: 6 });
  });

  it('a late retry of an instance that was replaced since, however often', () => {
    const plan = new PlanUnderTest();
    plan.register('a', { sequence: 5 });
    for (const instance of ['second', 'third', 'fourth']) {
      plan.register('a', { instance, holders: [plan.judge('a', true)] });
    }
    const late = plan.request('a', { sequence: 5, holders: [plan.judge('a', true)] });
    assert.equal(plan.refused(late).code, 'aborted');
    plan.release('a');
    assert.equal(plan.refused(late).code, 'aborted');
    assert.equal(plan.register('a', { sequence: 6 }).instanceId, 'a-1');
  });

  it('status reports, leaves and expiries of another epoch', () => {
    const plan = new PlanUnderTest({ reclaimMs: 24 * 60 * minute, quarantineMs: 24 * 60 * minute });
    const { epoch } = plan.register('a');
    for (const stale of [epoch - 1, epoch + 1]) {
      const status = { overlay: 'dcos', status: 'ok', error: '' } as const;
      assert.equal(
        plan.refused({ kind: 'report-status', agentId: a, epoch: stale, overlays: [status] }).code,
        'aborted',
      );
      assert.equal(plan.refused({ kind: 'leave', agentId: a, epoch: stale }).code, 'aborted');
      assert.equal(plan.refused({ kind: 'expire', agentId: a, epoch: stale }).code, 'aborted');
    }
    assert.equal(plan.refused({ kind: 'leave', agentId: parseAgentId('nobody'), epoch }).code, 'aborted');
  });

  it('answers a retried leave as the first one', () => {
    const plan = new PlanUnderTest();
    const { epoch } = plan.register('a');
    plan.run({ kind: 'leave', agentId: a, epoch });
    const { result } = plan.run({ kind: 'leave', agentId: a, epoch });
    assert.deepEqual(result, { kind: 'done', revision: 3, changed: false });
  });
});

describe('rule 4, expiry is a log entry: it ends the lease of the epoch it names and no other', () => {
  const a = parseAgentId('a');
  const reclaiming = { reclaimMs: 60 * minute, quarantineMs: 15 * minute };

  it('frees everything at that epoch', () => {
    const plan = new PlanUnderTest(reclaiming);
    const { epoch } = plan.register('a');
    const { result, events } = plan.run({ kind: 'expire', agentId: a, epoch });
    assert.deepEqual(result.kind === 'released' && result.released.map(formatCidr), ['44.128.0.1/32', '9.0.0.0/24']);
    assert.deepEqual(events, [{ kind: 'agent-removed', agentId: 'a', revision: 3 }]);
    assert.equal(plan.ipam.agentCount, 0);
  });

  it('does nothing to a lease that was granted anew meanwhile', () => {
    const plan = new PlanUnderTest(reclaiming);
    const { epoch } = plan.register('a');
    plan.register('a', { instance: 'other', holders: [plan.judge('a', true)] });
    assert.equal(plan.refused({ kind: 'expire', agentId: a, epoch }).code, 'aborted');
    assert.equal(plan.ipam.agentCount, 1);
  });
});

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
    assert.match(refusal.message, /at least 21600000 ms is needed/);
    plan.run({ kind: 'update-network', reclaim: { ttlMs: 24 * hour }, quarantineMs: 6 * hour });
    assert.equal(plan.ipam.network?.reclaimMs, 24 * hour);
    plan.run({ kind: 'update-network', reclaim: { ttlMs: undefined } });
    assert.equal(plan.ipam.network?.reclaimMs, undefined);
  });

  it('lengthens the TTL under agents, or takes it off, but never shortens it: who can not be reached would not know', () => {
    const hour = 60 * minute;
    const plan = new PlanUnderTest({ reclaimMs: 24 * hour, quarantineMs: 12 * hour });
    plan.register('a');
    const update = (ttlMs: number | undefined) => ({ kind: 'update-network', reclaim: { ttlMs } }) as const;
    const shorter = plan.refused(update(23 * hour));
    assert.equal(shorter.field, 'lease.reclaim');
    assert.match(shorter.message, /from 86400000 ms to 82800000 ms while agents hold leases \(1 do\)/);
    plan.run(update(48 * hour));
    assert.match(plan.refused(update(24 * hour)).message, /from 172800000 ms to 86400000 ms/);
    plan.run(update(undefined));
    assert.match(plan.refused(update(48 * hour)).message, /from never to 172800000 ms/);
    plan.run({ kind: 'release', agentIds: [parseAgentId('a')], force: true, holders: [] });
    plan.run(update(24 * hour));
    assert.equal(plan.ipam.network?.reclaimMs, 24 * hour);
  });

  it('does not release a holder that may be live, unless forced', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    const agentIds = [parseAgentId('a')];
    const release = { kind: 'release', agentIds, force: false } as const;
    assert.equal(plan.refused({ ...release, holders: [plan.judge('a', false, 1)] }).code, 'failed-precondition');
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

describe('rule 6, quarantine: what is freed rests; then the lowest never used comes first, then the longest free', () => {
  /** Four blocks. */
  const small = () => new PlanUnderTest({}, [overlay('dcos', '9.0.0.0/22', 24)]);

  it('lets no freed block to another before its rest is over', () => {
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

  it('rests VTEP addresses as well', () => {
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
    // Released, it rests and is then his again.
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

  it('lets nobody an excluded range; who holds a block of it keeps it and does not get it back', () => {
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

describe('rule 7, all or nothing, per overlay', () => {
  it('takes neither family of an overlay that lacks one of them, and names it', () => {
    const plan = new PlanUnderTest({}, [overlay('both', '9.0.0.0/8', 24, 'fd01:b::/79', 80), dcosTwo]);
    plan.register('a0');
    plan.register('a1');
    const late = plan.register('a2');
    assert.deepEqual(
      late.overlays.map(({ info }) => info.name),
      ['other'],
    );
    assert.deepEqual(
      late.problems.map(({ overlay: name, family, reason }) => [name, family, reason]),
      [['both', 6, 'exhausted']],
    );
    assert.match(late.problems[0]?.message ?? '', /overlay "both" \(fd01:b::\/79\) has no free \/80/);
    assert.equal(plan.ipam.usage(plan.time)?.overlays[0]?.v4?.held, 2n);
  });

  const dcosTwo = overlay('other', '10.128.0.0/16', 24);

  it('gives it when there is room again, at the same epoch, and says so in the history', () => {
    const plan = new PlanUnderTest({}, [overlay('dcos', '9.0.0.0/23', 24)]);
    plan.register('a0');
    plan.register('a1');
    const late = plan.register('a2');
    assert.deepEqual(late.overlays, []);
    assert.match(plan.ipam.history({ after: 0, limit: 1 })[0]?.detail ?? '', /not let: dcos IPv4 \(exhausted\)/);
    plan.run({ kind: 'update-overlay', name: 'dcos', subnet: parseCidr4('9.0.0.0/22') });
    const retry = plan.register('a2');
    assert.equal(subnetOf(retry), '9.0.2.0/24');
    assert.deepEqual(retry.problems, []);
    assert.equal(retry.epoch, late.epoch);
  });

  it('refuses the registration when no VTEP address is free, and holds nothing of it', () => {
    const plan = new PlanUnderTest({ vtepSubnet: parseCidr4('44.128.0.0/28') });
    for (let n = 0; n < 14; n++) plan.register(`a${n}`);
    const refusal = plan.refused(plan.request('b14'));
    assert.equal(refusal.code, 'resource-exhausted');
    assert.match(refusal.message, /the VTEP subnet 44\.128\.0\.0\/28 has no free address: all 14 are taken/);
    plan.run({ kind: 'update-network', vtepSubnet: parseCidr4('44.128.0.0/20') });
    // The first one that is new: not the old network's broadcast address, which comes next in turn.
    assert.equal(formatCidr4(plan.register('b14').vxlan.vtepIp), '44.128.0.15/20');
    assert.equal(formatCidr4(plan.agent('a0').vxlan.vtepIp), '44.128.0.1/20');
  });
});

describe('rule 8, no allocation before the state is known', () => {
  it('refuses to register while no network is applied', () => {
    const plan = new PlanUnderTest();
    const { ipam } = plan;
    assert.ok(ipam.network);
    plan.ipam = new (ipam.constructor as new () => typeof ipam)();
    const refusal = plan.refused(plan.request('a'));
    assert.equal(refusal.code, 'failed-precondition');
    assert.match(refusal.message, /no network is configured yet/);
  });
});

describe('rule 9, a config file that disagrees with the replicated state adds what is new and changes nothing', () => {
  it('lists additions and differences, each with its remedy', () => {
    const plan = new PlanUnderTest({}, [
      dcos,
      overlay('gone', '10.96.0.0/16', 24),
      overlay('extra', '10.97.0.0/16', 24),
    ]);
    plan.run({ kind: 'remove-overlay', name: 'gone' });
    const file = [{ ...dcos, enabled: false }, overlay('gone', '10.96.0.0/16', 24), overlay('new', '10.98.0.0/16', 24)];
    const found = plan.ipam.disagreements({ vtepSubnet: parseCidr4('44.128.0.0/16'), vni: 7 }, file);
    assert.deepEqual(
      found.additions.map(({ name }) => name),
      ['new'],
    );
    assert.deepEqual(
      found.differences.map(({ field, configured, replicated }) => [field, configured, replicated]),
      [
        ['network.vtep_subnet', '44.128.0.0/16', '44.128.0.0/20'],
        ['network.vni', '7', '1024'],
        ['network.overlays.dcos', '9.0.0.0/8 prefix 24, disabled', '9.0.0.0/8 prefix 24, enabled'],
        ['network.overlays.gone', '10.96.0.0/16 prefix 24, enabled', 'removed'],
        ['network.overlays.extra', 'absent', '10.97.0.0/16 prefix 24, enabled'],
      ],
    );
    assert.match(found.differences[2]?.remedy ?? '', /sublet overlay disable dcos/);
    assert.deepEqual(plan.ipam.disagreements({}, plan.ipam.network?.overlays ?? []), {
      additions: [],
      differences: [],
    });
  });

  it('does not compare overlays with a file that mentions none', () => {
    const plan = new PlanUnderTest();
    assert.deepEqual(plan.ipam.disagreements({}, undefined), { additions: [], differences: [] });
    assert.deepEqual(
      plan.ipam.disagreements({}, []).differences.map(({ field, configured }) => [field, configured]),
      [['network.overlays.dcos', 'absent']],
    );
  });

  it('does not bring back a removed name from a file, only by an operator', () => {
    const plan = new PlanUnderTest();
    plan.run({ kind: 'remove-overlay', name: 'dcos' });
    assert.deepEqual(plan.ipam.removedOverlays, ['dcos']);
    const refusal = plan.refused({ kind: 'add-overlay', overlay: dcos, source: 'config' });
    assert.match(refusal.message, /removed by an operator; only an operator's "overlay add" brings it back/);
    plan.run({ kind: 'add-overlay', overlay: dcos, source: 'operator' });
    assert.deepEqual(plan.ipam.removedOverlays, []);
    plan.run({ kind: 'add-overlay', overlay: dcos, source: 'config' });
  });

  it('accepts the same network again and refuses another', () => {
    const plan = new PlanUnderTest();
    const { network } = plan.ipam;
    assert.ok(network);
    const { result } = plan.run({ kind: 'configure-network', settings: network, overlays: [] });
    assert.equal(result.kind === 'network' && result.changed, false);
    const refusal = plan.refused({ kind: 'configure-network', settings: { ...network, vni: 7 }, overlays: [] });
    assert.match(refusal.message, /network\.vni is 1024, not 7/);
  });
});

describe('rule 10, an overlay in use is not removed; a disabled one keeps what is held and lets no more', () => {
  it('refuses to remove it, with the count', () => {
    const plan = new PlanUnderTest();
    plan.register('a0');
    plan.register('a1');
    const refusal = plan.refused({ kind: 'remove-overlay', name: 'dcos' });
    assert.equal(refusal.code, 'failed-precondition');
    assert.match(refusal.message, /remove overlay "dcos": 2 of its subnets are held/);
  });

  it('refuses to remove it while something of it rests, and forgets it afterwards', () => {
    const plan = new PlanUnderTest();
    plan.register('a0');
    plan.run({ kind: 'reserve', overlay: 'dcos', subnet: parseCidr('9.9.0.0/24'), agentId: parseAgentId('vip') });
    plan.run({ kind: 'exclude', overlay: 'dcos', subnet: parseCidr('9.10.0.0/16') });
    plan.release('a0');
    plan.time += minute;
    assert.match(plan.refused({ kind: 'remove-overlay', name: 'dcos' }).message, /in quarantine for another 840 s/);
    plan.time += 14 * minute;
    const { events } = plan.run({ kind: 'remove-overlay', name: 'dcos' });
    assert.deepEqual(events, [{ kind: 'overlay-removed', name: 'dcos', revision: plan.index }]);
    assert.deepEqual([plan.ipam.reservations(), plan.ipam.exclusions()], [[], []]);
    plan.run({ kind: 'add-overlay', overlay: dcos, source: 'operator' });
    assert.equal(subnetOf(plan.register('a0', { sequence: 2 })), '9.0.0.0/24');
    assert.equal(plan.restored().hash(), plan.ipam.hash());
  });

  it('keeps what is held of a disabled one and lets no more', () => {
    const plan = new PlanUnderTest();
    plan.register('a0');
    plan.run({ kind: 'update-overlay', name: 'dcos', enabled: false });
    const kept = plan.register('a0', { sequence: 2 });
    assert.equal(subnetOf(kept), '9.0.0.0/24');
    assert.equal(kept.overlays[0]?.info.enabled, false);
    const other = plan.register('a1');
    assert.deepEqual([other.overlays, other.problems], [[], []]);
    plan.run({ kind: 'update-overlay', name: 'dcos', enabled: true });
    assert.equal(subnetOf(plan.register('a1')), '9.0.1.0/24');
  });

  it('lets an overlay added at run time to an agent that registers again, at the same epoch', () => {
    const plan = new PlanUnderTest();
    const { epoch } = plan.register('a');
    const { events } = plan.run({
      kind: 'add-overlay',
      overlay: overlay('blue', '10.128.0.0/16', 26),
      source: 'operator',
    });
    assert.deepEqual(
      events.map(({ kind }) => kind),
      ['overlay-changed'],
    );
    const again = plan.register('a');
    assert.equal(subnetOf(again, 'blue'), '10.128.0.0/26');
    assert.equal(again.epoch, epoch);
  });

  it('grows overlays to supernets, downwards too, under agents that keep their pieces', () => {
    const plan = new PlanUnderTest({}, [overlay('both', '9.1.0.0/16', 24, 'fd01:b:1::/48', 80)]);
    plan.register('a0');
    plan.run({
      kind: 'update-overlay',
      name: 'both',
      subnet: parseCidr4('9.0.0.0/15'),
      subnet6: parseCidr6('fd01:b::/32'),
    });
    assert.equal(subnetOf(plan.agent('a0'), 'both'), '9.1.0.0/24');
    assert.equal(subnetOf(plan.register('a1'), 'both'), '9.0.0.0/24');
    const usage = plan.ipam.usage(plan.time)?.overlays[0];
    assert.deepEqual([usage?.v4?.total, usage?.v6?.total], [512n, 1n << 48n]);
    const narrower = plan.refused({ kind: 'update-overlay', name: 'both', subnet: parseCidr4('9.0.0.0/16') });
    assert.match(narrower.message, /subnet 9\.0\.0\.0\/16 is no supernet of 9\.0\.0\.0\/15: it can only grow/);
  });

  it('grows the VTEP subnet, but does not move IPv6 VTEP addresses under agents', () => {
    const plan = new PlanUnderTest({ vtepSubnet: parseCidr4('44.128.16.0/20') });
    plan.register('a0');
    const moved = plan.refused({ kind: 'update-network', vtepSubnet: parseCidr4('44.128.0.0/19') });
    assert.match(
      moved.message,
      /vtep_subnet must still begin at 44\.128\.16\.0: else the IPv6 addresses of 1 VTEPs would change/,
    );
    const other = plan.refused({ kind: 'update-network', vtepSubnet: parseCidr4('45.128.0.0/16') });
    assert.match(other.message, /is no supernet of 44\.128\.16\.0\/20/);
    const four = new PlanUnderTest({ vtepSubnet: parseCidr4('44.128.16.0/20'), vtepSubnet6: undefined });
    four.register('a0');
    four.run({ kind: 'update-network', vtepSubnet: parseCidr4('44.128.0.0/16') });
    assert.equal(formatCidr4(four.agent('a0').vxlan.vtepIp), '44.128.16.1/16');
    assert.equal(formatCidr4(four.register('a1').vxlan.vtepIp), '44.128.0.1/16');
    // Added later, IPv6 has the offsets that the IPv4 addresses have by then.
    four.run({ kind: 'update-network', vtepSubnet6: parseCidr6('fd01:a::/64') });
    const vtep6 = four.agent('a0').vxlan.vtepIp6;
    assert.equal(vtep6 && formatCidr6(vtep6), 'fd01:a::1001/64');
  });
});

describe('rule 11, history: the last 10,000 changes are kept', () => {
  it('says revision, time, what, who and which subnet', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    plan.time = 5000;
    plan.release('a');
    assert.deepEqual(
      plan.ipam.history({ after: 0, limit: 10 }).map(({ detail: _, ...rest }) => rest),
      [
        {
          revision: 1,
          wallTime: 1_700_000_000_000,
          what: 'configure-network',
          who: '',
          subjects: ['44.128.0.0/20', '9.0.0.0/8'],
        },
        {
          revision: 2,
          wallTime: 1_700_000_000_000,
          what: 'register',
          who: 'a',
          subjects: ['44.128.0.1', '9.0.0.0/24'],
        },
        {
          revision: 3,
          wallTime: 1_700_000_005_000,
          what: 'release',
          who: 'a',
          subjects: ['a', '44.128.0.1', '9.0.0.0/24'],
        },
      ],
    );
    assert.deepEqual(
      plan.ipam.history({ after: 2, limit: 10 }).map(({ revision }) => revision),
      [3],
    );
    assert.deepEqual(
      plan.ipam.history({ after: 0, limit: 1, agentId: parseAgentId('a') }).map(({ revision }) => revision),
      [3],
    );
  });

  it('names the operator who asked', () => {
    const plan = new PlanUnderTest();
    plan.run({ kind: 'update-overlay', name: 'dcos', enabled: false }, { by: 'ann' });
    assert.equal(plan.ipam.history({ after: 1, limit: 1 })[0]?.who, 'ann');
  });

  it('holds no more than 10,000 entries, in the records as in memory', () => {
    const plan = new PlanUnderTest();
    for (let n = 0; n < 10_050; n++) plan.run({ kind: 'update-overlay', name: 'dcos', enabled: n % 2 === 1 });
    const all = plan.ipam.history({ after: 0, limit: 20_000 });
    assert.equal(all.length, 10_000);
    assert.equal(all[0]?.revision, 52);
    assert.equal([...plan.store.keys()].filter((key) => key.startsWith('0a')).length, 10_000);
    const restored = plan.restored();
    assert.equal(restored.hash(), plan.ipam.hash());
    assert.deepEqual(restored.history({ after: 0, limit: 20_000 }), all);
  });
});

describe('rule 12, adoption: what agents still hold is honoured where free, and nobody gets fresh blocks', () => {
  const held = (vtep: string, subnet: string) => ({
    vtepIp: parseIpv4(vtep),
    subnets: [{ overlay: 'dcos', subnet: parseCidr4(subnet), subnet6: undefined }],
  });
  const adopting = () => {
    const plan = new PlanUnderTest();
    plan.run({ kind: 'begin-adoption' });
    return plan;
  };

  it('gives back what is free', () => {
    const plan = adopting();
    const agent = plan.register('a', { held: held('44.128.0.77', '9.7.7.0/24') });
    assert.equal(subnetOf(agent), '9.7.7.0/24');
    assert.equal(formatCidr4(agent.vxlan.vtepIp), '44.128.0.77/20');
  });

  it('gives nobody anything fresh until it is ended', () => {
    const plan = adopting();
    const refusal = plan.refused(plan.request('a'));
    assert.equal(refusal.code, 'failed-precondition');
    assert.match(refusal.message, /in adoption: only what an agent still holds is let/);
    const half = plan.register('b1', { held: { vtepIp: parseIpv4('44.128.0.5'), subnets: [] } });
    assert.deepEqual(half.overlays, []);
    assert.deepEqual(
      half.problems.map(({ reason }) => reason),
      ['adoption'],
    );
    plan.run({ kind: 'end-adoption' });
    assert.equal(subnetOf(plan.register('b1')), '9.0.0.0/24');
    assert.equal(formatCidr4(plan.register('a').vxlan.vtepIp), '44.128.0.1/20');
  });

  it('does not honour what another holds, what is excluded or reserved for another, or what is no block', () => {
    const plan = adopting();
    plan.run({ kind: 'exclude', overlay: 'dcos', subnet: parseCidr('9.8.0.0/16') });
    plan.run({ kind: 'reserve', overlay: 'dcos', subnet: parseCidr('9.9.0.0/24'), agentId: parseAgentId('vip') });
    plan.register('a0', { held: held('44.128.0.1', '9.7.7.0/24') });
    for (const [n, subnet] of ['9.7.7.0/24', '9.8.3.0/24', '9.9.0.0/24', '9.10.0.0/25', '10.7.7.0/24'].entries()) {
      const agent = plan.register(`b${n + 1}`, { held: held(`44.128.0.${n + 2}`, subnet) });
      assert.equal(subnetOf(agent), undefined, subnet);
    }
    assert.equal(
      plan.refused(plan.request('c9', { held: held('44.128.0.1', '9.20.0.0/24') })).code,
      'failed-precondition',
    );
  });

  it('believes what an agent runs on rather than older records', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    plan.run({ kind: 'begin-adoption' });
    const agent = plan.register('a', { sequence: 2, held: held('44.128.0.9', '9.7.7.0/24') });
    assert.equal(subnetOf(agent), '9.7.7.0/24');
    assert.equal(plan.ipam.usage(plan.time)?.overlays[0]?.v4?.quarantined, 1n);
  });

  it('does not give a former holder what another has held and left since', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    plan.release('a');
    plan.run({ kind: 'begin-adoption' });
    plan.time += minute;
    assert.equal(subnetOf(plan.register('b1', { held: held('44.128.0.1', '9.0.0.0/24') })), '9.0.0.0/24');
    plan.release('b1');
    plan.run({ kind: 'end-adoption' });
    const back = plan.register('a', { sequence: 2 });
    assert.deepEqual([subnetOf(back), formatCidr4(back.vxlan.vtepIp)], ['9.0.1.0/24', '44.128.0.2/20']);
  });

  it('takes no notice of it otherwise', () => {
    const plan = new PlanUnderTest();
    assert.equal(subnetOf(plan.register('a', { held: held('44.128.0.9', '9.7.7.0/24') })), '9.0.0.0/24');
  });

  it('ends every earlier epoch: whoever names one must register again, and gets one of this cluster', () => {
    const plan = new PlanUnderTest({ reclaimMs: 60 * minute, quarantineMs: 15 * minute });
    const before = plan.register('a');
    const { events } = plan.run({ kind: 'begin-adoption' });
    const began = plan.index;
    assert.deepEqual(
      events.map((event) => event.kind === 'agent-changed' && [event.agent.agentId, event.agent.epoch]),
      [['a', began]],
    );
    assert.deepEqual(plan.ipam.awaited(10), { count: 1, first: [before.agentId] });
    assert.deepEqual(plan.ipam.awaited(0), { count: 1, first: [] });
    const { agentId, epoch } = before;
    for (const stale of [
      { kind: 'leave', agentId, epoch },
      { kind: 'expire', agentId, epoch },
      { kind: 'report-status', agentId, epoch, overlays: [] },
    ] as const) {
      const { code, message } = plan.refused(stale);
      assert.deepEqual([code, /its lease has epoch/.test(message)], ['aborted', true], message);
    }
    const again = plan.register('a', { sequence: 2, held: held('44.128.0.1', '9.0.0.0/24') });
    assert.equal(again.epoch, plan.index);
    assert.deepEqual(plan.ipam.awaited(10), { count: 0, first: [] });
    assert.ok(again.epoch > began);
    assert.deepEqual(
      [subnetOf(again), again.vxlan, again.registeredAt],
      ['9.0.0.0/24', before.vxlan, before.registeredAt],
    );
    // Once is enough: from here on it is a lease like any other.
    assert.equal(plan.register('a', { sequence: 3 }).epoch, again.epoch);
  });

  it('lets the lease of an agent that never came back run out', () => {
    const plan = new PlanUnderTest({ reclaimMs: 60 * minute, quarantineMs: 15 * minute });
    const { agentId } = plan.register('a');
    plan.run({ kind: 'begin-adoption' });
    plan.run({ kind: 'expire', agentId, epoch: plan.agent('a').epoch });
    assert.equal(plan.ipam.agentCount, 0);
  });

  it('does not make a host that was installed anew since wait for the one before', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    const anew = { instance: 'a-2', held: held('44.128.0.1', '9.0.0.0/24') };
    assert.equal(plan.refused(plan.request('a', anew)).code, 'already-exists');
    plan.run({ kind: 'begin-adoption' });
    assert.equal(plan.refused(plan.request('a', { ...anew, node: '10.0.0.9' })).code, 'already-exists');
    assert.equal(subnetOf(plan.register('a', anew)), '9.0.0.0/24');
    assert.equal(plan.refused(plan.request('a', { ...anew, instance: 'a-3' })).code, 'already-exists');
  });

  it('is part of the state, and begins anew with a plan that was saved while it lasted', () => {
    const plan = adopting();
    const { epoch } = plan.register('a', { held: held('44.128.0.1', '9.0.0.0/24') });
    assert.equal(plan.restored().adoption, true);
    const { result } = plan.run({ kind: 'begin-adoption' });
    assert.deepEqual(result, { kind: 'done', revision: plan.index, changed: true });
    assert.equal(plan.refused({ kind: 'leave', agentId: parseAgentId('a'), epoch }).code, 'aborted');
    assert.equal(plan.restored().hash(), plan.ipam.hash());
    const again = plan.register('a', { sequence: 2 });
    assert.equal(again.epoch, plan.index);
  });
});
