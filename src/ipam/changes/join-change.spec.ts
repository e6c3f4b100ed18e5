/** Tokens in the plan; the rows in titles are those of docs/intrusions.md. */
import assert from 'node:assert/strict';
import { parseIp } from '#address/ip.js';
import type { CreateToken, UseToken } from '#ipam/commands/command.js';
import type { Refusal } from '#ipam/commands/result.js';
import { Ipam } from '#ipam/ipam.js';
import { tokenState } from '#ipam/join-token.js';
import { certificatesPerKeyMax, tokensMax, tokenTtlMaxMs } from '#ipam/limits.js';
import { PlanUnderTest } from '#ipam/testing/plan-under-test.js';

const hourMs = 3_600_000;
const id = '1a'.repeat(16);
const key = (of: string): string => of.repeat(32);

const created = (more: Partial<CreateToken> = {}): CreateToken => ({
  kind: 'create-token',
  id,
  secretHash: '2b'.repeat(32),
  role: 'agent',
  subject: 'host-7',
  nodeIp: undefined,
  ttlMs: hourMs,
  uses: 1,
  ...more,
});
const use = (more: Partial<UseToken> = {}): UseToken => ({
  kind: 'use-token',
  id,
  secretHash: '2b'.repeat(32),
  role: 'agent',
  subject: 'host-7',
  address: parseIp('10.0.0.7'),
  keyHash: key('c1'),
  ...more,
});

