/** Real gRPC on loopback, and a caller that writes HTTP/2 as it likes. The rows in titles are those of docs/intrusions.md. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import { createServer, type Server as NetServer } from 'node:net';
import type { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { type CallerLimits, type GuardNotice, StreamGuard } from '#http2/stream-guard.js';

const bytesAsTheyAre = (bytes: Buffer): Buffer => bytes;
const codecs = {
  requestSerialize: bytesAsTheyAre,
  requestDeserialize: bytesAsTheyAre,
  responseSerialize: bytesAsTheyAre,
  responseDeserialize: bytesAsTheyAre,
};
const path = '/spec.Spec/Echo';
const collectPath = '/spec.Spec/Collect';
const limits: CallerLimits = { messageBytes: 50_000, connectionBytes: 100_000, callerBytes: 150_000, streams: 20 };

function framed(body: Buffer, flags = 0): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(flags, 0);
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

describe('a guard of gRPC streams', () => {
  let guard: StreamGuard;
  let notices: GuardNotice[];
  let handled: number;
  /** Bytes of messages. */
  let collected: number;
  /** Of the newest connection. */
  let retire: () => void;
  let listener: NetServer;
  let grpc: Server;
  let sessions: ClientHttp2Session[];
  let taken: CallerLimits;
  let caller: string;

  beforeEach(async () => {
    [notices, handled, collected, sessions, taken, caller] = [[], 0, 0, [], limits, 'agent/a1'];
    guard = new StreamGuard({
      totalBytes: 190_000,
      messagesPerPiece: 8,
      begins: (called, of) => called !== '/spec.Spec/Last' && of.caller === caller,
      refused: (notice) => notices.push(notice),
    });
    grpc = new Server({ 'grpc.max_receive_message_length': 1_000_000 });
    grpc.addService(
      {
        Echo: { path, requestStream: false, responseStream: false, ...codecs },
        Collect: { path: collectPath, requestStream: true, responseStream: false, ...codecs },
      },
      {
        Collect: (call: Readable, answer: (error: null, bytes: Buffer) => void) => {
          call.on('data', (bytes: Buffer) => {
            collected += bytes.length;
          });
          call.on('end', () => answer(null, Buffer.alloc(0)));
        },
        Echo: (call: { request: Buffer }, answer: (error: null, bytes: Buffer) => void) => {
          handled += 1;
          answer(null, call.request);
        },
      },
    );
    const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure());
    listener = createServer((socket) => {
      retire = guard.take(socket, caller, taken);
      injector.injectConnection(socket);
    });
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
  });
  afterEach(() => {
    for (const session of sessions) session.destroy();
    grpc.forceShutdown();
    listener.close();
  });

  function session(): ClientHttp2Session {
    const address = listener.address();
    const made = connect(`http://127.0.0.1:${address !== null && typeof address === 'object' ? address.port : 0}`);
    made.on('error', () => undefined);
    sessions.push(made);
    return made;
  }
  function begin(on: ClientHttp2Session, headers: Record<string, string> = {}): ClientHttp2Stream {
    const stream = on.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    });
    stream.on('error', () => undefined);
    stream.resume();
    return stream;
  }
  /** The status, whether it came with the headers or at the end. */
  function statusOf(stream: ClientHttp2Stream): Promise<{ readonly code: string; readonly message: string }> {
    return new Promise((resolve) => {
      const look = (headers: Record<string, unknown>): void => {
        const { 'grpc-status': code, 'grpc-message': message = '' } = headers;
        if (code !== undefined) resolve({ code: String(code), message: decodeURI(String(message)) });
      };
      stream.on('response', look);
      stream.on('trailers', look);
      stream.on('close', () => resolve({ code: `closed ${stream.rstCode}`, message: '' }));
    });
  }
  async function echo(on: ClientHttp2Session, body = Buffer.from('x'), headers = {}): Promise<string> {
    const stream = begin(on, headers);
    stream.end(framed(body));
    return (await statusOf(stream)).code;
  }

  it('leaves calls as they are', async () => {
    const on = session();
    assert.equal(await echo(on), '0');
    assert.equal(await echo(on, Buffer.alloc(50_000)), '0');
    assert.equal(await echo(on, Buffer.from('x'), { 'grpc-encoding': 'identity' }), '0');
    assert.equal(handled, 3);
    assert.deepEqual(notices, []);
    assert.equal(guard.bytes, 0);
  });

  it('row 43: refuses compressed messages with UNIMPLEMENTED before any is inflated', async () => {
    const on = session();
    const bomb = framed(gzipSync(Buffer.alloc(900_000)), 1);
    for (const encoding of ['gzip', 'deflate', 'snappy', 'identity, gzip']) {
      const stream = begin(on, { 'grpc-encoding': encoding });
      stream.write(Buffer.concat(Array<Buffer>(15).fill(bomb)));
      const { code, message } = await statusOf(stream);
      assert.equal(code, '12', encoding);
      assert.match(message, /^grpc-encoding ".*": compressed messages are not taken here$/);
    }
    assert.equal(handled, 0);
    assert.equal(guard.refused('compressed'), 4);
    assert.equal(await echo(on), '0', 'the connection goes on');
  });

  it('leaves to gRPC what gRPC answers itself, compressed or not', async () => {
    const on = session();
    const headers = { ':path': '/spec.Spec/Nothing', 'grpc-encoding': 'gzip' };
    assert.equal(await echo(on, Buffer.from('x'), headers), '12');
    const stream = begin(on, { 'content-type': 'text/plain', 'grpc-encoding': 'gzip' });
    stream.end();
    const [response] = await once(stream, 'response');
    assert.equal(response[':status'], 415);
    assert.equal(await echo(on), '0');
  });

  it('row 44: ends a connection with messages in one-byte frames', async () => {
    const on = session();
    const stream = begin(on);
    stream.write(framed(Buffer.alloc(50_000)).subarray(0, 5));
    let ended = false;
    on.once('close', () => {
      ended = true;
    });
    let sent = 0;
    while (!ended) {
      await new Promise((resolve) => stream.write(Buffer.alloc(1), resolve));
      sent += 1;
      if (sent % 16 === 0) await new Promise(setImmediate);
    }
    assert.ok(sent < 5_000, `${sent} bytes were taken`);
    assert.deepEqual(
      notices.map(({ refusal }) => refusal),
      ['unfinished-messages'],
    );
    assert.equal(guard.bytes, 0, 'nothing is kept of it');
  });

  it('row 45: ends a connection with more of half messages than may be', async () => {
    const on = session();
    const closed = once(on, 'close');
    for (let n = 0; n < 4; n++) begin(on).write(framed(Buffer.alloc(49_000)).subarray(0, 40_000));
    await closed;
    assert.equal(handled, 0);
    assert.match(notices[0]?.message ?? '', /of this connection, and 100000 are allowed: the connection is ended/);
    assert.equal(await echo(session()), '0', 'and takes another one');
  });

  it('row 45: counts all connections of a caller together, and all callers', async () => {
    const half = framed(Buffer.alloc(50_000)).subarray(0, 49_900);
    /** A connection with half a message, once it is counted. */
    const holding = async (): Promise<ClientHttp2Session> => {
      const on = session();
      const before = guard.bytes;
      begin(on).write(half);
      while (guard.bytes < before + half.length && !on.destroyed) await new Promise(setImmediate);
      return on;
    };
    await holding();
    await holding();
    const third = await holding();
    if (!third.destroyed) await once(third, 'close');
    assert.match(notices[0]?.message ?? '', /of this caller, and 150000 are allowed/);
    caller = 'agent/a2';
    await holding();
    const fourth = await holding();
    if (!fourth.destroyed) await once(fourth, 'close');
    assert.match(notices[1]?.message ?? '', /of all callers, and 190000 are allowed/);
  });

  it('refuses a message that is larger than its caller may send', async () => {
    const on = session();
    const stream = begin(on);
    stream.write(framed(Buffer.alloc(50_001)).subarray(0, 10));
    const { code, message } = await statusOf(stream);
    assert.equal(code, '8');
    assert.equal(message, 'a message of 50001 B: agent/a1 may send 50000 B at most');
    assert.equal(await echo(on), '0');
  });

  it('row 45: ends a connection with more open streams of its caller than may be', async () => {
    const [first, second] = [session(), session()];
    for (let n = 0; n < 12; n++) begin(first);
    assert.equal(await echo(first), '0', 'all have begun');
    for (let n = 0; n < 9; n++) begin(second);
    await once(second, 'close');
    assert.equal(guard.refused('many-streams'), 1);
    first.destroy();
    while (guard.streamsOf(caller) > 0) await new Promise(setImmediate);
    const third = session();
    for (let n = 0; n < 19; n++) begin(third);
    assert.equal(await echo(third), '0', 'those of the others count no more');
  });

  it('ends a connection as the calls that begin decide, when gRPC has done with what came last', async () => {
    const on = session();
    const last = begin(on, { ':path': '/spec.Spec/Last' });
    begin(on, { ':path': '/spec.Spec/Last' }).end();
    last.end();
    await once(on, 'close');
    assert.equal(await echo(session()), '0');
    assert.deepEqual(
      notices.map(({ refusal, message }) => [refusal, message]),
      [['many-refusals', 'too many calls of methods that there are not: the connection is ended']],
    );
  });

  it('ends a connection on demand', async () => {
    const on = session();
    assert.equal(await echo(on), '0');
    guard.end('127.0.0.1:1');
    const socket = on.socket;
    guard.end(`${socket.localAddress}:${socket.localPort}`);
    await once(on, 'close');
    assert.equal(guard.refused('many-refusals'), 1);
  });

  it('R4: retires a connection: calls under way end, later ones are not taken, and then it ends', async () => {
    const on = session();
    const open = begin(on);
    assert.equal(await echo(on), '0', 'both have begun');
    retire();
    await once(on, 'goaway');
    const late = on.closed ? undefined : begin(on);
    late?.end(framed(Buffer.from('x')));
    const answer = statusOf(open);
    open.end(framed(Buffer.from('x')));
    assert.equal((await answer).code, '0');
    if (!on.destroyed) await once(on, 'close');
    assert.equal(handled, 2);
    assert.deepEqual(notices, []);
  });

  it('R6: bounds the first message of a method, by which the caller is judged, more closely than the rest', async () => {
    taken = { ...limits, methods: new Map([[collectPath, { firstMessageBytes: 20_000, streams: 4 }]]) };
    const on = session();
    const long = begin(on, { ':path': collectPath });
    long.write(framed(Buffer.alloc(20_001)).subarray(0, 10));
    const { code, message } = await statusOf(long);
    assert.deepEqual([code, message], ['8', 'a first message of 20001 B: agent/a1 may send 20000 B at most']);
    const right = begin(on, { ':path': collectPath });
    const answer = statusOf(right);
    right.write(framed(Buffer.alloc(20_000)));
    right.end(framed(Buffer.alloc(50_000)));
    assert.equal((await answer).code, '0');
    assert.equal(collected, 70_000);
    assert.equal(await echo(on, Buffer.alloc(50_000)), '0', 'other methods have no such bound');
  });

  it('R6: ends a connection with more open streams of one method than may be, of all connections of its caller', async () => {
    taken = { ...limits, methods: new Map([[collectPath, { firstMessageBytes: 20_000, streams: 4 }]]) };
    const [first, second] = [session(), session()];
    for (let n = 0; n < 4; n++) begin(first, { ':path': collectPath });
    assert.equal(await echo(first), '0', 'all have begun');
    assert.equal(await echo(second), '0', 'other methods go on');
    begin(second, { ':path': collectPath });
    await once(second, 'close');
    assert.match(notices[0]?.message ?? '', /^5 open streams \/spec\.Spec\/Collect of this caller, and 4 are allowed/);
    first.destroy();
    while (guard.streamsOf(caller) > 0) await new Promise(setImmediate);
    const third = session();
    for (let n = 0; n < 4; n++) begin(third, { ':path': collectPath });
    assert.equal(await echo(third), '0', 'those of the others count no more');
  });

  it('ends a connection with many messages in one frame', async () => {
    const on = session();
    begin(on).write(Buffer.concat(Array<Buffer>(9).fill(framed(Buffer.alloc(0)))));
    await once(on, 'close');
    assert.equal(guard.refused('many-messages'), 1);
  });
});
