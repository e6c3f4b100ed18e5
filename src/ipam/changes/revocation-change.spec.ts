import assert from 'node:assert/strict';
import { parseAgentId } from '#ipam/identity.js';
import { Ipam } from '#ipam/ipam.js';
import { revocationsMax } from '#ipam/limits.js';
import { PlanUnderTest } from '#ipam/testing/plan-under-test.js';

describe('a revoked identity', () => {
  const operator = { cause: 'operator', release: false } as const;
  const revoke = (identity: string) => ({ kind: 'revoke-identity', identity, ...operator }) as const;
  const lift = (identity: string, acceptedFrom?: number) =>
    ({ kind: 'unrevoke-identity', identity, cause: 'operator', acceptedFrom }) as const;
  const said = (plan: PlanUnderTest): readonly string[] =>
    plan.ipam
      .history({ after: 0, limit: 100 })
      .filter(({ what }) => what.endsWith('revoke-identity') || what === 'release')
      .map(({ what, subjects, detail }) => [what, subjects[0], detail].join(' ').trim());

  it('is in the plan, in its records and in the history, once', () => {
    const plan = new PlanUnderTest();
    plan.run(revoke('agent/host-7'));
    const at = plan.ipam.revocationsChangedAt;
    assert.equal(at, plan.index);
    assert.equal(plan.run(revoke('agent/host-7')).changes.length, 0, 'again: nothing changes');
    assert.equal(plan.ipam.revocationsChangedAt, at);
    const found = plan.ipam.revocation('agent/host-7');
    assert.deepEqual([found?.cause, found?.acceptedFrom], ['operator', undefined]);
    assert.equal(plan.ipam.revocation('agent/host-8'), undefined);
    const restored = Ipam.restore(plan.ipam.records());
    assert.deepEqual(restored.revocations(), plan.ipam.revocations());
    assert.equal(restored.hash(), plan.ipam.hash());
    assert.deepEqual(said(plan), ['revoke-identity agent/host-7']);
  });

  it('gives its lease back if that is asked for, also when it is revoked already', () => {
    const plan = new PlanUnderTest();
    plan.register('host-7');
    plan.register('host-8');
    plan.run(revoke('agent/host-7'));
    assert.ok(plan.ipam.agent(parseAgentId('host-7')) !== undefined);
    const { result } = plan.run({ ...revoke('agent/host-7'), release: true });
    assert.equal(result.kind === 'released' && result.released.length, 2);
    assert.equal(plan.ipam.agent(parseAgentId('host-7')), undefined);
    assert.ok(plan.ipam.agent(parseAgentId('host-8')) !== undefined);
    // Without a lease there is nothing to give back.
    plan.run({ ...revoke('agent/host-9'), release: true });
    const refusal = plan.refused({ ...revoke('operator/alice'), release: true });
    assert.match(refusal.message, /revoke operator\/alice: release is for agents only/);
    assert.deepEqual(said(plan), [
      'revoke-identity agent/host-7',
      'release host-7 is quarantined for 15m',
      'revoke-identity agent/host-9',
    ]);
  });

  it('is lifted whole, or for certificates that begin later', () => {
    const plan = new PlanUnderTest();
    plan.run(revoke('agent/a'));
    plan.run(lift('agent/a', 5_000));
    assert.equal(plan.ipam.revocation('agent/a')?.acceptedFrom, 5_000);
    plan.run(revoke('agent/a'));
    assert.equal(plan.ipam.revocation('agent/a')?.acceptedFrom, undefined, 'revoked once more: all of them');
    plan.run(lift('agent/a'));
    assert.equal(plan.ipam.revocation('agent/a'), undefined);
    assert.deepEqual(Ipam.restore(plan.ipam.records()).revocations(), []);
    assert.match(plan.refused(lift('agent/a')).message, /unrevoke agent\/a: it is not revoked/);
    assert.deepEqual(said(plan), [
      'revoke-identity agent/a',
      'unrevoke-identity agent/a later certificates alone',
      'revoke-identity agent/a',
      'unrevoke-identity agent/a',
    ]);
  });

  it('of a master that was removed is lifted when it is added again, unless an admin has revoked it, too', () => {
    const plan = new PlanUnderTest();
    const removed = { ...revoke('master/m3'), cause: 'removal' } as const;
    const added = { ...lift('master/m3'), cause: 'removal' } as const;
    plan.run(removed);
    plan.run(added);
    assert.equal(plan.ipam.revocation('master/m3'), undefined);
    plan.run(removed);
    plan.run(revoke('master/m3'));
    assert.equal(plan.run(removed).changes.length, 0, 'it stays the admin’s');
    assert.match(plan.refused(added).message, /unrevoke master\/m3: .* has revoked it/);
    assert.equal(plan.ipam.revocation('master/m3')?.cause, 'operator');
    plan.run(lift('master/m3'));
  });

  it('has a name that can be one, and there is a limit to how many there are', () => {
    const plan = new PlanUnderTest();
    for (const wrong of ['', 'agent', 'agent/', '/x', 'Agent/x', 'agent/x/y', 'agent/é', `agent/${'a'.repeat(254)}`]) {
      assert.match(plan.refused(revoke(wrong)).message, /identity ".*": ROLE\/ID is needed, such as agent\/host-7/);
    }
    for (let n = 0; n < revocationsMax; n++) plan.run(revoke(`agent/a${n}`));
    assert.match(plan.refused(revoke('agent/more')).message, /10000 identities are revoked, as many as may be/);
    plan.run(revoke('agent/a1'));
  });
});
