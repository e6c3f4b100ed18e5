import assert from 'node:assert/strict';
import { formatCidr, parseIp } from '#address/ip.js';
import { parseAgentId } from '#ipam/identity.js';
import { parseStatusError } from '#ipam/registration-fields.js';
import { everything, PlanUnderTest, subnetOf } from '#ipam/testing/plan-under-test.js';

const minute = 60_000;

describe('rule 3, fenced: what is late or stale is ABORTED and changes nothing', () => {
  const a = parseAgentId('a');

  it('row 38: a lower sequence of the same instance', () => {
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
    const hostname = plan.refused(plan.request('a', { sequence: 5, hostname: 'renamed' }));
    assert.match(hostname.message, /another hostname/);
    for (const other of [
      { allocateSubnet: false },
      { mesosBridge: false },
      { dockerBridge: false },
      { enableIpv6: false },
      { overlayMtu: 1400 },
      { dockerBridge: false, split: false },
    ]) {
      const networkConfig = { ...everything, ...other };
      assert.match(plan.refused(plan.request('a', { sequence: 5, networkConfig })).message, /another network_config/);
    }
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

  it('row 38: a late retry of a lease that has ended since', () => {
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

  it('remembers the last four instances before the present one, and no more', () => {
    const plan = new PlanUnderTest();
    for (const n of [1, 2, 3, 4, 5]) plan.register('a', { instance: `i${n}`, holders: [plan.judge('a', true)] });
    const late = (n: number) => plan.request('a', { instance: `i${n}`, holders: [plan.judge('a', true)] });
    for (const n of [1, 2, 3, 4]) assert.equal(plan.refused(late(n)).code, 'aborted', `i${n}`);
    plan.register('a', { instance: 'i6', holders: [plan.judge('a', true)] });
    for (const n of [2, 3, 4, 5]) assert.equal(plan.refused(late(n)).code, 'aborted', `i${n}`);
    // One that is forgotten is a stranger like any other.
    assert.equal(plan.refused({ ...late(1), holders: [] }).code, 'already-exists');
  });

  it('status reports, leaves and expiries of another epoch', () => {
    const plan = new PlanUnderTest({ reclaimMs: 24 * 60 * minute, quarantineMs: 24 * 60 * minute });
    const { epoch } = plan.register('a');
    for (const stale of [epoch - 1, epoch + 1]) {
      const status = { overlay: 'dcos', status: 'ok', error: parseStatusError('') } as const;
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

  it('row 38: a leave that comes again after the agent has come and gone once more', () => {
    const plan = new PlanUnderTest();
    const first = plan.register('a');
    plan.run({ kind: 'leave', agentId: a, epoch: first.epoch });
    const second = plan.register('a', { sequence: 2 });
    plan.run({ kind: 'leave', agentId: a, epoch: second.epoch });
    const refusal = plan.refused({ kind: 'leave', agentId: a, epoch: first.epoch });
    assert.match(refusal.message, /leave of agent_id "a" at epoch 2: its lease of epoch 4 has ended/);
  });

  it('a leave of a lease that an operator has released', () => {
    const plan = new PlanUnderTest();
    const { epoch } = plan.register('a');
    plan.release('a');
    assert.equal(plan.refused({ kind: 'leave', agentId: a, epoch }).code, 'aborted');
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
