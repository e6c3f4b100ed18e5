/** The identities of masters that are removed and added again, and revocations across restarts of masters. */
import assert from 'node:assert/strict';
import { once as eventOnce } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer as createNetServer } from 'node:net';
import { Client, Metadata, status } from '@grpc/grpc-js';
import type { MasterClient } from '#api/master-client.js';
import { accessService, agentService, clusterService } from '#api/services.js';
import { clusterIdKey, forwardDefinition } from '#master/forward/forward-method.js';
import { refusalOf, SecureTrio } from '#master/testing/secure-trio.js';
import { until } from '#master/testing/until.js';
import { memberId } from '#raft/log/entry.js';
import type { MemberInfo, Membership } from '#replica/ports/membership.js';
import { readTlsFiles } from '#tls/certificate/tls-files.js';
import { masterCredentials, serverName } from '#tls/client-credentials.js';
import { decodeHello } from '#transport/membership-codec.js';
import { envelopeOf } from '#transport/peer-gate.js';
import { peerService } from '#transport/peer-service.js';

const once = { idempotent: true };
const twice = { idempotent: false };

describe('masters behind TLS', () => {
  let trio: SecureTrio;
  let admin: MasterClient;
  before(async () => {
    trio = await SecureTrio.start();
    admin = await trio.client('admin', 'root');
  });
  after(() => trio[Symbol.asyncDispose]());

  const revoked = async (): Promise<readonly string[]> =>
    (await admin.call(accessService.listRevocations, {}, once)).revocations.map(
      ({ identity, cause }) => `${identity?.role}/${identity?.id} ${cause}`,
    );

  it('row 37: refuse a revoked agent after a restart of all, and on one that was away', async () => {
    const agent = await trio.client('agent', 'a1');
    await agent.call(agentService.register, { agentId: 'a1', instanceId: 'i', sequence: 1, nodeIp: '10.0.0.1' }, once);
    await trio.masters[2]?.stop();
    const identity = { role: 'agent', id: 'a1' };
    const { revision } = await admin.call(accessService.revokeIdentity, { identity }, once);
    await trio.restart(2);
    const asked = async (at: number): Promise<string> => {
      await until(
        'it has applied the revocation',
        () => (trio.masters[at]?.services.plan.ipam.revision ?? 0) >= revision,
      );
      const client = await trio.client('agent', 'a1', trio.masters.slice(at, at + 1));
      return refusalOf(client.call(accessService.whoAmI, {}, once));
    };
    assert.match(await asked(2), /^PERMISSION_DENIED: agent\/a1 was revoked/);
    await Promise.all(trio.masters.map((master) => master.stop()));
    await Promise.all([0, 1, 2].map((at) => trio.restart(at)));
    for (const at of [0, 1, 2]) assert.match(await asked(at), /^PERMISSION_DENIED: agent\/a1 was revoked/);
    assert.deepEqual(await revoked(), ['agent/a1 1']);
  });

  it('row 25: take nothing from one that was removed, until it is added again', async () => {
    const { membership: before } = await hello();
    assert.ok(before !== undefined);
    const [m1, m3] = ['m1', 'm3'].map((name) => before.members.find((member) => member.name === name));
    assert.ok(m1 !== undefined && m3 !== undefined);
    await admin.call(clusterService.removeMember, { name: 'm3' }, twice);
    assert.deepEqual(await revoked(), ['agent/a1 1', 'master/m3 2']);
    await until('m3 knows', () => trio.log.some((line) => /^fatal: m3: .*removed/.test(line)));

    const { term } = await admin.call(clusterService.getStatus, {}, once);
    const asNewcomer = { ...m3, id: memberId(before.nextMemberId) };
    assert.match(await delivered(asNewcomer, m1, before), /^UNAVAILABLE: master\/m3 was revoked at .* was removed/);
    assert.match(await delivered(m3, m1, before), /^PERMISSION_DENIED: .*removed/);
    assert.match(await forwarded(), /^FAILED_PRECONDITION: master\/m3 was revoked at .* was removed/);
    assert.equal((await hello()).storeId, '', 'it waits there to be added again, and learns no store id');
    assert.equal((await admin.call(clusterService.getStatus, {}, once)).term, term);

    await trio.restart(2, { join: true });
    const peer = trio.masters[2]?.addresses.peer ?? '';
    await admin.call(clusterService.addMember, { name: 'm3', peer }, twice);
    assert.deepEqual(await revoked(), ['agent/a1 1']);
    await trio.masters[2]?.ready();
    assert.match(await forwarded(), /^OK/);
  });

  it('add none whose identity an admin has revoked', async () => {
    await admin.call(accessService.revokeIdentity, { identity: { role: 'master', id: 'm9' } }, once);
    assert.match(
      await refusalOf(admin.call(clusterService.addMember, { name: 'm9', peer: '127.0.0.1:1' }, twice)),
      /^FAILED_PRECONDITION: add member m9: master\/m9 was revoked .*`sublet certs unrevoke master\/m9`/,
    );
  });

  it('row 67: answer one text for every address that is no master’s, and keep the cause in the log', async () => {
    const http = createHttpServer((_, response) => response.writeHead(404).end());
    const rude = createNetServer((socket) => socket.destroy());
    const ports = await Promise.all(
      [http, rude].map(async (server) => {
        server.listen(0, '127.0.0.1');
        await eventOnce(server, 'listening');
        const address = server.address();
        return address !== null && typeof address === 'object' ? address.port : 0;
      }),
    );
    const own = trio.masters[0]?.addresses ?? assert.fail();
    const tried = [...ports.map((port) => `127.0.0.1:${port}`), '127.0.0.1:1', own.http, own.api];
    try {
      for (const peer of tried) {
        const text = await refusalOf(admin.call(clusterService.addMember, { name: 'm8', peer }, twice));
        assert.equal(
          text,
          `FAILED_PRECONDITION: add member m8: no master answers at ${peer} (the log of the leader has the cause): start it with --name m8 --join, and a peer address that all masters reach`,
        );
        assert.ok(trio.log.some((line) => line.startsWith(`add member m8: no master answers at ${peer}: `)));
      }
      for (const [peer, use] of [
        ['169.254.169.254:80', 'a link-local address'],
        ['[fe80::1]:7071', 'a link-local address'],
        ['224.0.0.1:7071', 'a multicast address'],
        ['0.0.0.0:7071', 'unspecified'],
        ['[::]:7071', 'unspecified'],
        ['[::ffff:10.0.0.1]:7071', 'an IPv4 address in IPv6 form'],
      ] as const) {
        assert.equal(
          await refusalOf(admin.call(clusterService.addMember, { name: 'm8', peer }, twice)),
          `INVALID_ARGUMENT: peer: "${peer}": ${use}; give an address that all masters reach`,
        );
      }
    } finally {
      for (const server of [http, rude]) server.close();
    }
  });

  async function m3Client(): Promise<Client> {
    const material = readTlsFiles(await trio.files('sublet://master/m3'), ['master']);
    const options = { ...serverName, 'grpc.use_local_subchannel_pool': 1 };
    return new Client(trio.masters[0]?.addresses.peer ?? '', masterCredentials(material), options);
  }

  /** What becomes of a stream of messages under the certificate of m3. */
  async function delivered(from: MemberInfo, to: MemberInfo, membership: Membership): Promise<string> {
    const client = await m3Client();
    const { path, requestSerialize, responseDeserialize } = peerService.deliver;
    const outcome = await new Promise<string>((resolve) => {
      const call = client.makeClientStreamRequest(path, requestSerialize, responseDeserialize, (error) =>
        resolve(error === null ? 'OK' : `${status[error.code]}: ${error.details}`),
      );
      call.write({ envelope: envelopeOf(from, membership, to), messages: [] });
    });
    client.close();
    return outcome;
  }

  /** What becomes of a stream on which a follower hands calls on. */
  async function forwarded(): Promise<string> {
    const client = await m3Client();
    const metadata = new Metadata();
    metadata.set(clusterIdKey, 'spec');
    const { path, requestSerialize, responseDeserialize } = forwardDefinition;
    const outcome = await new Promise<string>((resolve) => {
      const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
      stream.on('metadata', () => resolve('OK'));
      stream.on('error', (error: { readonly code?: status; readonly details?: string; readonly message: string }) =>
        resolve(`${status[error.code ?? status.UNKNOWN]}: ${error.details}`),
      );
    });
    client.close();
    return outcome;
  }

  async function hello() {
    const client = await m3Client();
    const { path, requestSerialize, responseDeserialize } = peerService.hello;
    const answer = await new Promise<ReturnType<typeof decodeHello>>((resolve, reject) => {
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, {}, (error, found) =>
        found === undefined ? reject(error) : resolve(decodeHello(found)),
      );
    });
    client.close();
    return answer;
  }
});
