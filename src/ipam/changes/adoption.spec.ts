import assert from 'node:assert/strict';
import { formatCidr4, parseCidr4 } from '#address/cidr4.js';
import { parseCidr6 } from '#address/cidr6.js';
import { formatCidr, parseCidr } from '#address/ip.js';
import { parseIpv4 } from '#address/ipv4.js';
import { parseAgentId } from '#ipam/identity.js';
import { overlay, PlanUnderTest, subnetOf } from '#ipam/testing/plan-under-test.js';
import type { FullAgent } from '#ipam/view/full-agent.js';

const minute = 60_000;

describe('rule 12, adoption: what agents still hold is honoured where free, and no agent gets fresh blocks', () => {
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

  it('gives no agent anything fresh until it is ended', () => {
    const plan = adopting();
    const refusal = plan.refused(plan.request('a'));
    assert.equal(refusal.code, 'failed-precondition');
    assert.match(refusal.message, /in adoption: only held blocks are leased/);
    const half = plan.register('b1', { held: { vtepIp: parseIpv4('44.128.0.5'), subnets: [] } });
    assert.deepEqual(half.overlays, []);
    assert.deepEqual(
      half.problems.map(({ reason }) => reason),
      ['adoption'],
    );
    plan.run({ kind: 'end-adoption', missing: 99 });
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

  it('gives back one family of an overlay without the other, and keeps it when there is no room for that', () => {
    const plan = new PlanUnderTest({}, [overlay('both', '9.0.0.0/15', 16, 'fd01:b::/64', 80)]);
    plan.register('a0');
    plan.register('a1');
    plan.run({ kind: 'begin-adoption' });
    const six = { overlay: 'both', subnet: undefined, subnet6: parseCidr6('fd01:b:0:0:7::/80') };
    const half = plan.register('b2', { held: { vtepIp: parseIpv4('44.128.0.9'), subnets: [six] } });
    const shown = (agent: FullAgent) => [
      agent.overlays.map(({ subnet, subnet6 }) => [subnet, subnet6 && formatCidr(subnet6)]),
      agent.problems.map(({ family, reason }) => [family, reason]),
    ];
    assert.deepEqual(shown(half), [[[undefined, 'fd01:b:0:0:7::/80']], [[4, 'adoption']]]);
    plan.run({ kind: 'end-adoption', missing: 99 });
    assert.deepEqual(shown(plan.register('b2', { sequence: 2 })), [
      [[undefined, 'fd01:b:0:0:7::/80']],
      [[4, 'exhausted']],
    ]);
  });

  it('gives back what is held of an overlay that is disabled, and misses nothing else of it', () => {
    const plan = new PlanUnderTest();
    plan.run({ kind: 'update-overlay', name: 'dcos', enabled: false });
    plan.run({ kind: 'begin-adoption' });
    assert.equal(subnetOf(plan.register('a', { held: held('44.128.0.77', '9.7.7.0/24') })), '9.7.7.0/24');
    const none = plan.register('b1', { held: { vtepIp: parseIpv4('44.128.0.5'), subnets: [] } });
    assert.deepEqual([none.overlays, none.problems], [[], []]);
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
    plan.run({ kind: 'end-adoption', missing: 99 });
    const back = plan.register('a', { sequence: 2 });
    assert.deepEqual([subnetOf(back), formatCidr4(back.vxlan.vtepIp)], ['9.0.1.0/24', '44.128.0.2/20']);
  });

  it('does not give by older records what another may run on since', () => {
    const plan = new PlanUnderTest({}, [overlay('dcos', '9.0.0.0/8', 24), overlay('blue', '10.128.0.0/16', 24)]);
    for (const id of ['a', 'b1']) plan.register(id);
    plan.run({ kind: 'begin-adoption' });
    // It says nothing, since it was installed anew or had left: the record stands, and it waits.
    const refusal = plan.refused(plan.request('a', { sequence: 2 }));
    assert.match(refusal.message, /in adoption: only held blocks are leased/);
    assert.equal(subnetOf(plan.agent('a')), '9.0.0.0/24');
    // It runs on what another has on record, and gets nothing in its place.
    const other = plan.register('b1', { sequence: 2, held: held('44.128.0.2', '9.0.0.0/24') });
    assert.deepEqual(other.overlays, []);
    assert.deepEqual(
      other.problems.map(({ overlay: name, reason }) => [name, reason]),
      [
        ['blue', 'adoption'],
        ['dcos', 'adoption'],
      ],
    );
    // Once the other has corrected its record it gets what it runs on.
    plan.register('a', { sequence: 3, held: held('44.128.0.1', '9.7.7.0/24') });
    assert.equal(subnetOf(plan.register('b1', { sequence: 3, held: held('44.128.0.2', '9.0.0.0/24') })), '9.0.0.0/24');
    // And what it was granted in this cluster needs no claim.
    assert.equal(subnetOf(plan.register('b1', { sequence: 4 })), '9.0.0.0/24');
  });

  it('gives a silent agent what is on record, once it is ended', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    plan.run({ kind: 'begin-adoption' });
    plan.refused(plan.request('a', { sequence: 2 }));
    plan.run({ kind: 'end-adoption', missing: 99 });
    assert.equal(subnetOf(plan.register('a', { sequence: 2 })), '9.0.0.0/24');
  });

  it('believes what an agent runs on that comes after the end rather than its older record', () => {
    const plan = new PlanUnderTest({}, [overlay('dcos', '9.0.0.0/8', 24), overlay('blue', '10.128.0.0/16', 24)]);
    plan.register('a');
    plan.register('b1');
    const late = { sequence: 2, heldUnconfirmed: true };
    plan.run({ kind: 'begin-adoption' });
    plan.run({ kind: 'end-adoption', missing: 99 });
    const a = plan.register('a', { ...late, held: held('44.128.0.9', '9.7.7.0/24') });
    const dcosOf = (agent: FullAgent) => agent.overlays.find(({ info }) => info.name === 'dcos')?.subnet;
    assert.deepEqual([formatCidr4(a.vxlan.vtepIp), a.problems], ['44.128.0.9/20', []]);
    assert.equal(formatCidr4(dcosOf(a) ?? assert.fail()), '9.7.7.0/24');
    // What its older record named may be what another one runs on, which comes later still.
    const d = plan.register('d7', { heldUnconfirmed: true, held: held('44.128.0.1', '9.0.0.0/24') });
    assert.equal(formatCidr4(dcosOf(d) ?? assert.fail()), '9.0.0.0/24');
    assert.equal(formatCidr4(d.vxlan.vtepIp), '44.128.0.1/20');
    // From here on it is a lease like any other.
    assert.deepEqual(plan.register('a', { sequence: 3 }).overlays, a.overlays);
  });

  it('gives neither by the record nor afresh what an agent lacks that comes after the end, and another one holds', () => {
    const plan = new PlanUnderTest();
    for (const id of ['a', 'b1', 'c2']) plan.register(id);
    plan.run({ kind: 'begin-adoption' });
    plan.register('c2', { sequence: 2, held: held('44.128.0.3', '9.0.2.0/24') });
    plan.run({ kind: 'end-adoption', missing: 99 });
    const late = { sequence: 2, heldUnconfirmed: true };
    const agent = plan.register('a', { ...late, held: held('44.128.0.1', '9.0.2.0/24') });
    assert.deepEqual([agent.overlays, agent.problems.map(({ reason }) => reason)], [[], ['held-by-another']]);
    // What it runs on is what its record names.
    const other = plan.register('b1', { ...late, held: held('44.128.0.2', '9.0.1.0/24') });
    assert.deepEqual([subnetOf(other), formatCidr4(other.vxlan.vtepIp)], ['9.0.1.0/24', '44.128.0.2/20']);
  });

  it('gives one that comes after the end an overlay that it does not run on in both families or in none', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    // Two blocks of IPv6, which two other agents hold.
    const both = overlay('both', '10.128.0.0/16', 24, 'fd01:b::/80', 81);
    plan.run({ kind: 'add-overlay', overlay: both, source: 'operator' });
    for (const id of ['b1', 'c2']) plan.register(id);
    plan.run({ kind: 'begin-adoption' });
    plan.run({ kind: 'end-adoption', missing: 99 });
    const late = { sequence: 2, heldUnconfirmed: true };
    const agent = plan.register('a', { ...late, held: held('44.128.0.9', '9.7.7.0/24') });
    assert.deepEqual(
      agent.overlays.map(({ info }) => info.name),
      ['dcos'],
    );
    assert.deepEqual(
      agent.problems.map(({ overlay: name, reason }) => [name, reason]),
      [['both', 'exhausted']],
    );
  });

  it('takes no notice of it otherwise', () => {
    const plan = new PlanUnderTest();
    assert.equal(subnetOf(plan.register('a', { held: held('44.128.0.9', '9.7.7.0/24') })), '9.0.0.0/24');
  });

  it('ends every earlier epoch: an agent that names one must register again, and gets one of this cluster', () => {
    const plan = new PlanUnderTest({ reclaimMs: 60 * minute, quarantineMs: 15 * minute });
    const before = plan.register('a');
    const { events } = plan.run({ kind: 'begin-adoption' });
    const began = plan.index;
    assert.deepEqual(
      events.map((event) => event.kind === 'agent-changed' && [event.agent.record.agentId, event.agent.record.epoch]),
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

  it('releases an agent that has not come back with force only, however long it was not heard', () => {
    const plan = new PlanUnderTest();
    const { agentId } = plan.register('a');
    plan.run({ kind: 'begin-adoption' });
    const holders = [{ agentId, epoch: plan.agent('a').epoch, silent: true, lastHeard: undefined }];
    const release = { kind: 'release', agentIds: [agentId], force: false, holders } as const;
    const { code, message } = plan.refused(release);
    assert.equal(code, 'failed-precondition');
    assert.match(
      message,
      /has not come back since the adoption began; wait until it registers, or release it with force/,
    );
    plan.run({ ...release, force: true });
    const { agentId: other } = plan.register('b1', { held: held('44.128.0.2', '9.0.1.0/24') });
    const silent = [{ agentId: other, epoch: plan.agent('b1').epoch, silent: true, lastHeard: undefined }];
    plan.run({ ...release, agentIds: [other], holders: silent });
  });

  it('has the lease of an agent that never came back run out', () => {
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
    const again = plan.register('a', { sequence: 2, held: held('44.128.0.1', '9.0.0.0/24') });
    assert.equal(again.epoch, plan.index);
  });
});
