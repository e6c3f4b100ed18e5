/** Mutual TLS on real ports; the rows in titles are those of docs/intrusions.md. */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, symlinkSync } from 'node:fs';
import { connect as connectPlain, createServer } from 'node:net';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { connect, createServer as createTlsServer, type SecureVersion } from 'node:tls';
import { Client, Metadata, status } from '@grpc/grpc-js';
import { MasterClient } from '#api/master-client.js';
import type { Method } from '#api/method.js';
import { accessService, agentService, certificateService, clusterService, operatorService } from '#api/services.js';
import { rolesFor } from '#master/access/authorization.js';
import { refusalOf, SecureTrio } from '#master/testing/secure-trio.js';
import { until } from '#master/testing/until.js';
import type { Membership } from '#replica/ports/membership.js';
import { readTlsFiles, type TlsFiles } from '#tls/certificate/tls-files.js';
import { masterCredentials, serverName } from '#tls/client-credentials.js';
import { type Role, roles } from '#tls/principal.js';
import { openSession } from '#tls/testing/http2-session.js';
import { type CertificateRequest, TestAuthority, writeTlsFiles } from '#tls/testing/test-authority.js';
import { decodeHello } from '#transport/membership-codec.js';
import { envelopeOf } from '#transport/peer-gate.js';
import { peerService } from '#transport/peer-service.js';

const once = { idempotent: true };
const callMs = 5_000;

function registration(agentId: string, nodeIp: string, sequence = 1) {
  return { agentId, instanceId: `instance-${agentId}`, sequence, nodeIp };
}

