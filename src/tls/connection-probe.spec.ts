import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { Server as GrpcServer, ServerCredentials } from '@grpc/grpc-js';
import { readTlsFiles, type TlsMaterial } from '#tls/certificate/tls-files.js';
import { explainConnection } from '#tls/connection-probe.js';
import { type CertificateRequest, TestAuthority } from '#tls/testing/test-authority.js';
import { TlsGate } from '#tls/tls-gate.js';

const hourMs = 3_600_000;

describe('a connection to a master that does not come about', () => {
  let authority: TestAuthority;
  let folder: string;
  let own: TlsMaterial;
  const closers: (() => void)[] = [];

  before(async () => {
    authority = await TestAuthority.make();
    folder = mkdtempSync(join(tmpdir(), 'sublet-probe-spec-'));
    own = await materialOf('sublet://agent/a1');
  });
  afterEach(() => {
    for (const close of closers.splice(0)) close();
  });
  after(() => rmSync(folder, { recursive: true }));

  async function materialOf(uri: string, of = authority): Promise<TlsMaterial> {
    const files = await of.files(mkdtempSync(join(folder, 'x-')), uri);
    return readTlsFiles(files, ['agent', 'master']);
  }

  async function listening(server: Server): Promise<string> {
    await once(server.listen(0, '127.0.0.1'), 'listening');
    closers.push(() => server.close());
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    return `127.0.0.1:${address.port}`;
  }

  /** A master behind TLS, with a certificate of these dates. */
  async function secure(request: CertificateRequest = {}, of = authority, uri = 'sublet://master/m1'): Promise<string> {
    const { cert, key } = await of.issue(uri, request);
    const server = createTlsServer(
      { cert, key, ca: authority.pem, requestCert: true, ALPNProtocols: ['h2'] },
      (socket) => {
        socket.on('error', () => undefined);
        socket.end('settings');
      },
    );
    return listening(server);
  }

  async function plain(): Promise<string> {
    const server = new GrpcServer();
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    closers.push(() => server.forceShutdown());
    return `127.0.0.1:${port}`;
  }

  it('row 66: is explained where one end speaks TLS and the other does not', async () => {
    assert.match(
      (await explainConnection(await plain(), own)) ?? '',
      /^the master at \S+ does not speak TLS, and this process does: .*nothing was sent in clear$/,
    );
    assert.match(
      (await explainConnection(await secure(), undefined)) ?? '',
      /^the master at \S+ speaks TLS, and this process does not: give it a certificate/,
    );
    assert.equal(await explainConnection(await plain(), undefined), undefined);
    assert.equal(await explainConnection(await secure(), own), undefined, 'nothing is wrong');
  });

  it('rows 5 and 65: is explained by both times and the clock of this machine', async () => {
    const now = Date.now();
    const dates =
      /is refused: it is valid from \S+Z to \S+Z, and the clock of this machine says \S+Z; nothing was sent/;
    const ended = await secure({ fromMs: now - 2 * hourMs, toMs: now - hourMs });
    assert.match((await explainConnection(ended, own)) ?? '', dates);
    const good = await secure();
    for (const skewMs of [-2 * hourMs, 2 * hourMs]) {
      const why = (await explainConnection(good, own, now + skewMs)) ?? '';
      assert.match(why, dates);
      assert.ok(why.includes(new Date(now + skewMs).toISOString().slice(0, 19)), why);
    }
  });

  it('is explained by the fingerprints of both authorities', async () => {
    const other = await TestAuthority.make();
    const why = await explainConnection(await secure({}, other), own);
    assert.match(
      why ?? '',
      /is refused: it is of another authority \(.*sha256:[0-9a-f]{64}; expected sha256:[0-9a-f]{64}\); nothing/,
    );
  });

  it('row 61: is explained by the role of the certificate', async () => {
    const why = await explainConnection(await secure({}, authority, 'sublet://agent/m1'), own);
    assert.match(why ?? '', /has the certificate of agent\/m1, not of a master; nothing was sent to it$/);
  });

  it('is explained by the own certificate, where the master ends it after the handshake', async () => {
    const gate = new TlsGate({
      material: await materialOf('sublet://master/m1'),
      protocol: 'h2',
      allowed: ['operator'],
      refused: () => undefined,
    });
    const server = createServer((socket: Socket) => gate.take(socket));
    assert.match(
      (await explainConnection(await listening(server), own)) ?? '',
      /^the master at \S+ refuses the certificate of agent\/a1, valid from .* \(this process trusts sha256:.*, or the port is the one of masters among themselves \(7071 by default\); the log of the master says which$/,
    );
  });

  it('stays as it is where nothing listens, or nothing answers', async () => {
    const silent = createServer();
    const address = await listening(silent);
    silent.close();
    assert.equal(await explainConnection(address, own), undefined);
    assert.equal(await explainConnection('unix:/nowhere', own), undefined);
  });
});
