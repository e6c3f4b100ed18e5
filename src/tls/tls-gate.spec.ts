import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect as connectPlain, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { readTlsFiles } from '#tls/certificate/tls-files.js';
import { type CertificateRequest, TestAuthority } from '#tls/testing/test-authority.js';
import { type GateNotice, TlsGate } from '#tls/tls-gate.js';

const hourMs = 3_600_000;
const uri = 'sublet://agent/a1';

describe('the gate in front of a port', () => {
  let authority: TestAuthority;
  let folder: string;
  let server: Server;
  let notices: GateNotice[];
  let secured: (socket: TLSSocket) => void;

  before(async () => {
    authority = await TestAuthority.make();
  });
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sublet-gate-spec-'));
    notices = [];
    const gate = new TlsGate({
      material: readTlsFiles(await authority.files(folder, 'sublet://master/m1'), ['master']),
      protocol: 'h2',
      allowed: ['agent'],
      wallClock: Date.now,
      refused: (notice) => notices.push(notice),
    });
    secured = () => undefined;
    gate.onSecured((socket) => {
      secured(socket);
      socket.end('in');
    });
    server = createServer((socket) => gate.take(socket)).listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterEach(() => {
    server.close();
    rmSync(folder, { recursive: true });
  });

  /** What the caller reads, and what the gate says of it. */
  async function outcome(own: { readonly cert?: string; readonly key?: string }): Promise<string> {
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    const socket = connect({ port: address.port, ...own, rejectUnauthorized: false, ALPNProtocols: ['h2'] });
    let read = '';
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => {
      read += String(bytes);
    });
    await once(socket, 'close');
    return read === '' ? `${notices[0]?.refusal}: ${notices[0]?.message}` : read;
  }

  async function withCertificate(request: CertificateRequest, of = authority): Promise<string> {
    const { cert, key } = await of.issue(uri, request);
    return outcome({ cert, key });
  }

  it('hands on the caller with a certificate of the authority, in its time', async () => {
    assert.equal(await withCertificate({}), 'in');
    assert.deepEqual(notices, []);
  });

  it('row 73: leaves the chain that a caller sends with its connection, which frees it', async () => {
    const { cert, key } = await authority.issue(uri);
    const issuers: (string | undefined)[] = [];
    // It takes the chain out: there is none any more where anything has called it before.
    secured = (socket) => issuers.push(socket.getPeerX509Certificate()?.issuerCertificate?.toString());
    assert.equal(await outcome({ cert: `${cert}${authority.pem}`, key }), 'in');
    assert.deepEqual(issuers, [new X509Certificate(authority.pem).toString()]);
  });

  it('row 2: says that there is no certificate', async () => {
    assert.equal(await outcome({}), 'handshake-failed: the caller has shown no certificate');
  });

  it('rows 3 and 4: names both authorities', async () => {
    const other = await TestAuthority.make();
    assert.match(
      await withCertificate({}, other),
      /^handshake-failed: the certificate of the caller is refused: it is of another authority \(.*sha256:[0-9a-f]{64}; expected sha256:[0-9a-f]{64}\)$/,
    );
  });

  it('rows 5 and 65: names both times, and the clock', async () => {
    const now = Date.now();
    for (const [fromMs, toMs] of [
      [now - 3 * hourMs, now - 2 * hourMs],
      [now + hourMs, now + 2 * hourMs],
    ] as const) {
      notices.length = 0;
      assert.match(
        await withCertificate({ fromMs, toMs }),
        /the certificate of the caller is refused: it is valid from \S+Z to \S+Z, and the clock of this machine says \S+Z$/,
      );
    }
  });

  it('ends connections of an authority that is not trusted any more, and no others', async () => {
    const next = await TestAuthority.make('next');
    const both = await TestAuthority.make('both', [authority, next]);
    const gate = new TlsGate({
      material: readTlsFiles(await both.files(join(folder, 'both'), 'sublet://master/m1'), ['master']),
      protocol: 'h2',
      allowed: ['agent'],
      refused: (notice) => notices.push(notice),
    });
    gate.onSecured((socket) => socket.write('in').valueOf());
    server.removeAllListeners('connection').on('connection', (socket) => gate.take(socket));
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    const callers = [];
    for (const of of [authority, next]) {
      const { cert, key } = await of.issue(uri);
      const caller = connect({ port: address.port, cert, key, rejectUnauthorized: false, ALPNProtocols: ['h2'] });
      await once(caller, 'data');
      callers.push(caller);
    }
    const [kept, ended] = callers;
    assert.ok(kept !== undefined && ended !== undefined);
    const gone = once(ended, 'close');
    const without = await TestAuthority.make('without', [authority]);
    gate.setMaterial(readTlsFiles(await without.files(join(folder, 'without'), 'sublet://master/m1'), ['master']));
    await gone;
    assert.equal(kept.destroyed, false);
    assert.equal(gate.open, 1);
    kept.destroy();
  });

  it('row 71: closes a second connection from one HOST:PORT; the first one keeps its identity', async () => {
    const gate = new TlsGate({
      material: readTlsFiles(await authority.files(folder, 'sublet://master/m1'), ['master']),
      protocol: 'http/1.1',
      allowed: ['agent', 'admin'],
      anonymous: true,
      refused: (notice) => notices.push(notice),
    });
    let ended = Promise.resolve<unknown>(undefined);
    gate.onSecured((socket) => {
      ended = once(socket, 'close');
      socket.write('in');
    });
    // On two addresses of this machine.
    const both = createServer((socket) => gate.take(socket)).listen(0, '0.0.0.0');
    await once(both, 'listening');
    const address = both.address();
    assert.ok(address !== null && typeof address === 'object');
    const { port } = address;
    for (const [first, second] of [
      ['sublet://agent/a1', 'sublet://admin/alice'],
      ['sublet://admin/alice', undefined],
      [undefined, 'sublet://admin/alice'],
    ]) {
      notices.length = 0;
      const one = await callerFrom(0, '127.0.0.1', port, first);
      await once(one, 'data');
      const from = `127.0.0.1:${one.localPort}`;
      const served = ended;
      const two = await callerFrom(one.localPort ?? 0, '127.0.0.2', port, second);
      await once(two, 'close');
      assert.deepEqual(
        notices.map((notice) => `${notice.refusal}: ${notice.message}`),
        [`same-address: another connection from ${from} is open: connect from another port`],
      );
      const principal = gate.principalAt(from);
      assert.equal(principal && `sublet://${principal.role}/${principal.id}`, first);
      one.destroy();
      await served;
    }
    both.close();
  });

  /** A connection of 127.0.0.1:`localPort`, with a certificate for `identity` or without. */
  async function callerFrom(localPort: number, host: string, port: number, identity: string | undefined) {
    const own = identity === undefined ? {} : await authority.issue(identity);
    const socket = connectPlain({ host, port, localAddress: '127.0.0.1', localPort });
    await once(socket, 'connect');
    const caller = connect({ socket, ...own, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] });
    return caller.on('error', () => undefined);
  }

  it('row 6: refuses a certificate that is for servers alone', async () => {
    assert.match(await withCertificate({ usages: ['server'] }), /^handshake-failed: .*: \w+/);
  });
});
