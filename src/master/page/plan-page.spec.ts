import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientRequest, get, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { inflateRawSync } from 'node:zlib';
import { operatorService } from '#api/services.js';
import { PageMaster } from '#cluster-test/page/page-master.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { Token } from '#http/access.js';
import { PlanModel } from '#page/plan/plan-model.js';
import { readChunk, readWatch } from '#page/plan/wire.js';
import { byAddress } from '#tls/caller.js';

const boundMs = 10_000;
const secret = '0123456789abcdef0123456789abcdef';

describe('the page of the plan', () => {
  let master: PageMaster;
  const opened: ClientRequest[] = [];
  before(async () => {
    master = await PageMaster.start();
    await master.register(0, 3);
  });
  afterEach(() => {
    for (const request of opened.splice(0)) request.destroy();
  });
  after(() => master[Symbol.asyncDispose]());

  const admission = () => master.masters.master(0).services.admission.total;
  const change = (path: string, bytes: Uint8Array): Promise<Uint8Array> =>
    master.masters.master(0).services.call(path, bytes, byAddress('10.9.9.9:1'), 5_000);
  async function follow(query = ''): Promise<{ readonly model: PlanModel; readonly response: IncomingMessage }> {
    const request = get(`${master.url}events?${query}`, { agent: false });
    opened.push(request);
    request.on('error', () => undefined);
    const [response]: IncomingMessage[] = await once(request, 'response');
    assert.ok(response !== undefined);
    const model = new PlanModel();
    let text = '';
    response.on('error', () => undefined);
    response.on('data', (bytes) => {
      text += bytes;
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const data = /^data: (.*)$/m.exec(text.slice(0, end))?.[1] ?? '';
        text = text.slice(end + 2);
        const message = readWatch(Buffer.from(data, 'base64'));
        model.take(message, message.kind === 'deflated' ? readChunk(inflateRawSync(message.bytes)) : undefined);
      }
    });
    return { model, response };
  }

  it('is served with its files, and allows nothing inline and nothing from elsewhere', async () => {
    const root = await fetch(new URL('/', master.url), { redirect: 'manual' });
    assert.deepEqual([root.status, root.headers.get('location')], [307, '/ui/']);
    for (const [path, type] of [
      ['', 'text/html; charset=utf-8'],
      ['app.js', 'text/javascript; charset=utf-8'],
      ['app.css', 'text/css; charset=utf-8'],
      ['icon.svg', 'image/svg+xml'],
    ] as const) {
      const { status, headers } = await fetch(master.url + path);
      assert.deepEqual([status, headers.get('content-type')], [200, type], path);
      const policy = headers.get('content-security-policy') ?? '';
      assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self'/);
      assert.doesNotMatch(policy, /unsafe|\*|data:/);
      assert.equal(headers.get('x-content-type-options'), 'nosniff');
    }
    const html = await (await fetch(master.url)).text();
    assert.doesNotMatch(html, /<script(?! type="module" src="\/ui\/app\.js"><)|<style|style=| on\w+=|https?:/);
    assert.equal((await fetch(`${master.url}app.js.map`)).status, 404);
  });

  it('follows the plan, and takes up where it was', async () => {
    const { model, response } = await follow();
    assert.equal(response.headers['content-type'], 'text/event-stream');
    await until('the snapshot has arrived', boundMs, async () => holds(model.agents.size === 3));
    await master.register(3, 4);
    await until('the change has arrived', boundMs, async () => holds(model.agents.has('host-00003')));
    assert.equal(model.map('dcos', 'v4')?.holders.get(3), 'host-00003');
    const { clusterId: cluster, revision, branch } = model;
    await master.register(4, 5);
    const again = await follow(new URLSearchParams({ cluster, revision: String(revision), branch }).toString());
    await until('only what is new has arrived', boundMs, async () => holds(again.model.agents.size === 1));
    assert.deepEqual([...again.model.agents.keys()], ['host-00004']);
  });

  it('is believed nothing of what it has seen, and begins no adoption', async () => {
    for (const [revision, branch] of [
      ['1', '0.1.0123456789ab'],
      ['9000', '0.1.0123456789ab'],
    ] as const) {
      const { model } = await follow(new URLSearchParams({ cluster: 'test', revision, branch }).toString());
      await until('the snapshot has arrived', boundMs, async () => holds(model.agents.size > 0));
    }
    const { services, machine } = master.masters.master(0);
    await master.register(5, 6);
    assert.deepEqual([services.guard.proofs, machine.ipam.adoption], [0, false]);
  });

  it('gives back the place of a page that has gone', async () => {
    await follow();
    await until('it is counted', boundMs, async () => holds(admission().streams === 1));
    await fetch(`${master.url}events`, { method: 'HEAD' });
    for (const request of opened.splice(0)) request.destroy();
    await until('it is counted no more', boundMs, async () => holds(admission().streams === 0));
  });

  it('row 76: begins no watch for requests that wait for another on their connection', async () => {
    const { hostname, port } = new URL(master.url);
    const socket = connect(Number(port), hostname);
    socket.on('error', () => undefined);
    socket.write(`GET /ui/events HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`.repeat(5));
    await once(socket, 'data');
    assert.equal(admission().streams, 1);
    socket.destroy();
    await until('nothing of it is left', boundMs, async () => holds(admission().streams === 0));
  });

  it('names what is wrong with a request', async () => {
    const text = async (path: string): Promise<readonly [number, string]> => {
      const response = await fetch(master.url + path);
      return [response.status, await response.text()];
    };
    const [code, message] = await text('events?revision=-1');
    assert.equal(code, 400);
    assert.match(message, /^revision: "-1" is not a number/);
    assert.equal((await text(`events?branch=${'x'.repeat(70)}`))[0], 400);
    assert.deepEqual(await text('blocks?overlay=none'), [404, 'overlay: there is no overlay "none" of family v4\n']);
    assert.equal((await text('blocks?overlay=dcos&family=v6'))[0], 404);
    assert.equal((await fetch(`${master.url}blocks?overlay=dcos`, { method: 'POST' })).status, 405);
  });

  it('has the blocks that are neither held nor free', async () => {
    const { reserve, releaseAgents } = operatorService;
    for (const [subnet, agentId] of [
      ['9.0.200.0/24', 'later'],
      ['9.1.0.0/18', ''],
    ] as const) {
      await change(reserve.path, reserve.request.encode({ overlay: 'dcos', subnet, agentId }).finish());
    }
    const agentIds = ['host-00001', 'host-00002'];
    await change(releaseAgents.path, releaseAgents.request.encode({ agentIds, force: true }).finish());
    const answer = await fetch(`${master.url}blocks?overlay=dcos`);
    const { runs } = JSON.parse(await answer.text());
    assert.deepEqual(runs, [
      [256, 64, 'e'],
      [1, 2, 'q'],
      [200, 1, 'r'],
    ]);
  });

  describe('with a token', () => {
    let closed: PageMaster;
    before(async () => {
      closed = await PageMaster.start({ token: new Token(secret) });
    });
    after(() => closed[Symbol.asyncDispose]());

    it('needs the token: as a password, which a browser asks for, or as a bearer', async () => {
      for (const path of ['', 'app.js', 'events', 'blocks?overlay=dcos']) {
        const { status, headers } = await fetch(closed.url + path);
        assert.equal(status, 401, path);
        assert.equal(headers.get('www-authenticate'), 'Bearer, Basic realm="sublet", charset="UTF-8"');
      }
      const basic = (password: string): string => `Basic ${Buffer.from(`anyone:${password}`).toString('base64')}`;
      for (const [authorization, expected] of [
        [basic(secret), 200],
        [`Bearer ${secret}`, 200],
        [basic(`${secret}x`), 401],
        [`Basic ${Buffer.from(secret).toString('base64')}`, 401],
        [`Basic ${secret}`, 401],
      ] as const) {
        for (const path of ['', 'blocks?overlay=dcos']) {
          assert.equal(
            (await fetch(closed.url + path, { headers: { authorization } })).status,
            expected,
            authorization,
          );
        }
      }
    });
  });
});