describe('a token', () => {
  let plan: PlanUnderTest;
  beforeEach(() => {
    plan = new PlanUnderTest();
    plan.run(created(), { by: 'admin/alice@10.0.0.9' });
  });

  const stateOf = (of = id): string => {
    const token = plan.ipam.token(of);
    assert.ok(token);
    return tokenState(token, plan.time);
  };
  const refusal = (more: Partial<UseToken>): Refusal => plan.refused(use(more));

  it('row 30: is used once, and for the same key again, from the same address, a few times: its answer may be lost', () => {
    assert.equal(stateOf(), 'valid');
    assert.equal(plan.run(use()).result.kind, 'token');
    assert.equal(stateOf(), 'used');
    for (let times = 2; times <= certificatesPerKeyMax; times++) {
      assert.equal(plan.run(use()).result.kind, 'token');
      assert.deepEqual(plan.ipam.token(id)?.keys, [{ hash: key('c1'), address: parseIp('10.0.0.7'), times }]);
    }
    const more = 'make another one: sublet token create --role agent --id host-7';
    assert.equal(
      refusal({}).message,
      `join: token ${id} has brought this key 10 certificates, as many as may be; ${more}`,
    );
    assert.equal(
      refusal({ address: parseIp('10.0.0.8') }).message,
      `join: token ${id} was used for this key from 10.0.0.7, and the host now calls from 10.0.0.8; ${more}`,
    );
    assert.deepEqual(Ipam.restore(plan.ipam.records()).tokens(), plan.ipam.tokens());
    assert.match(
      refusal({ keyHash: key('c2') }).message,
      /was used once already; make another one: sublet token create/,
    );
  });

  it('row 35: is void for a revoked identity, also once that is taken back: another one is made then', () => {
    const identity = 'agent/host-7';
    const other = '7d'.repeat(16);
    plan.run(created({ id: other, subject: 'host-8' }));
    // The key that used it gets no certificate again, either.
    plan.run(use());
    plan.run({ kind: 'revoke-identity', identity, cause: 'operator', release: false }, { by: 'admin/root@10.0.0.9' });
    const why =
      /: agent\/host-7 was revoked by admin\/root@10\.0\.0\.9: sublet certs unrevoke agent\/host-7 --later-only$/;
    assert.match(refusal({}).message, /is revoked; make another one: sublet token create --role agent --id host-7$/);
    assert.match(plan.refused(created({ id: '5e'.repeat(16) })).message, why);
    plan.run({ kind: 'unrevoke-identity', identity, cause: 'operator', acceptedFrom: 1_000 });
    for (const keyHash of [key('c1'), key('c2')]) {
      assert.match(refusal({ keyHash }).message, /is revoked; make another/);
    }
    const later = '6e'.repeat(16);
    plan.run(created({ id: later }));
    assert.equal(plan.run(use({ id: later })).result.kind, 'token');
    plan.run({ kind: 'revoke-identity', identity, cause: 'operator', release: false });
    plan.run({ kind: 'unrevoke-identity', identity, cause: 'operator', acceptedFrom: undefined });
    assert.deepEqual([id, later, other].map(stateOf), ['revoked', 'revoked', 'valid']);
    assert.deepEqual(Ipam.restore(plan.ipam.records()).tokens(), plan.ipam.tokens());
    // A master that was removed gets its certificate before it is added again.
    const m3 = { role: 'master', subject: 'm3' } as const;
    plan.run({ kind: 'revoke-identity', identity: 'master/m3', cause: 'removal', release: false });
    plan.run(created({ ...m3, id: '5e'.repeat(16) }));
    assert.equal(plan.run(use({ ...m3, id: '5e'.repeat(16) })).result.kind, 'token');
  });

  it('is used by as many keys as it was made for', () => {
    const many = '4d'.repeat(16);
    plan.run(created({ id: many, uses: 2 }));
    plan.run(use({ id: many, keyHash: key('c1') }));
    plan.run(use({ id: many, keyHash: key('c2') }));
    assert.match(refusal({ id: many, keyHash: key('c3') }).message, /was used 2 times already/);
    assert.equal(plan.run(use({ id: many, keyHash: key('c1') })).result.kind, 'token');
    // A key is of one host, also while the token has uses left.
    const left = '8e'.repeat(16);
    plan.run(created({ id: left, uses: 2 }));
    plan.run(use({ id: left, keyHash: key('c1') }));
    assert.match(refusal({ id: left, address: parseIp('fd00::7') }).message, /the host now calls from fd00::7/);
    assert.equal(stateOf(left), 'valid');
  });

  it('row 31: is of no use after its time, which is cluster time, once revoked, or for anything else', () => {
    assert.match(
      refusal({ subject: 'host-8' }).message,
      /is for agent\/host-7, and agent\/host-8 has tried to use it; set id to host-7, or make another one: sublet token create --role agent --id host-8$/,
    );
    assert.match(
      refusal({ role: 'master' }).message,
      /is for agent\/host-7, and master\/host-7 has tried to use it; make another one: sublet token create --role master --id host-7$/,
    );
    const bound = '5e'.repeat(16);
    plan.run(created({ id: bound, nodeIp: parseIp('10.0.0.7') }));
    assert.match(
      refusal({ id: bound, address: parseIp('10.0.0.8') }).message,
      /is for a host that calls from 10\.0\.0\.7, and this one calls from 10\.0\.0\.8; make another one: .* --node-ip 10\.0\.0\.8$/,
    );
    plan.run({ kind: 'revoke-token', id: bound });
    assert.equal(stateOf(bound), 'revoked');
    assert.match(refusal({ id: bound }).message, /is revoked/);
    plan.time += hourMs - 1;
    assert.equal(stateOf(), 'valid');
    plan.time += 1;
    assert.equal(stateOf(), 'ended');
    assert.match(refusal({}).message, /has ended/);
  });

  it('says nothing of itself without its secret', () => {
    const unknown = refusal({ id: '6f'.repeat(16) });
    const guessed = refusal({ secretHash: '2c'.repeat(32), subject: 'host-8' });
    assert.deepEqual(guessed, unknown);
    assert.match(unknown.message, /there is no such token/);
  });

  it('certifies no other key after it was revoked, and none at all', () => {
    plan.run(use());
    plan.run({ kind: 'revoke-token', id });
    assert.match(refusal({}).message, /is revoked/);
    const again = plan.run({ kind: 'revoke-token', id }).result;
    assert.ok(again.kind === 'token' && !again.changed);
    assert.match(plan.refused({ kind: 'revoke-token', id: '6f'.repeat(16) }).message, /there is no token 6f6f/);
  });

  it('is in the history: its maker, its user, its revoker', () => {
    plan.run(use(), { by: 'joining@10.0.0.7' });
    plan.run({ kind: 'revoke-token', id }, { by: 'admin/bob@10.0.0.9' });
    const entries = plan.ipam.history({ after: 1, limit: 9 });
    assert.deepEqual(
      entries.map(({ what, who, subjects, detail }) => [what, who, subjects, detail]),
      [
        ['create-token', 'admin/alice@10.0.0.9', [id, 'host-7'], 'for agent/host-7, 1 use'],
        ['use-token', 'joining@10.0.0.7', [id, 'host-7'], 'agent/host-7 joined'],
        ['revoke-token', 'admin/bob@10.0.0.9', [id, 'host-7'], 'for agent/host-7'],
      ],
    );
  });

  it('is the same after a restart', () => {
    plan.run(use());
    const restored = Ipam.restore(plan.ipam.records());
    assert.deepEqual(restored.tokens(), plan.ipam.tokens());
    assert.equal(restored.hash(), plan.ipam.hash());
  });

  it('is void after a restore or a proof that the plan went back: it may have been used since', () => {
    plan.run({ kind: 'begin-adoption' });
    assert.deepEqual(plan.ipam.tokens(), []);
    assert.match(refusal({}).message, /there is no such token/);
  });

  it('is made with an id, a time and a number of uses that may be', () => {
    const other = '7a'.repeat(16);
    for (const [more, says] of [
      [{ subject: '' }, /id "" has 0 characters: 1 to 253 of \[A-Za-z0-9\._:-\] are allowed for agents/],
      [{ subject: 'a b' }, /id "a b" has 3 characters/],
      [{ role: 'master', subject: 'M1' }, /1 to 63 of \[a-z0-9\.-\] are allowed for masters/],
      [{ ttlMs: 0 }, /ttl_ms is 0: 1 to 86400000/],
      [{ ttlMs: tokenTtlMaxMs + 1 }, /ttl_ms is 86400001/],
      [{ uses: 0 }, /uses is 0: 1 to 100/],
      [{ uses: 101 }, /uses is 101: 1 to 100/],
    ] as const) {
      assert.match(plan.refused(created({ id: other, ...more })).message, says);
    }
    assert.match(plan.refused(created()).message, /is there already/);
  });

  it('is listed until a day after its end, and makes room then', () => {
    for (let at = 1; at < tokensMax; at++) plan.run(created({ id: at.toString(16).padStart(32, '0') }));
    assert.match(plan.refused(created({ id: '7a'.repeat(16) })).message, /1000 tokens are listed/);
    plan.time += hourMs + tokenTtlMaxMs;
    plan.run(created({ id: '7a'.repeat(16) }));
    assert.deepEqual(
      plan.ipam.tokens().map((token) => token.id),
      ['7a'.repeat(16)],
    );
  });
});
