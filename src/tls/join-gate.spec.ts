import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect as connectPlain, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { VirtualTime } from '#replica/testing/virtual-time.js';
import { readTlsFiles, type TlsMaterial } from '#tls/certificate/tls-files.js';
import { JoinGate, joinConnectionMs, joinHandshakesMax } from '#tls/join-gate.js';
import { TestAuthority, writeTlsFiles } from '#tls/testing/test-authority.js';

describe('the gate of the port for joining', () => {
  let folder = '';
  let material: TlsMaterial;
  let time: VirtualTime;
  let gate: JoinGate;
  let server: Server;
  let port = 0;
  let served = 0;
  const refused: string[] = [];

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sublet-join-gate-'));
    const authority = await TestAuthority.make();
    const { cert, key } = await authority.issue('sublet://master/m1');
    material = readTlsFiles(writeTlsFiles(folder, { ca: authority.pem, cert, key }), ['master']);
  });
  after(() => rmSync(folder, { recursive: true }));

  beforeEach(async () => {
    time = new VirtualTime();
    [served, refused.length] = [0, 0];
    gate = new JoinGate({ material, timer: time, refused: (_, message) => refused.push(message) });
    gate.onSecured((socket) => {
      served += 1;
      socket.on('error', () => undefined);
      socket.write('served');
    });
    server = createServer((socket) => gate.take(socket));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    port = address.port;
  });
  afterEach(() => {
    gate.close();
    server.close();
  });

  /** Resolves with a connection whose handshake is done at both ends; rejects when it is closed before. */
  function joined(): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ALPNProtocols: ['h2'] });
      socket.once('data', () => resolve(socket));
      socket.on('error', reject);
      socket.on('close', () => reject(new Error('closed')));
    });
  }

  it('takes callers without a certificate, and ends their connections when it is closed', async () => {
    const open = await joined();
    assert.deepEqual([served, refused], [1, []]);
    const gone = new Promise((resolve) => open.on('close', resolve));
    gate.close();
    await gone;
  });

  it('ends a connection after a minute, whatever is sent', async () => {
    const socket = await joined();
    const gone = new Promise((resolve) => socket.on('close', resolve));
    socket.write('something');
    await time.runFor(joinConnectionMs);
    await gone;
  });

  it('closes what is no TLS, and says so', async () => {
    const socket = connectPlain({ host: '127.0.0.1', port }, () => socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'));
    socket.on('error', () => undefined);
    socket.resume();
    await new Promise((resolve) => socket.on('close', resolve));
    assert.deepEqual([served, refused.length], [0, 1]);
  });

  it('bounds the handshakes that are under way', async () => {
    const waiting: Socket[] = [];
    const closed: Promise<unknown>[] = [];
    // From several addresses of loopback, so that no address has too many.
    for (let at = 0; at < 33; at++) {
      const socket = connectPlain({ host: '127.0.0.1', port, localAddress: `127.0.0.${2 + (at % 4)}` });
      socket.on('error', () => undefined);
      socket.resume();
      closed.push(new Promise((resolve) => socket.on('close', resolve)));
      // One that is refused at once is closed before it is known to be connected.
      await Promise.race([new Promise((resolve) => socket.on('connect', resolve)), ...closed.slice(-1)]);
      waiting.push(socket);
    }
    await Promise.race(closed);
    assert.deepEqual(refused, ['32 handshakes are under way, 8 of its network']);
    for (const socket of waiting) socket.destroy();
  });

  it('ends a handshake of the address that has most, for one that has fewer', async () => {
    const held: Socket[] = [];
    for (let at = 0; at < joinHandshakesMax; at++) {
      const socket = connectPlain({ host: '127.0.0.1', port, localAddress: `127.0.0.${2 + (at % 2)}` });
      socket.on('error', () => undefined);
      socket.resume();
      await new Promise((resolve) => socket.on('connect', resolve));
      held.push(socket);
    }
    const [first] = held;
    const gone = new Promise((resolve) => first?.on('close', resolve));
    const honest = await joined();
    await gone;
    assert.deepEqual(refused, ['32 handshakes are under way, 16 of 127.0.0.2']);
    assert.equal(held.filter(({ destroyed }) => destroyed).length, 1);
    for (const socket of [honest, ...held]) socket.destroy();
  });
});
