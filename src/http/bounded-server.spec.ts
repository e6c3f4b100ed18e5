import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingHttpHeaders, type RequestOptions, request, type Server } from 'node:http';
import { connect, type Socket } from 'node:net';
import { hostname } from 'node:os';
import { holds, until } from '#cluster-test/process/condition.js';
import { boundedServer, crossSite, type ServerLimits, text } from '#http/bounded-server.js';
import { pacedAnswer } from '#http/paced-answer.js';

const boundMs = 30_000;
/** More than the buffers of both ends hold. */
const large = Buffer.alloc(32 * 1024 * 1024, 'x');

describe('an HTTP server', function () {
  this.timeout(2 * boundMs);
  let server: Server;
  let port = 0;
  const sockets: Socket[] = [];

  async function open(limits: Partial<ServerLimits> = {}): Promise<void> {
    server = boundedServer({
      hosts: ['Master-1.example'],
      limits,
      answer: (asked, method, path) =>
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
