/** Hosts that join, on real ports; the rows in titles are those of docs/intrusions.md. */
import 'reflect-metadata';
import assert from 'node:assert/strict';
import { generateKeyPairSync, webcrypto, X509Certificate } from 'node:crypto';
import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, createSecureContext, createServer, type TLSSocket } from 'node:tls';
import { ChannelCredentials, status } from '@grpc/grpc-js';
import * as x509 from '@peculiar/x509';
import { joinCluster } from '#api/join-client.js';
import { isServiceError, MasterClient } from '#api/master-client.js';
import {
  accessService,
  agentService,
  certificateService,
  clusterService,
  joinService,
  operatorService,
} from '#api/services.js';
import { joinConnectionsMax } from '#door/connection-shares.js';
import { certificatesPerKeyMax } from '#ipam/limits.js';
import { CertificateSigner } from '#master/joining/certificate-signer.js';
import { JoinableTrio, newKey } from '#master/testing/joinable-trio.js';
import { until } from '#master/testing/until.js';
import { makeAuthority, type PemPair, signCertificate } from '#tls/certificate/authority.js';
import { principalOf } from '#tls/certificate/certificate.js';
import { makeCertificateRequest } from '#tls/certificate/certificate-request.js';
import { readTlsFiles } from '#tls/certificate/tls-files.js';
import { masterCredentials, refuseOthers } from '#tls/client-credentials.js';
import type { JoinTokenText } from '#tls/join-token-text.js';
import { writeTlsFiles } from '#tls/testing/test-authority.js';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const once = { idempotent: false };
const callMs = 10_000;

/** The status of a refusal, and its text. */
async function refusalOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return 'OK';
  } catch (error) {
    if (!isServiceError(error)) return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    return `${status[error.code]}: ${error.details}`;
  }
}

