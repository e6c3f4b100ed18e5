/** Many callers of one gate, from several loopback addresses. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server as NetServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { readTlsFiles, type TlsMaterial } from '#tls/certificate/tls-files.js';
import { TestAuthority } from '#tls/testing/test-authority.js';
import { handshakesMax, TlsGate } from '#tls/tls-gate.js';

describe('the handshakes of a gate', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sublet-handshakes-'));
  let authority: TestAuthority;
  let gate: TlsGate;
  let listener: NetServer;
  let port: number;
  const refusals: string[] = [];
  const callers: string[] = [];
  let reported: () => void = () => undefined;
  const sockets: Socket[] = [];
  /** Those that the gate has given, newest last. */
  const sessions: Buffer[] = [];
  before(async () => {
    authority = await TestAuthority.make();
    gate = new TlsGate({
      material: await material('sublet://master/m1'),
      protocol: 'h2',
      allowed: ['agent'],
      refused: ({ refusal, from, message }) => {
        refusals.push(`${refusal}: ${message}`);
        callers.push(from);
        reported();
      },
    });
    gate.onSecured((socket) => socket.on('error', () => undefined).write('taken'));
    listener = createServer((socket) => gate.take(socket));
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const address = listener.address();
    port = address !== null && typeof address === 'object' ? address.port : 0;
  });
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.destroy();
  });
  after(() => {
    listener.close();
    rmSync(folder, { recursive: true });
  });

  async function material(uri: string): Promise<TlsMaterial> {
    const files = await authority.files(mkdtempSync(join(folder, 'files-')), uri);
    return readTlsFiles(files, ['master', 'agent']);
  }

  async function handshake(localAddress: string, session?: Buffer): Promise<TLSSocket> {
    const { ca, cert, key } = await material('sublet://agent/a1');
    // The types of TLS do not know `localAddress`, which the socket takes.
    const options = {
      port,
      host: '127.0.0.1',
      localAddress,
      ca,
      cert,
      key,
      ALPNProtocols: ['h2'],
      ...(session === undefined ? {} : { session }),
      checkServerIdentity: () => undefined,
    };
    const socket = connectTls(options);
    sockets.push(socket);
    socket.on('session', (each: Buffer) => sessions.push(each));
    await once(socket, 'data');
    return socket;
  }

  it('row 46: of the address that has most of them make room for others, the oldest first, once there are too many', async () => {
    const half = async (): Promise<Socket> => {
      const socket = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.3' });
      sockets.push(socket);
      socket.on('error', () => undefined);
      await once(socket, 'connect');
      return socket;
    };
    // One after the other, so that the gate has them in this order.
    const first = await half();
    const others = await Promise.all(Array.from({ length: handshakesMax - 1 }, half));
    assert.equal(refusals.length, 0, refusals.join());
    const more = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.3' });
    more.on('error', () => undefined);
    await new Promise((resolve) => more.once('close', resolve));
    const full = 'too-many-handshakes: 256 handshakes are under way, 256 of';
    assert.deepEqual(refusals, [`${full} its network`]);
    const gone = new Promise((resolve) => first.once('close', resolve));
    await handshake('127.0.0.4');
    await gone;
    assert.equal(refusals[1], `${full} 127.0.0.3`);
    assert.ok(others.every(({ destroyed }) => !destroyed));
    // Its own are taken again when some have gone.
    for (const socket of sockets.splice(0)) socket.destroy();
    await handshake('127.0.0.4');
    await handshake('127.0.0.3');
    assert.equal(refusals.filter((text) => text.startsWith('too-many')).length, 2);
  });

  it('names the address of a caller that hangs up', async () => {
    refusals.length = 0;
    const socket = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.5' });
    await once(socket, 'connect');
    const { localPort } = socket;
    const report = new Promise<void>((resolve) => (reported = resolve));
    socket.destroy();
    await report;
    assert.deepEqual(refusals, ['handshake-failed: the caller has closed the connection during the handshake']);
    assert.deepEqual(callers.at(-1), `127.0.0.5:${localPort}`);
  });

  it('takes no session of an earlier connection: each one shows its certificate', async () => {
    await handshake('127.0.0.1');
    const session = sessions.at(-1);
    const second = await handshake('127.0.0.1', session);
    assert.equal(second.isSessionReused(), false);
  });
});
