import assert from 'node:assert/strict';
import { credentials } from '@grpc/grpc-js';
import { certificateService, clusterService, operatorService } from '#api/services.js';
import { ForwardLink } from '#master/forward/forward-link.js';
import { callerMessage, callerOfMessage, forwardMethods } from '#master/forward/forward-method.js';
import { refusal } from '#master/testing/refusal.js';
import { TestMasters } from '#master/testing/test-masters.js';
import { type Caller, type CallerPrincipal, noCaller } from '#tls/caller.js';
import { callerNamed } from '#tls/testing/test-caller.js';

const once = { idempotent: true };
const twice = { idempotent: false };

function overlay(name: string, at: number) {
  return { overlay: { name, subnet: `10.${128 + at}.0.0/16`, prefix: 24, enabled: true } };
}

/** Hands a call to the leader, over a connection of its own. */
async function handOn(masters: TestMasters, path: string, request: Uint8Array, caller: Caller): Promise<Uint8Array> {
  const { peer } = masters.master(0).member.info;
  const plan = { clusterId: 'test', incarnation: 'f1' };
  const link = new ForwardLink({ peer, plan, credentials: credentials.createInsecure() });
  try {
    return await link.call(path, request, 5_000, caller);
  } finally {
    link.close();
  }
}

describe('the caller of a forwarded call', () => {
  it('reaches the leader with its address, identity and the begin of its certificate', () => {
    const host = '10.0.0.7:4711';
    const callers: readonly Caller[] = [
      noCaller,
      callerNamed(host),
      callerNamed(`agent/host:7@${host}`),
      { principal: { role: 'operator', id: 'alice', beginsMs: 1_800_000_000_123 }, address: '[2001:db8::1]:4711' },
      // On the admin socket there is no certificate.
      { principal: { role: 'admin', id: 'local/uid-0' }, address: 'm1:0' },
    ];
    for (const caller of callers) assert.deepEqual(callerOfMessage(callerMessage(caller)), caller);
    assert.throws(
      () => callerOfMessage({ address: host, identity: { role: 'root', id: 'x' } }),
      /^RefusedError: there is no role "root"/,
    );
  });

  it('row 77: has an id and an address of a form that a master makes, which the history can keep', async () => {
    const named = (id: string, address = '10.0.0.7:4711') => ({ address, identity: { role: 'operator', id } });
    for (const id of ['al\u001bice', 'al ice', 'a'.repeat(254)]) {
      assert.throws(() => callerOfMessage(named(id)), /^RefusedError: caller\.identity\.id "al?/);
    }
    assert.throws(
      () => callerOfMessage(named('alice', '1'.repeat(129))),
      /caller\.address has 129 characters: 128 at most/,
    );
    await using masters = await TestMasters.start();
    const { path, request } = forwardMethods.recordBackup;
    for (const [by, master, wrong] of [
      ['x'.repeat(254), 'm1', /^RefusedError: by has 254 characters: 253 at most are allowed/],
      ['admin/a@m1', 'm'.repeat(64), /^RefusedError: master has 64 characters: 63 at most are allowed/],
    ] as const) {
      await assert.rejects(handOn(masters, path, request.encode({ by, master }).finish(), noCaller), wrong);
    }
  });

  it('is judged by the leader, by the begin of its certificate, where the other master has not applied a revocation', async () => {
    let principal: CallerPrincipal = { role: 'operator', id: 'alice', beginsMs: 1_999_999 };
    await using masters = await TestMasters.start({
      count: 2,
      callerOf: (address) => ({ principal, address }),
    });
    const [leader, follower] = [masters.client(0), masters.client(1)];
    await follower.call(operatorService.addOverlay, overlay('first', 0), twice);
    masters.master(1).member.lags = true;
    await masters.master(0).services.plan.change({
      kind: 'revoke-identity',
      identity: 'operator/alice',
      cause: 'operator',
      release: false,
      wallTime: 1_000_000,
      by: 'admin/root@10.0.0.1',
    });
    await masters.master(0).services.plan.change({
      kind: 'unrevoke-identity',
      identity: 'operator/alice',
      cause: 'operator',
      acceptedFrom: 2_000_000,
      wallTime: 2_000_000,
      by: 'admin/root@10.0.0.1',
    });
    assert.equal(masters.master(1).machine.ipam.revocation('operator/alice'), undefined, 'the follower lags');
    const refused = await refusal(follower.call(operatorService.addOverlay, overlay('stolen', 1), twice));
    assert.equal(refused.code, 'PERMISSION_DENIED');
    assert.match(
      refused.message,
      /operator\/alice was revoked .* but for certificates that begin at 1970-.*Z or later/,
    );
    principal = { ...principal, beginsMs: 2_000_000 };
    await follower.call(operatorService.addOverlay, overlay('own', 2), twice);
    const { overlays } = await leader.call(operatorService.listOverlays, {}, once);
    assert.deepEqual(overlays.map((each) => each.overlay?.name).sort(), ['dcos', 'first', 'own']);
  });

  it('has to be named behind TLS, but for what masters call for themselves', async () => {
    await using masters = await TestMasters.start({ count: 2, peerNameAt: () => 'm2' });
    const { code, message } = await refusal(masters.client(1).call(operatorService.addOverlay, overlay('x', 0), twice));
    assert.equal(code, 'PERMISSION_DENIED');
    assert.match(message, /AddOverlay: the call was handed on without the identity of its caller/);
    const { path, request } = forwardMethods.keepAlives;
    await handOn(masters, path, request.encode({}).finish(), noCaller);
  });

  it('is not needed behind TLS where a follower asks the leader for its account of the masters and agents', async () => {
    let principal: CallerPrincipal = { role: 'agent', id: 'agent-1' };
    const callerOf = (address: string): Caller => ({ principal, address });
    await using masters = await TestMasters.start({ count: 2, peerNameAt: () => 'm2', callerOf });
    await masters.register('agent-1');
    principal = { role: 'viewer', id: 'vera' };
    const { leader, name, agents } = await masters.client(1).call(clusterService.getStatus, {}, once);
    assert.notEqual(name, leader, 'a follower answers');
    assert.deepEqual([agents?.total, agents?.live], [1, 1]);
    assert.equal((await masters.client(1).call(clusterService.listMembers, {}, once)).accountOf, leader);
    // With the address of a caller it is a call of that caller.
    const { path, request } = clusterService.getStatus;
    await assert.rejects(
      handOn(masters, path, request.encode({}).finish(), callerNamed('10.0.0.9:1')),
      /GetStatus: the call was handed on without the identity of its caller/,
    );
  });
});

describe('a master that hands calls on', () => {
  it('row 77: asks for a certificate of its own name, and of no other master', async () => {
    await using masters = await TestMasters.start({ count: 2, peerNameAt: () => 'm2' });
    const { path, request } = certificateService.renew;
    const renew = (subject: string) =>
      handOn(
        masters,
        path,
        request.encode({ role: 'master', subject }).finish(),
        callerNamed(`master/${subject}@10.0.0.9:1`),
      );
    await assert.rejects(
      renew('m1'),
      /Renew: master\/m2 has handed on a call in the name of master\/m1: a master calls in its own name alone/,
    );
    // These masters have no certificates: its own call came as far as that.
    await assert.rejects(renew('m2'), /renew: this master is without TLS and has no certificates/);
  });

  it('row 26: is a member, by the name of its certificate, as the other end knows the members', async () => {
    let name = 'm9';
    await using masters = await TestMasters.start({ count: 2, peerNameAt: () => name });
    const { path, request } = operatorService.listOverlays;
    const list = () => handOn(masters, path, request.encode({}).finish(), callerNamed('viewer/vera@10.0.0.9:1'));
    const unknown = /master\/m9 is not a member of this cluster, as this master knows it/;
    await assert.rejects(list(), (error) => error instanceof Error && unknown.test(error.message));
    name = 'm2';
    assert.ok((await list()).length > 0);
  });
});
