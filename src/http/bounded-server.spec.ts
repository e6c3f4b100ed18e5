import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingHttpHeaders, type RequestOptions, request, type Server } from 'node:http';
import { connect, type Socket } from 'node:net';
import { hostname } from 'node:os';
import { duplexPair } from 'node:stream';
import { holds, until } from '#cluster-test/process/condition.js';
import { boundedServer, crossSite, type HttpAnswer, type ServerLimits, text } from '#http/bounded-server.js';
import { pacedAnswer } from '#http/paced-answer.js';
import { waitingMax } from '#http/turns.js';

const boundMs = 30_000;
/** More than the buffers of both ends hold. */
const large = Buffer.alloc(32 * 1024 * 1024, 'x');

describe('an HTTP server', function () {
  this.timeout(2 * boundMs);
  let server: Server;
  let port = 0;
  const sockets: Socket[] = [];

  /** Of `/held/…`: those that were begun, with what answers them. */
  const begun: { readonly path: string; readonly answer: () => void }[] = [];

  async function open(limits: Partial<ServerLimits> = {}): Promise<void> {
    begun.length = 0;
    server = boundedServer({
      hosts: ['Master-1.example'],
      limits,
      answer: (asked, method, path) =>
        (path.startsWith('/held/') ? held(path) : undefined) ??
        (method === 'POST' ? crossSite(asked) : undefined) ??
        (path === '/large' ? { code: 200, type: 'text/plain', body: large } : text(200, 'ok')),
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    port = address !== null && typeof address === 'object' ? address.port : 0;
  }
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.destroy();
    server.close();
    server.closeAllConnections();
  });

  function held(path: string): Promise<HttpAnswer> {
    return new Promise((resolve) => begun.push({ path, answer: () => resolve(text(200, path)) }));
  }
  function raw(words = ''): Socket {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(words);
    sockets.push(socket);
    return socket;
  }
  function ask(
    path: string,
    more: RequestOptions = {},
  ): Promise<{ code: number; body: string; headers: IncomingHttpHeaders }> {
    return new Promise((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', port, path, agent: false, ...more }, (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (part: string) => {
          body += part;
        });
        response.on('end', () => resolve({ code: response.statusCode ?? 0, body, headers: response.headers }));
        response.on('error', reject);
      });
      asked.on('error', reject);
      asked.end();
    });
  }
  const connections = (): Promise<number> =>
    new Promise((resolve, reject) => server.getConnections((error, count) => (error ? reject(error) : resolve(count))));

  it('row 51: answers for health beside 600 half requests, and nothing else to that address', async () => {
    await open();
    for (let n = 0; n < 600; n++) raw('GET /state HTTP/1.1\r\nHost: x');
    await until('all have arrived', boundMs, async () => holds((await connections()) >= 96));
    for (const path of ['/healthz', '/readyz']) assert.deepEqual((await ask(path)).code, 200, path);
    const other = await ask('/metrics');
    assert.equal(other.code, 503);
    assert.match(other.body, /only \/healthz and \/readyz are answered/);
    assert.ok((await connections()) <= 32 + 64);
  });

  it('reuses the place of a closed connection', async () => {
    await open({ connectionsPerAddress: 1 });
    const first = raw('GET / HTTP/1.1\r\n');
    await until('it is there', boundMs, async () => holds((await connections()) === 1));
    assert.equal((await ask('/')).code, 503);
    first.destroy();
    await until('there is room again', boundMs, async () => holds((await ask('/')).code === 200));
  });

  it('bounds all together as well', async () => {
    await open({ connections: 4 });
    raw();
    raw();
    await until('both are there', boundMs, async () => holds((await connections()) === 2));
    assert.equal((await ask('/')).code, 503);
  });

  it('gives headers so much room, and closes', async () => {
    await open();
    assert.equal((await ask('/', { headers: { cookie: 'x'.repeat(9_000) } })).code, 431);
  });

  it('gives headers so much time, and closes', async () => {
    await open({ headersMs: 300 });
    const slow = raw('GET / HTTP/1.1\r\n');
    const silent = raw();
    slow.resume();
    silent.resume();
    await Promise.all([once(slow, 'close'), once(silent, 'close')]);
  });

  it('row 51: closes when an answer is not taken in time', async () => {
    await open({ answerMs: 300 });
    const came = once(server, 'connection');
    const reader = raw('GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await came;
    // It reads nothing. That the other end is gone shows at the server.
    await until('it is closed', boundMs, async () => holds((await connections()) === 0));
    reader.destroy();
    assert.equal((await ask('/')).code, 200);
  });

  const pipelined = (count: number): string =>
    Array.from({ length: count }, (_, n) => `GET /held/${n} HTTP/1.1\r\nHost: localhost\r\n\r\n`).join('');

  it('row 76: answers the requests of a connection one after the other', async () => {
    await open();
    let got = '';
    raw(pipelined(3)).on('data', (part) => {
      got += part;
    });
    for (const n of [0, 1, 2]) {
      await until('its turn has come', boundMs, async () => holds(begun.length === n + 1));
      begun[n]?.answer();
      await until('the answer has come', boundMs, async () => holds(got.includes(`\r\n\r\n/held/${n}\n`)));
    }
  });

  it('row 76: closes a connection on which too many requests wait, and begins none of them', async () => {
    await open();
    const flood = raw(pipelined(1 + waitingMax + 1));
    await once(flood.resume(), 'close');
    assert.deepEqual(
      begun.map(({ path }) => path),
      ['/held/0'],
    );
    assert.equal((await ask('/')).code, 200);
  });

  it('row 76: parses no more of what it has read of a connection once that is closed', async () => {
    await open();
    let seen = 0;
    server.on('request', () => {
      seen += 1;
    });
    const shortest = 'GET / HTTP/1.1\r\n\r\n';
    await once(raw(shortest.repeat(3_500)).resume(), 'close');
    assert.ok(seen > waitingMax && seen <= Math.ceil(4_096 / shortest.length), String(seen));
  });

  it('loses nothing of what comes while an answer is not taken', async () => {
    await open();
    let answers = 0;
    let last = '';
    const reader = raw('GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n');
    reader.on('data', (bytes) => {
      const now = last + bytes.toString('latin1');
      answers += now.split('HTTP/1.1 200').length - 1;
      last = now.slice(now.lastIndexOf('HTTP/1.1 200') + 1).slice(-12);
    });
    await once(reader, 'data');
    reader.pause();
    reader.write(`GET / HTTP/1.1\r\nHost: localhost\r\nCookie: ${'x'.repeat(3_000)}\r\n\r\n`.repeat(waitingMax));
    await until('the first is answered', boundMs, async () => holds((await ask('/')).code === 200));
    reader.resume();
    await until('all are answered', boundMs, async () => holds(answers === 1 + waitingMax));
  });

  it('row 76: begins none that waits once its connection is closed', async () => {
    await open();
    const gone = raw(pipelined(3));
    await until('the first is begun', boundMs, async () => holds(begun.length === 1));
    gone.destroy();
    await until('it is closed', boundMs, async () => holds((await connections()) === 0));
    begun[0]?.answer();
    assert.equal((await ask('/')).code, 200);
    assert.equal(begun.length, 1);
  });

  it('row 51: takes a /64 of IPv6 for one address', async () => {
    await open({ connectionsPerAddress: 2 });
    const codeFrom = (remoteAddress: string): Promise<string> => {
      const [client, end] = duplexPair();
      server.emit('connection', Object.assign(end, { remoteAddress, setTimeout: () => end }));
      client.write('GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n');
      return new Promise((resolve) => client.once('data', (bytes) => resolve(String(bytes).slice(9, 12))));
    };
    assert.equal(await codeFrom('2001:db8::1'), '200');
    assert.equal(await codeFrom('2001:db8::2:0:0:7'), '200');
    assert.equal(await codeFrom('2001:db8::3'), '503');
    assert.equal(await codeFrom('2001:db8:0:1::3'), '200');
  });

  it('row 52: changes nothing for a web page', async () => {
    await open();
    const post = async (headers: Record<string, string>): Promise<number> =>
      (await ask('/x', { method: 'POST', headers })).code;
    const json = { 'content-type': 'application/json' };
    assert.equal(await post(json), 200);
    assert.equal(await post({ 'content-type': 'Application/JSON; charset=utf-8' }), 200);
    assert.equal(await post({}), 415);
    assert.equal(await post({ 'content-type': 'text/plain' }), 415);
    assert.equal(await post({ 'content-type': 'application/x-www-form-urlencoded' }), 415);
    assert.equal(await post({ ...json, origin: 'http://attacker.example' }), 403);
    assert.equal(await post({ ...json, origin: 'null' }), 403);
    assert.equal(await post({ ...json, host: 'attacker.example' }), 421);
  });

  it('row 52: answers what a person opens, and nothing that a page of another site has a browser load', async () => {
    await open();
    const code = async (site: string, mode: string, path = '/state'): Promise<number> =>
      (await ask(path, { headers: { 'sec-fetch-site': site, 'sec-fetch-mode': mode } })).code;
    assert.equal(await code('same-origin', 'cors'), 200);
    assert.equal(await code('none', 'navigate'), 200);
    assert.equal(await code('cross-site', 'navigate'), 200, 'a link');
    for (const site of ['cross-site', 'same-site']) {
      for (const mode of ['no-cors', 'cors']) assert.equal(await code(site, mode), 403);
    }
    assert.equal(await code('cross-site', 'no-cors', '/healthz'), 200);
  });

  it('row 53: answers under its own names and any address, and under no other name but for health', async () => {
    await open();
    const under = async (host: string, path = '/metrics'): Promise<number> =>
      (await ask(path, { headers: { host } })).code;
    for (const host of [
      'localhost',
      'LOCALHOST:7072',
      '10.0.0.1',
      '10.0.0.1:7072',
      '[::1]:7072',
      hostname(),
      'master-1.example:1',
    ]) {
      assert.equal(await under(host), 200, host);
    }
    for (const host of [
      'attacker.example',
      'attacker.example:7072',
      'localhost.attacker.example',
      '1.2.3.4.attacker.example',
    ]) {
      assert.equal(await under(host), 421, host);
      assert.equal(await under(host, '/healthz'), 200, host);
    }
    const { headers } = await ask('/metrics');
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers['cache-control'], 'no-store');
  });
});

describe('row 51: an answer that is costly to work out', () => {
  it('is worked out once for all concurrent callers, and not again while nothing has changed', async () => {
    let version = 1;
    let works = 0;
    let finish: () => void = () => undefined;
    const answer = pacedAnswer(
      () => version,
      async () => {
        works += 1;
        const of = version;
        await new Promise<void>((resolve) => {
          finish = resolve;
        });
        return of;
      },
      () => 0,
    );
    const first = answer();
    const second = answer();
    await Promise.resolve();
    assert.equal(works, 1);
    finish();
    assert.deepEqual(await Promise.all([first, second]), [1, 1]);
    assert.equal(await answer(), 1);
    assert.equal(works, 1);
    version = 2;
    const third = answer();
    await Promise.resolve();
    // A caller that comes after a change that the one in flight has not seen waits for the next.
    version = 3;
    const fourth = answer();
    finish();
    assert.equal(await third, 2);
    await new Promise(setImmediate);
    assert.equal(works, 3);
    finish();
    assert.equal(await fourth, 3);
  });
});
