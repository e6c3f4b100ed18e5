import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, get, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { wholeAnswer } from '#cli/whole-answer.js';

describe('a whole answer', () => {
  let server: Server;
  let url = '';

  before(async () => {
    server = createServer((request, response) => {
      response.statusCode = 203;
      response.write('a'.repeat(600));
      if (request.url === '/broken') response.write('b', () => response.destroy());
      else if (request.url !== '/endless') response.end('ü'.repeat(200));
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(() => {
    server.close();
    server.closeAllConnections();
  });

  it('has the status and the text, up to the limit in bytes', async () => {
    const { status, text } = await wholeAnswer(get(url), 1_000);
    assert.deepEqual([status, text], [203, 'a'.repeat(600) + 'ü'.repeat(200)]);
    await assert.rejects(wholeAnswer(get(url), 999), /^Error: its answer is larger than 999 bytes$/);
  });

  it('is not one that breaks off', async () => {
    await assert.rejects(wholeAnswer(get(`${url}/broken`), 1_000), /^Error: aborted$/);
  });

  it('fails with the error that ended the question, also after it has begun', async () => {
    const asked = get(`${url}/endless`);
    asked.on('response', () => asked.destroy(new Error('it takes too long')));
    await assert.rejects(wholeAnswer(asked, 1_000), /^Error: it takes too long$/);
  });
});
