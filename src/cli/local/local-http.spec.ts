import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { promisify } from 'node:util';
import { getLocal } from '#cli/local/local-http.js';

const module = new URL('local-http.js', import.meta.url).href;
const boundMs = 20_000;

describe('a question to a server of this machine', function () {
  this.timeout(2 * boundMs);
  let server: Server;
  let url = '';

  before(async () => {
    server = createServer((request, response) => {
      response.statusCode = request.url === '/missing' ? 404 : 200;
      response.end(`here is ${request.url}`);
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(() => {
    server.close();
    server.closeAllConnections();
  });

  it('has the status and the text', async () => {
    assert.deepEqual(await getLocal(`${url}/status`, boundMs), { status: 200, text: 'here is /status' });
    assert.deepEqual(await getLocal(`${url}/missing`, boundMs), { status: 404, text: 'here is /missing' });
  });

  it('is not sent to a proxy that Node.js is to follow; one by fetch is: the control', async () => {
    const proxy = 'http://127.0.0.1:1';
    const env = { ...process.env, NODE_USE_ENV_PROXY: '1', http_proxy: proxy, HTTP_PROXY: proxy, no_proxy: '' };
    const run = async (script: string): Promise<string> => {
      const args = ['--input-type=module', '--eval', script];
      return (await promisify(execFile)(process.execPath, args, { env })).stdout.trim();
    };
    const own = `const { getLocal } = await import('${module}'); console.log((await getLocal('${url}/', ${boundMs})).text);`;
    assert.equal(await run(own), 'here is /');
    assert.equal(await run(`console.log(await fetch('${url}/').then(() => 'passed', () => 'refused'));`), 'refused');
  });

  it('says that nothing answers, and that what answers does not end', async () => {
    const silent = createTcpServer((socket) => socket.on('error', () => undefined));
    await once(silent.listen(0, '127.0.0.1'), 'listening');
    const { port } = silent.address() as AddressInfo;
    await assert.rejects(getLocal(`http://127.0.0.1:${port}/`, 50), /^Error: no whole answer within 50 ms$/);
    silent.close();
    await assert.rejects(getLocal('http://127.0.0.1:1/', boundMs), /ECONNREFUSED/);
  });
});
