/** Revocation on real masters behind TLS; the rows in titles are those of the table of intrusions. */
import assert from 'node:assert/strict';
import { dirname } from 'node:path';
import { MasterClient } from '#api/master-client.js';
import { accessService, agentService, clusterService, operatorService } from '#api/services.js';
import { until as untilSeen } from '#cluster-test/process/condition.js';
import { refusalOf, SecureTrio } from '#master/testing/secure-trio.js';
import { until } from '#master/testing/until.js';
import { systemClock } from '#replica/ports/system-clock.js';
import { CertificateReloader } from '#tls/certificate/certificate-reloader.js';
import { masterCredentials } from '#tls/client-credentials.js';
import { writeTlsFiles } from '#tls/testing/test-authority.js';

const once = { idempotent: true };
const boundMs = 30_000;
const twice = { idempotent: false };

describe('a revoked identity', () => {
  let trio: SecureTrio;
  let admin: MasterClient;
  before(async () => {
    trio = await SecureTrio.start();
    admin = await trio.client('admin', 'root');
  });
  after(() => trio[Symbol.asyncDispose]());

  function registration(agentId: string, nodeIp: string, sequence = 1) {
    return { agentId, instanceId: `instance-${agentId}`, sequence, nodeIp };
  }

  /** With an open watch and an open keep-alive at one master; `ended` grows as they end. */
  async function busyAgent(id: string, nodeIp: string, at: number) {
    const master = trio.masters[at];
    assert.ok(master !== undefined);
    const client = await trio.client('agent', id, [master]);
    const { lease } = await client.call(agentService.register, registration(id, nodeIp), once);
    const ended: string[] = [];
    const keepAlive = client.bidiStream(agentService.keepAlive);
    const watch = client.serverStream(agentService.watch, { peersOnly: true });
    for (const [name, stream] of [
      ['keep-alive', keepAlive],
      ['watch', watch],
    ] as const) {
      stream.on('error', () => ended.push(name));
      stream.on('end', () => ended.push(name));
    }
    const begun = Promise.all(
      [keepAlive, watch].map((stream) => new Promise((resolve) => stream.once('data', resolve))),
    );
    watch.resume();
    keepAlive.write({ agentId: id, instanceId: `instance-${id}`, epoch: lease?.epoch ?? 0 });
    await begun;
    return { client, ended };
  }

  it('row 36: has its streams ended and its calls refused, with the reason, on every master', async () => {
    const agents = await Promise.all([0, 1, 2].map((at) => busyAgent(`r${at}`, `10.0.1.${at + 1}`, at)));
    const other = await busyAgent('innocent', '10.0.1.9', 1);
    for (const at of [0, 1, 2]) {
      await admin.call(accessService.revokeIdentity, { identity: { role: 'agent', id: `r${at}` } }, once);
    }
    await trio.settled();
    for (const [at, { client, ended }] of agents.entries()) {
      await until('its streams are ended', () => new Set(ended).size === 2);
      const why = new RegExp(
        `^PERMISSION_DENIED: agent/r${at} was revoked at .*Z by admin/root@127\\.0\\.0\\.1: \`sublet certs unrevoke agent/r${at}\` takes it back$`,
      );
      const again = registration(`r${at}`, `10.0.1.${at + 1}`, 2);
      assert.match(await refusalOf(client.call(agentService.register, again, once)), why);
      // By every other master as well.
      for (const master of trio.masters) {
        const fresh = await trio.client('agent', `r${at}`, [master]);
        assert.match(await refusalOf(fresh.call(accessService.whoAmI, {}, once)), why);
      }
    }
    assert.deepEqual(other.ended, [], 'no other connection is ended');
    const { entries } = await admin.call(operatorService.listHistory, { what: ['revoke-identity'] }, once);
    assert.deepEqual(
      entries.map(({ who, subjects }) => `${who} ${(subjects ?? []).join()}`),
      ['r0', 'r1', 'r2'].map((id) => `admin/root@127.0.0.1 agent/${id}`),
    );
  });

  it('keeps its lease, unless that is released with it', async () => {
    const agent = await trio.client('agent', 'leaving');
    await agent.call(agentService.register, registration('leaving', '10.0.2.1'), once);
    const identity = { role: 'agent', id: 'leaving' };
    const known = async (): Promise<string> =>
      refusalOf(admin.call(operatorService.getAgent, { agentId: 'leaving' }, once));
    await admin.call(accessService.revokeIdentity, { identity }, once);
    assert.equal(await known(), 'OK');
    // It is shown where the agent is, and in the status.
    const { agent: shown } = await admin.call(operatorService.getAgent, { agentId: 'leaving' }, once);
    assert.equal(shown?.revocation?.by, 'admin/root@127.0.0.1');
    const { agents: listed } = await admin.call(operatorService.listAgents, {}, once);
    assert.ok(listed.find(({ agentId }) => agentId === 'leaving')?.revocation);
    assert.equal(listed.find(({ agentId }) => agentId === 'innocent')?.revocation ?? null, null);
    const leader = trio.masters.find(({ services }) => services.leadership.seat.kind === 'here');
    const atLeader = await trio.client('admin', 'root', leader === undefined ? [] : [leader]);
    const { warnings } = await atLeader.call(clusterService.getStatus, {}, once);
    const warned = /^\d+ agents? (is|are) revoked and (holds its|hold their) lease still: /;
    assert.ok(warnings.some(({ message }) => warned.test(message ?? '')));
    const { released } = await admin.call(accessService.revokeIdentity, { identity, release: true }, once);
    assert.equal(released.length, 2);
    assert.match(await known(), /^NOT_FOUND/);
  });

  it('comes back whole, or with certificates that are issued later', async () => {
    const identity = { role: 'operator', id: 'alice' };
    const first = await trio.client('operator', 'alice');
    const outcome = (client: MasterClient): Promise<string> => refusalOf(client.call(accessService.whoAmI, {}, once));
    assert.equal(await outcome(first), 'OK');
    await admin.call(accessService.revokeIdentity, { identity }, once);
    await trio.settled();
    assert.match(await outcome(first), /operator\/alice was revoked/);
    await admin.call(accessService.unrevokeIdentity, { identity, laterCertificatesOnly: true }, twice);
    await trio.settled();
    const { revocations } = await admin.call(accessService.listRevocations, {}, once);
    const listed = revocations.find((each) => each.identity?.id === 'alice');
    assert.equal(listed?.by, 'admin/root@127.0.0.1');
    assert.ok((listed?.acceptedFrom?.seconds ?? 0) > 1_700_000_000);
    // Its certificate began an hour ago.
    assert.match(await outcome(first), /but for certificates that begin at .*Z or later: issue a new one/);
    const later = await trio.client('operator', 'alice', trio.masters, { fromMs: Date.now() });
    assert.equal(await outcome(later), 'OK');
    await admin.call(accessService.unrevokeIdentity, { identity }, twice);
    await trio.settled();
    assert.equal(await outcome(first), 'OK');
    assert.match(
      await refusalOf(admin.call(accessService.unrevokeIdentity, { identity }, twice)),
      /^NOT_FOUND: .*operator\/alice: it is not revoked/,
    );
  });

  it('comes back with a new certificate in place of the files, on a client that goes on', async () => {
    const identity = { role: 'operator', id: 'carol' };
    const uri = 'sublet://operator/carol';
    const files = await trio.files(uri);
    const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
    const certificate = new CertificateReloader({ files, allowed: ['operator'], timer: systemClock, log });
    const masters = trio.masters.map(({ addresses }) => addresses.api);
    const client = new MasterClient({ masters, credentials: masterCredentials(certificate) });
    const outcome = (): Promise<string> => refusalOf(client.call(accessService.whoAmI, {}, once));
    assert.equal(await outcome(), 'OK');
    await admin.call(accessService.revokeIdentity, { identity }, once);
    await trio.settled();
    assert.match(await outcome(), /operator\/carol was revoked/);
    await admin.call(accessService.unrevokeIdentity, { identity, laterCertificatesOnly: true }, twice);
    await trio.settled();
    assert.match(await outcome(), /but for certificates that begin at/);
    const { cert, key } = await trio.authority.issue(uri, { fromMs: Date.now() });
    writeTlsFiles(dirname(files.ca), { ca: trio.authority.pem, cert, key });
    await certificate.look();
    // The connection that was refused is ended soon, and the next one shows the new certificate.
    await untilSeen('the new certificate is taken', boundMs, async () => {
      assert.equal(await outcome(), 'OK');
      return true;
    });
    client.close();
    certificate.stop();
  });

  it('is not one of a member, and has a role and an id', async () => {
    const revoke = (role: string, id: string): Promise<string> =>
      refusalOf(admin.call(accessService.revokeIdentity, { identity: { role, id } }, once));
    assert.match(
      await revoke('master', 'm2'),
      /^FAILED_PRECONDITION: revoke master\/m2: it is a member; `sublet members remove m2` removes it and revokes/,
    );
    assert.match(await revoke('root', 'x'), /^INVALID_ARGUMENT: identity: /);
    assert.match(await revoke('agent', 'x y'), /^INVALID_ARGUMENT: identity: /);
    assert.match(
      await refusalOf(admin.call(accessService.revokeIdentity, {}, once)),
      /^INVALID_ARGUMENT: identity: "\/" is not an identity: ROLE\/ID is needed, such as agent\/host-7/,
    );
  });

  it('of a caller is what the certificate of its connection says', async () => {
    const viewer = await trio.client('viewer', 'vera');
    const { identity, serial, methods, master, ends } = await viewer.call(accessService.whoAmI, {}, once);
    assert.deepEqual([identity?.role, identity?.id], ['viewer', 'vera']);
    assert.match(serial, /^[0-9A-F]{16,}$/);
    assert.ok(methods.includes(clusterService.getStatus.path) && !methods.includes(operatorService.addOverlay.path));
    assert.match(master, /^m[123]$/);
    assert.ok(Math.abs((ends?.seconds ?? 0) - Date.now() / 1_000 - 3_600) < 60);
  });
});
