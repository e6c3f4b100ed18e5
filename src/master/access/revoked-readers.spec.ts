import assert from 'node:assert/strict';
import { Ipam } from '#ipam/ipam.js';
import { PlanUnderTest } from '#ipam/testing/plan-under-test.js';
import { RevokedReaders } from '#master/access/revoked-readers.js';

const operator = { cause: 'operator' } as const;
const since = 1_700_000_000_250;

describe('the list of revoked readers', () => {
  function revoke(plan: PlanUnderTest, ...identities: string[]): void {
    for (const identity of identities) plan.run({ kind: 'revoke-identity', identity, ...operator, release: false });
  }

  it('has viewers, operators and admins, and from when on their certificates are good, and nothing else', () => {
    const plan = new PlanUnderTest();
    revoke(plan, 'viewer/vera', 'agent/host-7', 'master/m9', 'operator/otto', 'admin/alice');
    plan.run({ kind: 'unrevoke-identity', identity: 'operator/otto', ...operator, acceptedFrom: since });
    assert.deepEqual(new RevokedReaders().of(plan.ipam, '').readers, [
      { identity: { role: 'admin', id: 'alice' }, acceptedFrom: null },
      { identity: { role: 'operator', id: 'otto' }, acceptedFrom: { seconds: 1_700_000_000, nanos: 250_000_000 } },
      { identity: { role: 'viewer', id: 'vera' }, acceptedFrom: null },
    ]);
  });

  it('is sent again under another version alone, which changes with its entries and with nothing else', () => {
    const plan = new PlanUnderTest();
    const list = new RevokedReaders();
    const none = list.of(plan.ipam, '');
    assert.deepEqual([none.readers, none.unchanged], [[], undefined]);
    revoke(plan, 'viewer/vera');
    const one = list.of(plan.ipam, none.version ?? '');
    assert.equal(one.readers?.length, 1);
    const unchanged = { version: one.version, unchanged: true };
    assert.deepEqual(list.of(plan.ipam, one.version ?? ''), unchanged);
    revoke(plan, 'agent/host-7');
    assert.deepEqual(list.of(plan.ipam, one.version ?? ''), unchanged);
    // A master that has loaded the plan knows no revision of the change, and another one has another revision.
    const restored = Ipam.restore(plan.ipam.records());
    assert.deepEqual(list.of(restored, one.version ?? ''), unchanged);
    assert.deepEqual(new RevokedReaders().of(restored, one.version ?? ''), unchanged);
    plan.run({ kind: 'unrevoke-identity', identity: 'viewer/vera', ...operator, acceptedFrom: since });
    const later = list.of(plan.ipam, one.version ?? '');
    assert.notEqual(later.version, one.version);
    plan.run({ kind: 'unrevoke-identity', identity: 'viewer/vera', ...operator, acceptedFrom: undefined });
    assert.equal(list.of(plan.ipam, later.version ?? '').version, none.version);
  });
});
