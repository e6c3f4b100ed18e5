import assert from 'node:assert/strict';
import { formatCidr4, parseCidr4 } from '#address/cidr4.js';
import { parseCidr, parseIp } from '#address/ip.js';
import { parseAgentId } from '#ipam/identity.js';
import { parseStatusError } from '#ipam/registration-fields.js';
import { dcos, everything, overlay, PlanUnderTest, subnetOf } from '#ipam/testing/plan-under-test.js';
import { viewAgent } from '#ipam/view/agent-view.js';

const minute = 60_000;

describe('rule 1, sticky: the same agent_id gets the same subnets and VTEP back while they are held or quarantined', () => {
  it('when it registers again', () => {
    const plan = new PlanUnderTest();
    const first = plan.register('a');
    plan.register('b1');
    const again = plan.run(plan.request('a'));
    assert.equal(again.result.kind === 'registered' && again.result.changed, false);
    assert.deepEqual(again.result.kind === 'registered' && viewAgent(again.result.agent), first);
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

  it('also when another block has been reserved for it: what it holds never changes under it', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    plan.run({ kind: 'reserve', overlay: 'dcos', subnet: parseCidr('9.7.7.0/24'), agentId: parseAgentId('a') });
    plan.run({
      kind: 'reserve',
      overlay: undefined,
      subnet: parseCidr('44.128.0.77/32'),
      agentId: parseAgentId('a'),
    });
    for (const again of [
      plan.register('a', { sequence: 2 }),
      plan.register('a', { instance: 'reinstalled', holders: [plan.judge('a', true)] }),
    ]) {
      assert.deepEqual([subnetOf(again), formatCidr4(again.vxlan.vtepIp)], ['9.0.0.0/24', '44.128.0.1/20']);
    }
    // What is reserved comes before what is quarantined, once the lease has ended.
    plan.release('a');
    const back = plan.register('a', { instance: 'reinstalled', sequence: 2 });
    assert.deepEqual([subnetOf(back), formatCidr4(back.vxlan.vtepIp)], ['9.7.7.0/24', '44.128.0.77/20']);
  });
});

describe('rule 2, never in two hands: a subnet, a VTEP address, a MAC and a node_ip have one holder', () => {
  it('refuses a second host that claims a live agent_id, naming its holder and when it was last heard', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    const refusal = plan.refused(
      plan.request('a', { instance: 'other', node: '10.0.0.7', holders: [plan.judge('a', false, 12)] }),
    );
    assert.equal(refusal.code, 'already-exists');
    assert.match(
      refusal.message,
      /agent_id "a": agent "a" on node 10\.0\.0\.1 holds it and was last heard 12s ago; stop it/,
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
    const overlays = [{ overlay: 'dcos', status: 'ok', error: parseStatusError('') }] as const;
    plan.run({ kind: 'report-status', agentId: first.agentId, epoch: first.epoch, overlays });
    plan.time += minute;
    const again = plan.register('a', { instance: 'other', holders: [plan.judge('a', true, 40)] });
    assert.equal(subnetOf(again), subnetOf(first));
    assert.deepEqual(again.vxlan, first.vxlan);
    assert.ok(again.epoch > first.epoch);
    // It is the same holder, but nothing of what its host had built is there any more.
    assert.equal(again.registeredAt, first.registeredAt);
    assert.equal(again.overlays[0]?.status, 'none');
  });

  it('does not take a silent holder on another node for the same host', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    const request = plan.request('a', { instance: 'other', node: '10.0.0.7', holders: [plan.judge('a', true, 40)] });
    assert.match(
      plan.refused(request).message,
      /silent, but on another node than 10\.0\.0\.7: release it, or register with takeover \(sublet agent --takeover\) for fresh subnets/,
    );
  });

  it('gives a takeover fresh subnets and quarantines the old ones, for this agent too', () => {
    const plan = new PlanUnderTest();
    const first = plan.register('a');
    plan.time += minute;
    const taken = plan.register('a', { instance: 'other', node: '10.0.0.7', takeover: true });
    assert.ok(taken.registeredAt > first.registeredAt && taken.epoch > first.epoch);
    assert.equal(subnetOf(taken), '9.0.1.0/24');
    assert.equal(plan.ipam.usage(plan.time)?.vtep.quarantined, 1n);
    const rests = plan.ipam.lookup(parseIp('9.0.0.1'), plan.time + 15 * minute - 1);
    assert.equal(rests.kind === 'overlay' && rests.state, 'quarantined');
    assert.equal(formatCidr4(taken.vxlan.vtepIp), '44.128.0.2/20');
    assert.equal(plan.ipam.usage(plan.time)?.overlays[0]?.v4?.quarantined, 1n);
    plan.release('a');
    assert.equal(subnetOf(plan.register('a', { instance: 'other', node: '10.0.0.7', sequence: 2 })), '9.0.1.0/24');
  });

  it('row 39: takes an id over once in a quarantine, whatever it does in between', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    const take = (instance: string) => plan.request('a', { instance, node: '10.0.0.7', takeover: true });
    const first = plan.register('a', { instance: 'i1', node: '10.0.0.7', takeover: true });
    plan.time += minute;
    for (let n = 2; n < 100; n++) {
      const { code, message } = plan.refused(take(`i${n}`));
      assert.equal(code, 'failed-precondition');
      assert.match(
        message,
        /was taken over before, and what it had then is quarantined: wait 14m, or .*\(sublet release --force a\)/,
      );
    }
    plan.run({ kind: 'leave', agentId: first.agentId, epoch: first.epoch });
    plan.register('a', { instance: 'i1', node: '10.0.0.7', sequence: 2 });
    plan.refused(take('i2'));
    assert.equal(plan.ipam.usage(plan.time)?.vtep.quarantined, 1n);
    plan.time += 14 * minute - 1;
    plan.refused(take('i2'));
    plan.time += 1;
    const second = plan.register('a', { instance: 'i2', node: '10.0.0.7', takeover: true });
    assert.ok(second.epoch > first.epoch);
    plan.refused(take('i3'));
    plan.release('a');
    plan.register('a', { instance: 'i3', node: '10.0.0.8' });
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
      /node_ip 10\.0\.0\.1 is taken: agent "a" on node 10\.0\.0\.1 holds it and was last heard 3s ago/,
    );
  });

  it('gives a node_ip whose holder is silent to the new claimant; the loser keeps its subnets but is not reached', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    const { events } = plan.run(plan.request('b', { node: '10.0.0.1', holders: [plan.judge('a', true, 40)] }));
    assert.deepEqual(
      events.map(
        (event) =>
          event.kind === 'agent-changed' && [
            event.agent.record.agentId,
            event.agent.record.reachable,
            event.statusOnly,
            subnetOf(viewAgent(event.agent)),
          ],
      ),
      [
        ['a', false, false, '9.0.0.0/24'],
        ['b', true, false, '9.0.1.0/24'],
      ],
    );
    const restored = plan.restored();
    assert.deepEqual(
      restored.agentsAfter(undefined, 9).map(({ agentId, reachable }) => [agentId, reachable]),
      [
        ['a', false],
        ['b', true],
      ],
    );
    const found = restored.lookup(parseIp('10.0.0.1'), plan.time);
    assert.equal(found.kind === 'node' && found.agentId, 'b');
    // Back at an address of its own it is reached again, at the same epoch.
    const back = plan.register('a', { sequence: 2, node: '10.0.0.9' });
    assert.deepEqual([back.reachable, subnetOf(back), back.epoch], [true, '9.0.0.0/24', 2]);
    // And it can't have the old one while the new holder lives.
    assert.equal(plan.refused(plan.request('a', { sequence: 3, node: '10.0.0.1' })).field, 'node_ip');
  });

  it('does not take a host at a node_ip that the silent holder has lost for the same host', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    plan.register('b', { node: '10.0.0.1', holders: [plan.judge('a', true, 40)] });
    plan.release('b');
    const claim = plan.request('a', { instance: 'other', node: '10.0.0.1', holders: [plan.judge('a', true, 60)] });
    assert.match(plan.refused(claim).message, /it is silent, but has lost that node_ip to another agent: release it/);
    // The holder itself has it back.
    assert.equal(plan.register('a', { sequence: 2 }).reachable, true);
  });

  it('takes a node_ip from its silent holder only with the whole registration', () => {
    const plan = new PlanUnderTest({ vtepSubnet: parseCidr4('44.128.0.0/28') });
    for (let n = 0; n < 14; n++) plan.register(`a${n}`);
    const request = plan.request('b', { node: '10.0.0.4', holders: [plan.judge('a3', true, 40)] });
    assert.equal(plan.refused(request).code, 'resource-exhausted');
    assert.equal(plan.agent('a3').reachable, true);
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

  it('refuses a second underlay family, but allows a lone agent to change it', () => {
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

  it('gives what an operator released back to the same host, installed anew', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    plan.release('a');
    assert.equal(subnetOf(plan.register('a', { instance: 'other' })), '9.0.0.0/24');
  });

  it('does not take a host at a node_ip that a released agent had lost for the same host', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    plan.register('b', { node: '10.0.0.1', holders: [plan.judge('a', true, 40)] });
    plan.release('b');
    plan.release('a');
    // The old host may be alive at another address, with the old subnet.
    plan.ipam = plan.restored();
    assert.equal(subnetOf(plan.register('a', { instance: 'other' })), '9.0.2.0/24');
  });

  it('nor where another agent was there between: the host that was released may be any other by now', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    plan.release('a');
    plan.register('b', { node: '10.0.0.1' });
    plan.release('b');
    plan.ipam = plan.restored();
    assert.equal(subnetOf(plan.register('a', { instance: 'other' })), '9.0.2.0/24');
  });

  it('nor where another agent has only passed by, but the instance itself has its own back all the same', () => {
    for (const [instance, subnet] of [
      ['other', '9.0.2.0/24'],
      ['a-1', '9.0.0.0/24'],
    ] as const) {
      const plan = new PlanUnderTest();
      plan.register('a');
      plan.register('b', { node: '10.0.0.2' });
      plan.release('a');
      plan.register('b', { sequence: 2, node: '10.0.0.1' });
      plan.register('b', { sequence: 3, node: '10.0.0.2' });
      assert.equal(subnetOf(plan.register('a', { instance, sequence: 2 })), subnet);
    }
  });

  it('gives what an agent left to the next holder of its id', () => {
    const plan = new PlanUnderTest();
    const { epoch } = plan.register('a');
    plan.run({ kind: 'leave', agentId: parseAgentId('a'), epoch });
    assert.equal(subnetOf(plan.register('a', { instance: 'other', node: '10.0.0.7' })), '9.0.0.0/24');
  });
});
