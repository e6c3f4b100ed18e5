import assert from 'node:assert/strict';
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MasterClient } from '#api/master-client.js';
import { accessService, agentService, clusterService, operatorService } from '#api/services.js';
import { adminSocketName } from '#master/access/admin-socket.js';
import { refusalOf, SecureTrio } from '#master/testing/secure-trio.js';
import { until } from '#master/testing/until.js';

const once = { idempotent: true };
const twice = { idempotent: false };

describe('the admin socket of a master', () => {
  let trio: SecureTrio;
  const clients: MasterClient[] = [];
  before(async () => {
    trio = await SecureTrio.start();
  });
  after(async () => {
    for (const client of clients) client.close();
    await trio[Symbol.asyncDispose]();
  });

  const pathOf = (name: string): string => join(trio.folder, name, adminSocketName);

  function local(name: string): MasterClient {
    const client = new MasterClient({ masters: [`unix:${pathOf(name)}`], timeoutMs: 5_000 });
    clients.push(client);
    return client;
  }

  it('is for its user alone, and its callers are admins without a certificate', async () => {
    for (const name of ['m1', 'm2', 'm3']) {
      assert.equal(statSync(pathOf(name)).mode & 0o777, 0o600);
      const answer = await local(name).call(accessService.whoAmI, {}, once);
      assert.deepEqual(
        [answer.identity?.role, answer.identity?.id, answer.serial, answer.master],
        ['admin', `local/uid-${process.getuid?.()}`, '', name],
      );
      assert.ok(answer.methods.includes(accessService.revokeIdentity.path));
    }
  });

  it('is the way back of a locked-out admin, through any master', async () => {
    const root = await trio.client('admin', 'root');
    // Its own call may end with its connection, before the answer.
    await refusalOf(root.call(accessService.revokeIdentity, { identity: { role: 'admin', id: 'root' } }, twice));
    await until('it is revoked', () =>
      trio.masters.every(({ services }) => services.plan.ipam.revocation('admin/root') !== undefined),
    );
    await trio.settled();
    const outcome = (): Promise<string> => refusalOf(root.call(clusterService.getStatus, {}, once));
    assert.match(await outcome(), /^(PERMISSION_DENIED: admin\/root was revoked|UNAVAILABLE)/);
    for (const name of ['m1', 'm2', 'm3']) {
      const overlay = { name: `by-${name}`, subnet: `10.${100 + Number(name[1])}.0.0/16`, prefix: 24, enabled: true };
      await local(name).call(operatorService.addOverlay, { overlay }, twice);
    }
    await local('m2').call(accessService.unrevokeIdentity, { identity: { role: 'admin', id: 'root' } }, twice);
    await trio.settled();
    assert.equal(await refusalOf(root.call(accessService.listRevocations, {}, once)), 'OK');
    const { entries } = await root.call(
      operatorService.listHistory,
      { what: ['add-overlay', 'unrevoke-identity'] },
      once,
    );
    assert.deepEqual(
      entries.map(({ who }) => who).slice(-4),
      ['m1', 'm2', 'm3', 'm2'].map((name) => `admin/local/uid-${process.getuid?.()}@${name}`),
    );
  });

  it('takes no call that is not for admins', async () => {
    const registration = { agentId: 'a1', instanceId: 'i', sequence: 1, nodeIp: '10.0.0.1' };
    const outcome = await refusalOf(local('m1').call(agentService.register, registration, once));
    assert.match(outcome, /^PERMISSION_DENIED: admin\/local\/uid-\d+ may not call .*Register: it is for agent/);
  });

  it('is made anew when a master starts, whatever lies there, and goes with it', async () => {
    await trio.masters[2]?.stop();
    assert.ok(!readdirSync(join(trio.folder, 'm3')).includes(adminSocketName));
    writeFileSync(pathOf('m3'), 'left by a crash');
    await trio.restart(2);
    assert.equal((await local('m3').call(accessService.whoAmI, {}, once)).master, 'm3');
  });
});
