import assert from 'node:assert/strict';
import { formatCidr } from '#address/ip.js';
import { overlay, PlanUnderTest } from '#ipam/testing/plan-under-test.js';

const minute = 60_000;

function twoOverlays(): PlanUnderTest {
  return new PlanUnderTest({}, [overlay('dcos', '9.0.0.0/8', 24), overlay('web', '10.1.0.0/16', 24)]);
}

const held = (plan: PlanUnderTest, id: string): readonly string[] =>
  plan.ipam
    .agentsAfter(undefined, 100)
    .filter(({ agentId }) => agentId === id)
    .flatMap(({ overlays }) => overlays.map(({ info, subnet }) => `${info.name} ${subnet ? formatCidr(subnet) : ''}`));

describe('an overlay that is drained', () => {
  it('is given back by one agent after the other, quarantined, and removed; the other overlay stays as it is', () => {
    const plan = twoOverlays();
    const a = plan.register('a1');
    const b = plan.register('a2');
    plan.run({ kind: 'drain-overlay', name: 'web' }, { by: 'ann' });
    assert.match(
      plan.refused({ kind: 'remove-overlay', name: 'web' }).message,
      /2 of its subnets are held; agents give/,
    );
    assert.deepEqual(
      held(plan, 'a1'),
      ['dcos 9.0.0.0/24', 'web 10.1.0.0/24'],
      'what is held stays held until it is given back',
    );
    plan.run({ kind: 'return-overlays', agentId: a.agentId, epoch: a.epoch, overlays: ['web'] });
    assert.deepEqual(held(plan, 'a1'), ['dcos 9.0.0.0/24']);
    assert.deepEqual(held(plan, 'a2'), ['dcos 9.0.1.0/24', 'web 10.1.1.0/24']);
    assert.equal(plan.ipam.lease(a.agentId)?.epoch, a.epoch, 'the lease goes on');
    plan.run({ kind: 'return-overlays', agentId: b.agentId, epoch: b.epoch, overlays: ['web'] });
    assert.match(plan.refused({ kind: 'remove-overlay', name: 'web' }).message, /in quarantine for another 15m/);
    plan.time += 15 * minute;
    plan.run({ kind: 'remove-overlay', name: 'web' });
    const last = plan.ipam
      .history({ after: 0, limit: 4 })
      .map(({ what, who, subjects, detail }) => [what, who, subjects, detail]);
    assert.deepEqual(last.slice(0, 3), [
      ['drain-overlay', 'ann', ['web'], '10.1.0.0/16 prefix 24, enabled → 10.1.0.0/16 prefix 24, draining'],
      ['return-overlays', 'a1', ['10.1.0.0/24'], 'is quarantined for 15m'],
      ['return-overlays', 'a2', ['10.1.1.0/24'], 'is quarantined for 15m'],
    ]);
    assert.equal(plan.restored().hash(), plan.ipam.hash());
  });

  it('allocates nothing of it, and what was given back not before its quarantine is over', () => {
    const plan = twoOverlays();
    const a = plan.register('a1');
    plan.run({ kind: 'drain-overlay', name: 'web' });
    plan.register('a2');
    assert.deepEqual(held(plan, 'a2'), ['dcos 9.0.1.0/24']);
    plan.run({ kind: 'return-overlays', agentId: a.agentId, epoch: a.epoch, overlays: ['web'] });
    plan.run({ kind: 'update-overlay', name: 'web', enabled: true });
    plan.register('a3');
    assert.deepEqual(held(plan, 'a3'), ['dcos 9.0.2.0/24', 'web 10.1.1.0/24'], 'not the quarantined block');
  });

  it('is returned once: a repetition changes nothing, and another epoch gives nothing back', () => {
    const plan = twoOverlays();
    const a = plan.register('a1');
    plan.run({ kind: 'drain-overlay', name: 'web' });
    const late = plan.refused({ kind: 'return-overlays', agentId: a.agentId, epoch: a.epoch - 1, overlays: ['web'] });
    assert.equal(late.code, 'aborted');
    const give = { kind: 'return-overlays', agentId: a.agentId, epoch: a.epoch, overlays: ['web', 'none'] } as const;
    plan.run(give);
    const { revision } = plan.ipam;
    plan.run(give);
    assert.equal(plan.ipam.revision, revision);
    plan.run({ kind: 'drain-overlay', name: 'web' });
    assert.equal(plan.ipam.revision, revision, 'it drains already');
  });

  it('stays with its holders once it is enabled again', () => {
    const plan = twoOverlays();
    const a = plan.register('a1');
    plan.run({ kind: 'drain-overlay', name: 'web' });
    plan.run({ kind: 'update-overlay', name: 'web', enabled: true });
    const kept = plan.refused({ kind: 'return-overlays', agentId: a.agentId, epoch: a.epoch, overlays: ['web'] });
    assert.match(kept.message, /overlay "web" is not draining: the agent keeps its subnet/);
    assert.deepEqual(held(plan, 'a1'), ['dcos 9.0.0.0/24', 'web 10.1.0.0/24']);
    assert.equal(plan.ipam.overlay('web')?.draining, undefined);
  });

  it('is no reason to enable it again where a file still names it', () => {
    const plan = twoOverlays();
    const file = plan.ipam.network?.overlays ?? [];
    plan.run({ kind: 'drain-overlay', name: 'web' });
    const remedies = plan.ipam.disagreements({}, file).differences.map(({ remedy }) => remedy);
    assert.deepEqual(remedies, ['it is drained to be removed: take it out of the file']);
  });

  it('stays draining when it grows or is disabled, and is not there for another name', () => {
    const plan = twoOverlays();
    plan.run({ kind: 'drain-overlay', name: 'web' });
    plan.run({ kind: 'update-overlay', name: 'web', enabled: false });
    assert.equal(plan.ipam.overlay('web')?.draining, true);
    assert.equal(plan.refused({ kind: 'drain-overlay', name: 'blue' }).code, 'not-found');
    assert.match(plan.refused({ kind: 'remove-overlay', name: 'blue' }).message, /there is no overlay/);
  });
});