describe('joining', () => {
  let trio: JoinableTrio;
  before(async () => {
    trio = await JoinableTrio.start();
  });
  after(() => trio[Symbol.asyncDispose]());

  const joins = (token: JoinTokenText, at: number, more: { readonly id?: string; readonly key?: string } = {}) =>
    joinCluster({ token, masters: [trio.joinsAt(at)], role: 'agent', id: more.id, key: more.key ?? newKey() });

  it('brings a certificate of the identity that the token is for, with which the host registers', async () => {
    const key = newKey();
    const { certificate, authorities, principal } = await joins(await trio.token('host-1'), 0, { key });
    const parsed = new X509Certificate(certificate);
    assert.deepEqual(principal, { role: 'agent', id: 'host-1' });
    assert.equal(principalOf(parsed.raw).id, 'host-1');
    assert.ok(parsed.verify(new X509Certificate(trio.authority.cert).publicKey) && !parsed.ca);
    assert.deepEqual(parsed.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'], 'also for its HTTP');
    const days = (parsed.validToDate.getTime() - Date.now()) / dayMs;
    assert.ok(days > 6.9 && days < 7.1, `valid for ${days} days`);
    const files = writeTlsFiles(mkdtempSync(join(trio.folder, 'host-')), { ca: authorities, cert: certificate, key });
    const client = new MasterClient({
      masters: [trio.master(1).addresses.api],
      timeoutMs: callMs,
      credentials: masterCredentials(readTlsFiles(files, ['agent'], Date.now())),
    });
    const agent = { agentId: 'host-1', instanceId: 'i', sequence: 1, nodeIp: '10.0.0.1' };
    assert.ok((await client.call(agentService.register, agent, once)).lease);
    client.close();
  });

  it('goes through a master without the key, which hands the call on', async () => {
    const { principal } = await joins(await trio.token('host-2'), 2);
    assert.equal(principal.id, 'host-2');
  });

  it('row 30: is for one host, through two masters at once', async () => {
    const token = await trio.token('host-3');
    const outcomes = await Promise.all([0, 1, 2].map((at) => refusalOf(joins(token, at))));
    assert.equal(outcomes.filter((outcome) => outcome === 'OK').length, 1, outcomes.join('\n'));
    for (const outcome of outcomes.filter((each) => each !== 'OK')) {
      assert.match(outcome, /^FAILED_PRECONDITION: join: token [0-9a-f]{32} was used once already; make another one/);
    }
  });

  it('is answered again to the host whose answer was lost', async () => {
    const token = await trio.token('host-4');
    const key = newKey();
    await joins(token, 0, { key });
    const { principal } = await joins(token, 1, { key });
    assert.equal(principal.id, 'host-4');
    // A few times: no host has masters sign for it without end.
    for (let times = 3; times <= certificatesPerKeyMax; times++) await joins(token, 2, { key });
    assert.match(
      await refusalOf(joins(token, 2, { key })),
      /^FAILED_PRECONDITION: .* has brought this key 10 certificates/,
    );
    const signed = trio.log.filter((line) => line.startsWith('agent/host-4 has joined'));
    assert.equal(signed.length, certificatesPerKeyMax);
  });

  it('row 46: is possible while a few addresses hold all connections of the port', async () => {
    const port = Number(trio.joinsAt(1).split(':')[1]);
    const held: TLSSocket[] = [];
    const hold = (localAddress: string): Promise<void> => {
      // The types of TLS do not know `localAddress`, which the socket takes.
      const options = {
        host: '127.0.0.1',
        port,
        localAddress,
        ca: trio.authority.cert,
        checkServerIdentity: () => undefined,
        ALPNProtocols: ['h2'],
      };
      const socket = connect(options);
      held.push(socket.on('error', () => undefined));
      return new Promise((resolve) => socket.once('secureConnect', resolve));
    };
    // Half as many at a time as there may be handshakes under way.
    for (const address of ['127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.5']) {
      await Promise.all(Array.from({ length: joinConnectionsMax / 4 }, () => hold(address)));
    }
    assert.ok(held.every(({ destroyed }) => !destroyed));
    await joins(await trio.token('host-14'), 1);
    const crowded =
      /^join: a connection from 127\.0\.0\.[2-5] was refused: 64 connections are open, 16 of its network$/;
    assert.ok(trio.log.some((line) => crowded.test(line)));
    for (const socket of held) socket.destroy();
  });

  it('row 31: is refused for another id, another role and another address, and after the token is revoked', async () => {
    const token = await trio.token('host-5');
    assert.match(
      await refusalOf(joins(token, 0, { id: 'host-6' })),
      /^FAILED_PRECONDITION: .* is for agent\/host-5, and agent\/host-6 has tried to use it/,
    );
    const master = joinCluster({ token, masters: [trio.joinsAt(0)], role: 'master', id: 'host-5', key: newKey() });
    assert.match(
      await refusalOf(master),
      /^FAILED_PRECONDITION: .* is for agent\/host-5, and master\/host-5 has tried to use it/,
    );
    const elsewhere = await trio.token('host-5', { nodeIp: '10.0.0.5' });
    assert.match(
      await refusalOf(joins(elsewhere, 2)),
      /^FAILED_PRECONDITION: .* is for a host that calls from 10\.0\.0\.5, and this one calls from 127\.0\.0\.1/,
    );
    await (await trio.client('admin', 'alice')).call(certificateService.revokeToken, { tokenId: token.id }, once);
    assert.match(await refusalOf(joins(token, 0)), /^FAILED_PRECONDITION: .* is revoked/);
  });

  /** A server in the place of a master, and what it is sent after the handshake. */
  async function impostor(pair: PemPair, more: string) {
    const sent: Buffer[] = [];
    const server = createServer({ cert: `${pair.cert}\n${more}`, key: pair.key, ALPNProtocols: ['h2'] });
    server.on('secureConnection', (socket: TLSSocket) => {
      socket.on('data', (bytes) => sent.push(bytes));
      socket.on('error', () => undefined);
    });
    server.on('tlsClientError', () => undefined);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    return { at: `127.0.0.1:${address.port}`, sent, close: () => server.close() };
  }

  it('row 33: sends nothing to a server with another authority, one that shows the right one beside its own, and an agent', async () => {
    const token = await trio.token('host-7');
    const foreign = await makeAuthority('test', 10, Date.now());
    const content = (uri: string) => ({
      ...({ commonName: 'm1', names: [{ type: 'url', value: uri }], usages: ['server', 'client'] } as const),
      fromMs: Date.now() - hourMs,
      toMs: Date.now() + hourMs,
    });
    for (const [pair, chain, says] of [
      [await signCertificate(foreign, content('sublet://master/m1')), foreign.cert, 'PinError'],
      // The right authority's certificate is public, and its name is that of the foreign one.
      [await signCertificate(foreign, content('sublet://master/m1')), trio.authority.cert, 'NoMasterError|PinError'],
      [
        await signCertificate(trio.authority, content('sublet://agent/m1')),
        trio.authority.cert,
        'NoMasterError|PinError',
      ],
    ] as const) {
      const server = await impostor(pair, chain);
      const outcome = await refusalOf(
        joinCluster({ token, masters: [server.at], role: 'agent', id: undefined, key: newKey() }),
      );
      assert.match(outcome, new RegExp(`^(${says}|Error)`));
      assert.ok(!Buffer.concat(server.sent).includes(Buffer.from(token.secret)), outcome);
      assert.equal(Buffer.concat(server.sent).length, 0, outcome);
      server.close();
    }
    assert.equal((await joins(token, 0)).principal.id, 'host-7', 'the control: the token was not spent');
  });

  /** Sends a request of its own making to a port for joining. */
  async function joinsWith(token: JoinTokenText, csr: Uint8Array, at = 0) {
    const context = createSecureContext({ ca: trio.authority.cert });
    const credentials = ChannelCredentials.createFromSecureContext(context, { checkServerIdentity: refuseOthers });
    const client = new MasterClient({ masters: [trio.joinsAt(at)], credentials, timeoutMs: callMs });
    const asked = { tokenId: token.id, secret: token.secret, role: 'agent', csr };
    try {
      return await client.call(joinService.join, asked, once);
    } finally {
      client.close();
    }
  }

  it('row 34: takes of a request its key and nothing else, and no weak key or bad proof', async () => {
    const token = await trio.token('host-8');
    const { subtle } = webcrypto;
    const requestOf = async (
      of: webcrypto.EcKeyGenParams | webcrypto.RsaHashedKeyGenParams,
      hash = 'SHA-256',
    ): Promise<Buffer> => {
      const pair = await subtle.generateKey(of, true, ['sign', 'verify']);
      const signed = { keys: pair, signingAlgorithm: { ...of, hash } };
      return Buffer.from((await x509.Pkcs10CertificateRequestGenerator.create(signed)).rawData);
    };
    const rsa = { name: 'RSASSA-PKCS1-v1_5', modulusLength: 1024, publicExponent: new Uint8Array([1, 0, 1]) };
    const rsa1024 = await requestOf({ ...rsa, hash: 'SHA-256' });
    const p521 = await requestOf({ name: 'ECDSA', namedCurve: 'P-521' }, 'SHA-512');
    const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
    const keys = await subtle.generateKey(algorithm, true, ['sign', 'verify']);
    const made = await x509.Pkcs10CertificateRequestGenerator.create({
      keys,
      signingAlgorithm: algorithm,
      name: 'CN=admin',
      extensions: [
        new x509.SubjectAlternativeNameExtension([{ type: 'url', value: 'sublet://admin/root' }]),
        new x509.BasicConstraintsExtension(true, 9, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      ],
    });
    const whole = Buffer.from(made.rawData);
    // Of the curves' names in DER the last byte tells P-192 from P-256.
    const p192 = Buffer.from(
      whole.toString('latin1').replace('\x2a\x86\x48\xce\x3d\x03\x01\x07', '\x2a\x86\x48\xce\x3d\x03\x01\x01'),
      'latin1',
    );
    assert.ok(!p192.equals(whole));
    const forged = Buffer.from(whole);
    forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1;
    const bad: readonly (readonly [Uint8Array, RegExp])[] = [
      [rsa1024, /^INVALID_ARGUMENT: csr: its key is rsa 1024: ECDSA on P-256 or P-384 is allowed/],
      [p521, /^INVALID_ARGUMENT: csr: its key is ec secp521r1/],
      [p192, /^INVALID_ARGUMENT: csr: its bytes are not a certificate signing request/],
      [forged, /^INVALID_ARGUMENT: csr: its signature is not of its key/],
      [Buffer.from('no'), /^INVALID_ARGUMENT: csr: its bytes are not a certificate signing request/],
      [Buffer.alloc(4_097, 0x30), /^INVALID_ARGUMENT: csr: it has 4097 bytes: 1 to 4096 are allowed/],
      [Buffer.alloc(0), /^INVALID_ARGUMENT: csr: it has 0 bytes/],
    ];
    for (const [csr, says] of bad) assert.match(await refusalOf(joinsWith(token, csr, 1)), says);
    // None of them has used the token.
    const parsed = new X509Certificate((await joinsWith(token, whole, 1)).certificate);
    assert.equal(parsed.subjectAltName, 'URI:sublet://agent/host-8, DNS:sublet-agent');
    assert.deepEqual(
      [parsed.ca, parsed.keyUsage, parsed.subject],
      [false, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'], 'CN=agent host-8'],
    );
    assert.ok(parsed.validToDate.getTime() < Date.now() + 8 * dayMs);
  });

  it('has a port of its own, which serves nothing else, and joins no process on another port', async () => {
    const context = createSecureContext({ ca: trio.authority.cert });
    const credentials = ChannelCredentials.createFromSecureContext(context, { checkServerIdentity: refuseOthers });
    const stranger = new MasterClient({ masters: [trio.joinsAt(0)], credentials, timeoutMs: callMs });
    for (const call of [
      stranger.call(clusterService.getStatus, {}, once),
      stranger.call(operatorService.listAgents, {}, once),
      stranger.call(certificateService.createToken, {}, once),
      stranger.call(certificateService.renew, {}, once),
    ]) {
      assert.match(await refusalOf(call), /^UNIMPLEMENTED/);
    }
    stranger.close();
    const withoutCertificate = new MasterClient({
      masters: [trio.master(0).addresses.api],
      credentials,
      timeoutMs: 2_000,
    });
    assert.notEqual(await refusalOf(withoutCertificate.call(clusterService.getStatus, {}, once)), 'OK');
    withoutCertificate.close();
    const agent = await trio.client('agent', 'host-1');
    assert.match(await refusalOf(agent.call(joinService.join, {}, once)), /^UNIMPLEMENTED/);
  });

  it('row 35: is renewed for the identity of the caller and no other, through a master without the key', async () => {
    const csr = await makeCertificateRequest(newKey());
    for (const at of [0, 1]) {
      const id = `host-9${at}`;
      const agent = await trio.client('agent', id, at);
      const renewed = (role: string, subject: string) =>
        agent.call(certificateService.renew, { csr, role, subject }, once);
      for (const [role, subject] of [
        ['agent', 'host-1'],
        ['admin', id],
        ['master', 'm1'],
      ] as const) {
        assert.match(
          await refusalOf(renewed(role, subject)),
          new RegExp(`^PERMISSION_DENIED: renew: agent/${id} has asked for a certificate of ${role}/${subject}`),
        );
      }
      const { certificate } = await renewed('agent', id);
      assert.equal(principalOf(new X509Certificate(certificate).raw).id, id);
      assert.match(await refusalOf(renewed('agent', id)), /^RESOURCE_EXHAUSTED: renew: .* within the last 1m/);
    }
  });

  it('row 35: is not renewed once the identity is revoked, and no token brings it back', async () => {
    const token = await trio.token('host-12');
    const agent = await trio.client('agent', 'host-12');
    const alice = await trio.client('admin', 'alice');
    await alice.call(accessService.revokeIdentity, { identity: { role: 'agent', id: 'host-12' } }, once);
    const csr = await makeCertificateRequest(newKey());
    const renewed = agent.call(certificateService.renew, { csr, role: 'agent', subject: 'host-12' }, once);
    // Its connection may end, with the call on it, before the refusal is written.
    const refused = /^(PERMISSION_DENIED: agent\/host-12 was revoked|NoMasterError: |UNAVAILABLE: Connection dropped)/;
    assert.match(await refusalOf(renewed), refused);
    assert.match(await refusalOf(joins(token, 0)), /revoked/);
  });

  it('row 35: is not renewed at a master that has not applied the revocation yet', async () => {
    const agent = await trio.client('agent', 'host-35', 0);
    const alice = await trio.client('admin', 'alice');
    const { plan } = trio.master(0).services;
    const read = plan.read.bind(plan);
    // The revocation is committed after the call has passed the check of its connection.
    plan.read = async (stale) => {
      plan.read = read;
      await alice.call(accessService.revokeIdentity, { identity: { role: 'agent', id: 'host-35' } }, once);
      return await read(stale);
    };
    try {
      const csr = await makeCertificateRequest(newKey());
      const renewed = agent.call(certificateService.renew, { csr, role: 'agent', subject: 'host-35' }, once);
      // The connection ends with the revocation, so what was decided is seen in the log, once a later call is through.
      assert.notEqual(await refusalOf(renewed), 'OK');
      const next = await trio.client('agent', 'host-36', 0);
      await next.call(certificateService.renew, { csr, role: 'agent', subject: 'host-36' }, once);
      const made = (id: string) => trio.log.some((line) => line.includes(`certificate of agent/${id} is renewed`));
      assert.deepEqual([made('host-35'), made('host-36')], [false, true]);
    } finally {
      plan.read = read;
    }
  });

  it('row 32: limits wrong guesses of one address, and says so once they are too many', async () => {
    const token = { ...(await trio.token('host-10')), secret: Buffer.alloc(32) };
    const outcomes: string[] = [];
    const csr = await makeCertificateRequest(newKey());
    for (let at = 0; at < 30; at++) outcomes.push(await refusalOf(joinsWith(token, csr, 2)));
    assert.match(outcomes[0] ?? '', /^NOT_FOUND: join: there is no such token/);
    assert.ok(outcomes.some((outcome) => /^RESOURCE_EXHAUSTED: join: 127\.0\.0\.1 has shown too many/.test(outcome)));
    assert.ok(
      trio.log.some((line) => /^join: 127\.0\.0\.1:\d+: join: there is no such token/.test(line)),
      'it is logged',
    );
  });

  it('row 32: counts a token that was used already as a wrong guess, when another key is shown with it', async () => {
    const token = await trio.token('host-13');
    await joins(token, 1);
    const outcomes: string[] = [];
    const csr = await makeCertificateRequest(newKey());
    for (let at = 0; at < 30; at++) outcomes.push(await refusalOf(joinsWith(token, csr, 1)));
    assert.match(outcomes[0] ?? '', /^FAILED_PRECONDITION: join: token [0-9a-f]{32} was used once already/);
    assert.ok(outcomes.some((outcome) => /^RESOURCE_EXHAUSTED: join: 127\.0\.0\.1 has shown too many/.test(outcome)));
  });

  it('row 30: needs a quorum: a master that is cut off certifies nothing', async () => {
    const token = await trio.token('host-11');
    await Promise.all([trio.master(1), trio.master(2)].map((master) => master.stop({ transfer: false })));
    await until('it has no leader', () => trio.master(0).services.leadership.seat.kind === 'none');
    const refused = await refusalOf(joinsWith(token, await makeCertificateRequest(newKey())));
    assert.match(refused, /^NoMasterError: no master reachable: .* \(member m1 does not lead the cluster/);
  });

  it('starts with a key of the authority that others can not read, and no other key', () => {
    const file = join(trio.folder, 'other.key');
    const signer = (): CertificateSigner =>
      new CertificateSigner({ file, authorities: trio.authority.cert, lifetimeMs: dayMs, wallClock: () => 0 });
    assert.throws(signer, /^TlsFileError: tls\.ca_key: .*other\.key can't be read as a key/);
    writeFileSync(file, newKey(), { mode: 0o600 });
    assert.throws(signer, /is not the key of a certificate in tls\.ca/);
    writeFileSync(file, generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }));
    assert.throws(signer, /is not an ECDSA key on P-256/);
    writeFileSync(file, trio.authority.key);
    assert.doesNotThrow(signer);
    chmodSync(file, 0o640);
    assert.throws(signer, /can be read or written by others \(mode 0640\); chmod 600/);
  });
});