describe('masters behind TLS', () => {
  let trio: SecureTrio;
  let a1: MasterClient;
  let epoch = 0;

  before(async () => {
    trio = await SecureTrio.start();
    a1 = await trio.client('agent', 'a1');
    const answer = await a1.call(agentService.register, registration('a1', '10.0.0.1'), once);
    epoch = answer.lease?.epoch ?? 0;
    const a2 = await trio.client('agent', 'a2');
    await a2.call(agentService.register, registration('a2', '10.0.0.2'), once);
  });
  after(() => trio[Symbol.asyncDispose]());

  /** What became of a handshake, and of the connection right after it. */
  function handshake(
    port: string,
    files: Partial<{ readonly ca: string; readonly cert: string; readonly key: string }>,
    versions: {
      readonly minVersion?: SecureVersion;
      readonly maxVersion?: SecureVersion;
      readonly ecdhCurve?: string;
    } = {},
  ): Promise<string> {
    const [host = '', number = ''] = port.split(':');
    return new Promise((resolve) => {
      const socket = connect({
        host,
        port: Number(number),
        ...files,
        rejectUnauthorized: false,
        ALPNProtocols: ['h2'],
        ...versions,
      });
      socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      socket.on('close', () => resolve('closed'));
      // The server's SETTINGS frame shows that it takes the caller for one of its own.
      socket.once('data', () => {
        resolve('taken');
        socket.destroy();
      });
    });
  }

  async function certificateHandshake(
    authority: TestAuthority,
    uri: string,
    request: CertificateRequest,
    port: string,
  ) {
    const { cert, key } = await authority.issue(uri, request);
    return handshake(port, { ca: trio.authority.pem, cert, key });
  }

  const ports = (): readonly string[] => {
    const [first] = trio.masters;
    assert.ok(first !== undefined);
    return [first.addresses.api, first.addresses.peer];
  };

  it('row 1: close plain text and say so', async () => {
    for (const port of ports()) {
      const [host = '', number = ''] = port.split(':');
      const ended = new Promise((resolve) => {
        const socket = connectPlain({ host, port: Number(number) }, () =>
          socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
        );
        socket.on('error', resolve);
        socket.on('close', resolve);
      });
      await ended;
    }
    const plain = new MasterClient({ masters: [ports()[0] ?? ''], timeoutMs: 2_000 });
    assert.notEqual(await refusalOf(plain.call(clusterService.getStatus, {}, once)), 'OK');
    plain.close();
    await until('the log has it', () => trio.log.some((line) => /^api: .* the caller does not speak TLS/.test(line)));
    await until('the log has it', () => trio.log.some((line) => /^peer: .* the caller does not speak TLS/.test(line)));
  });

  it('rows 2 to 6: refuse a handshake without a certificate, with a foreign one, out of its time, for servers alone', async () => {
    const foreign = await TestAuthority.make('test');
    const hourMs = 3_600_000;
    const now = Date.now();
    for (const [port, uri] of [
      [ports()[0] ?? '', 'sublet://agent/a1'],
      [ports()[1] ?? '', 'sublet://master/m2'],
    ] as const) {
      const outcomes = {
        right: await certificateHandshake(trio.authority, uri, {}, port),
        none: await handshake(port, { ca: trio.authority.pem }),
        foreign: await certificateHandshake(foreign, uri, {}, port),
        expired: await certificateHandshake(
          trio.authority,
          uri,
          { fromMs: now - 2 * hourMs, toMs: now - hourMs },
          port,
        ),
        early: await certificateHandshake(trio.authority, uri, { fromMs: now + hourMs, toMs: now + 2 * hourMs }, port),
        server: await certificateHandshake(trio.authority, uri, { usages: ['server'] }, port),
      };
      const { right, ...wrong } = outcomes;
      assert.equal(right, 'taken', 'the control');
      for (const [what, outcome] of Object.entries(wrong)) assert.notEqual(outcome, 'taken', `${what} on ${port}`);
    }
  });

  it('row 7: speak TLS 1.3 only, and no weak groups', async () => {
    const { cert, key } = await trio.authority.issue('sublet://agent/a1');
    const files = { ca: trio.authority.pem, cert, key };
    const [api = ''] = ports();
    assert.notEqual(await handshake(api, files, { maxVersion: 'TLSv1.2' }), 'taken');
    assert.notEqual(await handshake(api, files, { ecdhCurve: 'P-521' }), 'taken');
    assert.equal(await handshake(api, files, { ecdhCurve: 'X25519' }), 'taken');
  });

  it('rows 8, 9, 11, 22, 23: refuse a certificate without an identity, with two, and of a role that the port is not for', async () => {
    const [api = '', peer = ''] = ports();
    const two = ['sublet://agent/a1', 'sublet://admin/root'].map((value) => ({ type: 'url', value }) as const);
    const outcomes = [
      await certificateHandshake(trio.authority, '', { names: [], commonName: 'agent' }, api),
      await certificateHandshake(trio.authority, '', { names: two }, api),
      await certificateHandshake(trio.authority, 'sublet://master/m1', {}, api),
      await certificateHandshake(trio.authority, 'sublet://agent/m2', { usages: ['client'] }, peer),
      await certificateHandshake(trio.authority, 'sublet://admin/root', {}, peer),
      await certificateHandshake(trio.authority, 'sublet://operator/alice', {}, peer),
    ];
    assert.ok(!outcomes.includes('taken'), outcomes.join());
    // One line for each kind of refusal and address in 10 s.
    await until('the log has it', () => trio.log.some((line) => /agent\/m2 is not of the role master/.test(line)));
  });

  it('row 12: allow an agent to register itself alone, through any of them', async () => {
    const before = trio.revision;
    for (const master of trio.masters) {
      const client = await trio.client('agent', 'a1', [master]);
      const outcome = await refusalOf(client.call(agentService.register, registration('a9', '10.0.0.9'), once));
      assert.match(
        outcome,
        /^PERMISSION_DENIED: .*agent\/a1 has asked for agent_id "a9": an agent may act for itself only/,
      );
    }
    assert.equal(trio.revision, before, 'nothing changes');
  });

  it('row 41: allow an agent to register no node_ip outside node_ips, through any of them', async () => {
    for (const master of trio.masters) {
      const client = await trio.client('agent', 'a1', [master]);
      const outcome = await refusalOf(client.call(agentService.register, registration('a1', '8.8.8.8', 2), once));
      assert.match(outcome, /^PERMISSION_DENIED: .*node_ip 8\.8\.8\.8 lies in none of node_ips \(10\.0\.0\.0\/8\)/);
    }
  });

  it('row 13: refuse what an agent asks for another, with its true instance and epoch', async () => {
    const a2 = await trio.client('agent', 'a2');
    const other = { agentId: 'a1', instanceId: 'instance-a1', epoch };
    for (const call of [
      a2.call(agentService.leave, other, once),
      a2.call(agentService.reportStatus, { ...other, overlays: [] }, once),
    ]) {
      assert.match(await refusalOf(call), /^PERMISSION_DENIED: .*agent\/a2 has asked for agent_id "a1"/);
    }
    const stream = a2.bidiStream(agentService.keepAlive);
    const ended = new Promise<string>((resolve) => stream.on('error', (error) => resolve(String(error))));
    stream.write(other);
    assert.match(await ended, /PERMISSION_DENIED/);
  });

  it('row 14: end a keep-alive stream whose second message names another agent', async () => {
    const stream = a1.bidiStream(agentService.keepAlive);
    const ended = new Promise<string>((resolve) => stream.on('error', (error) => resolve(String(error))));
    const answered = new Promise((resolve) => stream.once('data', resolve));
    stream.write({ agentId: 'a1', instanceId: 'instance-a1', epoch });
    await answered;
    stream.write({ agentId: 'a2', instanceId: 'instance-a2', epoch });
    assert.match(await ended, /PERMISSION_DENIED/);
  });

  it('row 18: allow an agent to watch its peers alone', async () => {
    const outcome = (peersOnly: boolean): Promise<string> =>
      new Promise((resolve) => {
        const stream = a1.serverStream(agentService.watch, { peersOnly });
        stream.on('error', (error) => resolve(String(error)));
        stream.once('data', () => {
          resolve('taken');
          stream.cancel();
        });
      });
    assert.equal(await outcome(true), 'taken');
    assert.match(await outcome(false), /PERMISSION_DENIED: watch: agent\/a1 may watch with peers_only alone/);
  });

  it('row 18: show the instance id of an agent to no other caller, in no answer and no refusal', async () => {
    const viewer = await trio.client('viewer', 'vera');
    const seen: unknown[] = [
      await viewer.call(operatorService.listAgents, {}, once),
      await viewer.call(operatorService.getAgent, { agentId: 'a2' }, once),
      await viewer.call(operatorService.listHistory, {}, once),
      await refusalOf(a1.call(agentService.register, registration('a1', '10.0.0.2', 3), once)),
    ];
    const stolen = { ...registration('a2', '10.0.0.2', 3), instanceId: 'other' };
    seen.push(await refusalOf((await trio.client('agent', 'a2')).call(agentService.register, stolen, once)));
    const watched: unknown[] = [];
    const stream = a1.serverStream(agentService.watch, { peersOnly: true });
    stream.on('data', (message) => watched.push(message));
    stream.on('error', () => undefined);
    const end = (): boolean => JSON.stringify(watched).includes('snapshotEnd');
    await until('the watch has the plan', end);
    stream.cancel();
    const all = JSON.stringify([...seen, ...watched]);
    assert.match(all, /10\.0\.0\.2/);
    assert.doesNotMatch(all, /instance-a2/);
  });

  it('rows 16, 17, 19, 20, 21, 70: give each role its methods and no others', async () => {
    const methods: readonly Method<object, object, object, object>[] = [
      agentService,
      operatorService,
      clusterService,
      certificateService,
      accessService,
    ].flatMap((service) => Object.values(service) as unknown as readonly Method<object, object, object, object>[]);
    for (const role of roles.filter((each) => each !== 'master')) {
      const client = await raw(role);
      try {
        for (const { path, requestStream, responseStream } of methods) {
          const allowed = rolesFor(path).includes(role);
          const code = await client.codeOf(path, requestStream, responseStream);
          assert.equal(code === status.PERMISSION_DENIED, !allowed, `${role} and ${path}: ${status[code]}`);
        }
        assert.equal(
          await client.codeOf('/sublet.v1.OperatorService/NoSuchMethod', false, false),
          status.UNIMPLEMENTED,
        );
      } finally {
        client.close();
      }
    }
  });

  /** Sends requests that no method can decode: what is refused for the caller's role is refused before that is seen. */
  async function raw(role: Role, id = 'someone') {
    const material = readTlsFiles(await trio.files(`sublet://${role}/${id}`), [role], Date.now());
    const client = new Client(ports()[0] ?? '', masterCredentials(material), {
      'grpc.use_local_subchannel_pool': 1,
      ...serverName,
    });
    const bytes = Buffer.from([0xff, 0xff]);
    const same = (each: Buffer): Buffer => each;
    const codeOf = (path: string, requestStream: boolean, responseStream: boolean): Promise<number> =>
      new Promise((resolve) => {
        const options = { deadline: Date.now() + callMs };
        const done = (error: { readonly code: number } | null): void => resolve(error?.code ?? status.OK);
        if (!responseStream) {
          client.makeUnaryRequest(path, same, same, bytes, new Metadata(), options, done);
          return;
        }
        const stream = requestStream
          ? client.makeBidiStreamRequest(path, same, same, options)
          : client.makeServerStreamRequest(path, same, same, bytes, options);
        stream.on('data', () => undefined);
        stream.on('status', done);
        stream.on('error', done);
        if (stream instanceof Duplex) stream.write(bytes);
      });
    return { codeOf, close: () => client.close() };
  }

  it('name in the history the principal of a change, by certificate, through any of them', async () => {
    for (const [at, master] of trio.masters.entries()) {
      const alice = await trio.client('operator', 'alice', [master]);
      const overlay = { name: `more${at}`, subnet: `10.${100 + at}.0.0/16`, prefix: 24, enabled: true };
      await alice.call(operatorService.addOverlay, { overlay }, { idempotent: false });
    }
    const { entries } = await (await trio.client('viewer', 'vera')).call(operatorService.listHistory, {}, once);
    const who = entries.filter(({ what }) => what === 'add-overlay').map(({ who: by }) => by);
    assert.deepEqual(who.slice(-3), [
      'operator/alice@127.0.0.1',
      'operator/alice@127.0.0.1',
      'operator/alice@127.0.0.1',
    ]);
  });

  it('name in the history the principal that saved a backup, and log each change and each backup with the certificate', async () => {
    for (const master of trio.masters) {
      const ann = await trio.client('operator', 'ann', [master]);
      const stream = ann.serverStream(clusterService.saveSnapshot, {});
      stream.resume();
      await new Promise((resolve, reject) => {
        stream.on('end', resolve);
        stream.on('error', reject);
      });
    }
    const vera = await trio.client('viewer', 'vera');
    const { entries } = await vera.call(operatorService.listHistory, { what: ['save-snapshot'] }, once);
    assert.deepEqual(
      entries.map(({ who, detail }) => `${who} ${detail}`),
      ['m1', 'm2', 'm3'].map((name) => `operator/ann@127.0.0.1 through ${name}`),
    );
    const audited = trio.audit.filter(({ identity }) => identity === 'operator/ann');
    assert.deepEqual(
      audited.map(({ path }) => path),
      audited.map(() => '/sublet.v1.ClusterService/SaveSnapshot'),
    );
    assert.equal(audited.length, 3);
    assert.ok(audited.every(({ serial }) => /^[0-9A-F]+$/.test(serial)));
    assert.deepEqual(
      trio.audit.filter(({ identity }) => /^(agent|viewer)/.test(identity)),
      [],
    );
  });

  it('row 24: hear a master under its own name alone', async () => {
    const [, peer = ''] = ports();
    const material = readTlsFiles(await trio.files('sublet://master/m2'), ['master'], Date.now());
    const client = new Client(peer, masterCredentials(material), serverName);
    const { hello } = peerService;
    const membership = await new Promise<Membership | undefined>((resolve, reject) => {
      client.makeUnaryRequest(hello.path, hello.requestSerialize, hello.responseDeserialize, {}, (error, answer) =>
        answer === undefined ? reject(error) : resolve(decodeHello(answer).membership),
      );
    });
    const [to, claimed] = ['m1', 'm3'].map((name) => membership?.members.find((member) => member.name === name));
    assert.ok(membership !== undefined && to !== undefined && claimed !== undefined);
    const { path, requestSerialize, responseDeserialize } = peerService.deliver;
    const outcome = await new Promise<string>((resolve) => {
      const call = client.makeClientStreamRequest(path, requestSerialize, responseDeserialize, (error) =>
        resolve(error === null ? 'OK' : `${status[error.code]}: ${error.details}`),
      );
      call.write({ envelope: envelopeOf(claimed, membership, to), messages: [] });
    });
    client.close();
    assert.match(outcome, /^UNAUTHENTICATED: the caller has the certificate of master\/m2 and calls itself m3/);
  });

  /** One message, or the beginning of one, over HTTP/2 as it is. Resolves with its gRPC status. */
  async function written(port: string, uri: string, path: string, bytes: Buffer, encoding: string): Promise<string> {
    const { cert, key } = await trio.authority.issue(uri);
    const session = openSession(port, { ca: trio.authority.pem, cert, key });
    const headers = { 'content-type': 'application/grpc', te: 'trailers', 'grpc-encoding': encoding };
    const stream = session.request({ ':method': 'POST', ':path': path, ...headers });
    stream.write(bytes);
    const code = await new Promise<string>((resolve) => {
      stream.on('response', ({ 'grpc-status': at }) => resolve(String(at)));
      stream.on('error', (error) => resolve(error.message));
    });
    session.destroy();
    return code;
  }

  it('rows 43, 45: take no compressed message, and no large one of an agent, on either port', async () => {
    const [api = '', peer = ''] = ports();
    const [register, hello] = [agentService.register.path, peerService.hello.path];
    const head = (bytes: number, flags: number): Buffer => {
      const made = Buffer.alloc(6);
      made.writeUInt8(flags, 0);
      made.writeUInt32BE(bytes, 1);
      return made;
    };
    const kibibyte = 1024;
    const [unimplemented, exhausted] = [String(status.UNIMPLEMENTED), String(status.RESOURCE_EXHAUSTED)];
    assert.equal(await written(api, 'sublet://agent/a1', register, head(9, 1), 'gzip'), unimplemented);
    assert.equal(await written(peer, 'sublet://master/m2', hello, head(9, 1), 'gzip'), unimplemented);
    assert.equal(await written(api, 'sublet://agent/a1', register, head(256 * kibibyte + 1, 0), 'identity'), exhausted);
    await until('the log has it', () => trio.log.some((line) => /^api: agent\/a1: a message of 262145 B/.test(line)));
    await until('the log has it', () => trio.log.some((line) => /^peer: master\/m2: grpc-encoding "gzip"/.test(line)));
  });

  it('row 42: hold each identity to its rate, and serve the others', async () => {
    const flooding = await trio.client('agent', 'flood', trio.masters.slice(0, 1));
    await flooding.call(agentService.register, registration('flood', '10.0.0.66'), once);
    const report = { agentId: 'flood', instanceId: 'instance-flood', epoch: 0, overlays: [] };
    const outcomes = await Promise.all(
      Array.from({ length: 100 }, () => refusalOf(flooding.call(agentService.reportStatus, report, once))),
    );
    const refused = outcomes.filter((outcome) =>
      /^RESOURCE_EXHAUSTED: calls of agent\/flood: 10 a second, 40 at once are allowed; try again in/.test(outcome),
    );
    assert.ok(refused.length >= 50, `${refused.length} of 100`);
    const other = await trio.client('agent', 'a2', trio.masters.slice(0, 1));
    await other.call(agentService.register, registration('a2', '10.0.0.2', 7), once);
    const viewer = await trio.client('viewer', 'vera', trio.masters.slice(0, 1));
    await viewer.call(clusterService.getStatus, {}, once);
  });

  it('row 42: end a connection with nothing but calls of methods that there are not', async () => {
    const client = await raw('agent', 'guess');
    try {
      for (let n = 0; ; n++) {
        assert.ok(n < 1_000, 'it goes on');
        const code = await client.codeOf('/sublet.v1.AgentService/Guess', false, false);
        if (code === status.UNIMPLEMENTED) continue;
        assert.equal(code, status.UNAVAILABLE);
        break;
      }
    } finally {
      client.close();
    }
    await until('the log has it', () =>
      trio.log.some((line) => /^api: agent\/guess: too many calls of methods that there are not/.test(line)),
    );
  });

  it('row 61: are not taken for masters by clients when their certificate is of another role', async () => {
    const { cert, key } = await trio.authority.issue('sublet://agent/a1');
    const server = createTlsServer({ cert, key, ca: trio.authority.pem, ALPNProtocols: ['h2'] });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    const material = readTlsFiles(await trio.files('sublet://agent/a1'), ['agent'], Date.now());
    const client = new MasterClient({
      masters: [`127.0.0.1:${address.port}`],
      timeoutMs: 3_000,
      credentials: masterCredentials(material),
    });
    assert.match(
      await refusalOf(client.call(clusterService.getStatus, {}, once)),
      /the other end has the certificate of agent\/a1, not of a master/,
    );
    client.close();
    server.close();
  });

  it('refuse to start with files that do not fit, and say which', async () => {
    const folder = mkdtempSync(join(trio.folder, 'wrong-'));
    const { cert, key } = await trio.authority.issue('sublet://master/m1');
    const other = await trio.authority.issue('sublet://agent/a1');
    const files = (content: { readonly cert: string; readonly key: string }): TlsFiles =>
      writeTlsFiles(mkdtempSync(join(folder, 'x-')), { ca: trio.authority.pem, ...content });
    const read = (of: TlsFiles): void => {
      readTlsFiles(of, ['master'], Date.now());
    };
    assert.throws(
      () => read(files({ cert, key: other.key })),
      /^TlsFileError: tls\.key: .* is not the key of the certificate in /,
    );
    assert.throws(() => read(files(other)), /tls\.cert: .* is of the role agent; master is needed here/);
    assert.throws(() => read({ ...files({ cert, key }), ca: '/nowhere' }), /tls\.ca: \/nowhere can't be read/);
    assert.throws(() => read(files({ cert: 'no', key })), /tls\.cert: .* has no PEM that can be read/);
  });

  it('row 56: refuse a key that others may write, also behind a link, and warn of one that they may read', async () => {
    const files = await trio.files('sublet://master/m1');
    const link = `${files.key}.link`;
    symlinkSync(files.key, link);
    for (const key of [files.key, link]) {
      for (const mode of [0o620, 0o602, 0o666]) {
        chmodSync(files.key, mode);
        assert.throws(
          () => readTlsFiles({ ...files, key }, ['master']),
          new RegExp(`tls\\.key: ${key} can be written by others \\(mode 0${mode.toString(8)}\\); chmod 600 ${key}`),
        );
      }
      for (const mode of [0o640, 0o604]) {
        chmodSync(files.key, mode);
        const { warnings } = readTlsFiles({ ...files, key }, ['master']);
        assert.match(warnings.join(), /tls\.key: .* can be read by others .*chmod 600/);
      }
      chmodSync(files.key, 0o600);
      assert.deepEqual(readTlsFiles({ ...files, key }, ['master']).warnings, []);
    }
  });

  it('row 38: take nothing from a recording of an earlier connection', async () => {
    const [api = ''] = ports();
    const [host = '', port = ''] = api.split(':');
    const recorded: Buffer[] = [];
    const relay = createServer((from) => {
      const to = connectPlain(Number(port), host);
      from.on('data', (bytes) => recorded.push(bytes));
      from.pipe(to).pipe(from);
      for (const socket of [from, to]) socket.on('error', () => undefined);
    });
    await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve));
    const address = relay.address();
    assert.ok(address !== null && typeof address === 'object');
    const material = readTlsFiles(await trio.files('sublet://agent/a3'), ['agent'], Date.now());
    const client = new MasterClient({
      masters: [`127.0.0.1:${address.port}`],
      credentials: masterCredentials(material),
    });
    const { lease } = await client.call(agentService.register, registration('a3', '10.0.0.3'), once);
    assert.ok(lease != null);
    const left = { agentId: 'a3', instanceId: 'instance-a3', epoch: lease.epoch ?? 0 };
    await client.call(agentService.leave, left, { idempotent: false });
    await client.call(agentService.register, registration('a3', '10.0.0.3', 2), once);
    client.close();
    relay.close();
    const before = trio.revision;
    const ended = await new Promise<string>((resolve) => {
      const socket = connectPlain(Number(port), host, () => socket.write(Buffer.concat(recorded)));
      socket.on('error', () => resolve('error'));
      socket.on('close', () => resolve('closed'));
      socket.resume();
    });
    assert.match(ended, /error|closed/);
    // The same requests again, under the certificate itself.
    const again = await trio.client('agent', 'a3');
    const old = again.call(agentService.register, registration('a3', '10.0.0.3'), once);
    assert.match(await refusalOf(old), /^ABORTED/);
    assert.match(await refusalOf(again.call(agentService.leave, left, once)), /^ABORTED/);
    assert.equal(trio.revision, before, 'nothing changes');
  });
});
