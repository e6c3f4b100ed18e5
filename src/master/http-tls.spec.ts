/** HTTP of a master behind TLS; the rows in titles are those of docs/intrusions.md. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { request } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MasterClient } from '#api/master-client.js';
import { accessService, agentService, clusterService, operatorService } from '#api/services.js';
import { freePorts } from '#cluster-test/process/ports.js';
import { type Master, startMaster } from '#master/master.js';
import { silentLog } from '#master/master-log.js';
import { testOverlay, testSettings } from '#master/testing/test-masters.js';
import { issueCertificate, makeAuthority } from '#tls/certificate/authority.js';
import { readTlsFiles } from '#tls/certificate/tls-files.js';
import { masterCredentials } from '#tls/client-credentials.js';
import { type CertificateRequest, TestAuthority } from '#tls/testing/test-authority.js';

const secret = '0123456789abcdef0123456789abcdef';
const state = '/overlay-master/state';
const removal = '/overlay-master/agents/delete';

describe('HTTP of a master behind TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sublet-http-tls-spec-'));
  let authority: TestAuthority;
  let master: Master;
  let health = '';
  const audited: string[] = [];
  const refused: string[] = [];

  async function start(httpTls: boolean): Promise<void> {
    const [api, peer, http, probes] = (await freePorts(4)).map((port) => `127.0.0.1:${port}`);
    assert.ok(api !== undefined && peer !== undefined && http !== undefined && probes !== undefined);
    health = probes;
    const tokenFile = join(folder, 'token');
    writeFileSync(tokenFile, `${secret}\n`);
    chmodSync(tokenFile, 0o600);
    master = await startMaster({
      name: 'm1',
      clusterId: 'spec',
      founders: [{ name: 'm1', peer }],
      retainEntries: 1_000,
      listen: api,
      peerListen: peer,
      httpListen: http,
      healthListen: probes,
      httpTls,
      ...(httpTls ? { httpTokenFile: tokenFile } : {}),
      timing: { heartbeatMs: 30, electionMs: 300 },
      tls: await authority.files(join(folder, 'tls'), 'sublet://master/m1'),
      dataDir: mkdtempSync(join(folder, 'data-')),
      network: {
        initial: { settings: testSettings, overlays: [testOverlay] },
        file: { settings: {}, overlays: undefined },
      },
      insecure: false,
      version: 'spec',
      logger: {
        ...silentLog,
        info: (fields, message) => {
          if ('audit' in fields) audited.push(message);
        },
        warn: (fields, message) => {
          if ('audit' in fields) refused.push(message);
        },
      },
      onFatal: (error) => assert.fail(error.message),
    });
    await master.ready();
  }
  async function client(uri: string): Promise<MasterClient> {
    const files = await authority.files(mkdtempSync(join(folder, 'client-')), uri);
    const material = readTlsFiles(files, ['agent', 'viewer', 'admin'], Date.now());
    return new MasterClient({
      masters: [master.addresses.api],
      timeoutMs: 5_000,
      credentials: masterCredentials(material),
    });
  }
  before(async () => {
    authority = await TestAuthority.make();
  });
  after(() => rmSync(folder, { recursive: true }));

  type Asked = {
    readonly uri?: string;
    readonly of?: TestAuthority;
    readonly certificate?: CertificateRequest;
    readonly token?: string;
    readonly body?: string;
  };

  /** The status, or why there was none. */
  async function ask(path: string, asked: Asked = {}): Promise<string> {
    return (await exchange(path, asked)).code;
  }

  async function exchange(
    path: string,
    { uri, of = authority, certificate, token, body }: Asked = {},
  ): Promise<{ readonly code: string; readonly text: string }> {
    const { cert, key } = uri === undefined ? {} : await of.issue(uri, certificate);
    const [, port = ''] = master.addresses.http.split(':');
    return new Promise((resolve) => {
      const asked = request(
        {
          host: '127.0.0.1',
          port,
          path,
          agent: false,
          ca: authority.pem,
          checkServerIdentity: () => undefined,
          cert,
          key,
          method: body === undefined ? 'GET' : 'POST',
          headers: {
            ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
            ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          },
        },
        (response) => {
          let text = '';
          response.on('data', (part) => {
            text += part;
          });
          response.on('end', () => resolve({ code: String(response.statusCode), text }));
        },
      );
      asked.on('error', () => resolve({ code: 'refused', text: '' }));
      asked.end(body);
    });
  }

  describe('with TLS of its own', () => {
    before(() => start(true));
    after(() => master.stop());

    it('answers readers with a certificate or the token, operators who change something, and probes', async () => {
      const agent = await client('sublet://agent/a1');
      await agent.call(
        agentService.register,
        { agentId: 'a1', instanceId: 'i', sequence: 1, nodeIp: '10.0.0.1' },
        { idempotent: true },
      );
      agent.close();
      const viewer = { uri: 'sublet://viewer/vera' };
      for (const path of ['/metrics', state]) {
        assert.equal(await ask(path), '401', `${path} without anything`);
        assert.equal(await ask(path, { token: 'wrong' }), '401');
        assert.equal(await ask(path, { token: secret }), '200');
        assert.equal(await ask(path, viewer), '200');
      }
      const body = '{"agents":["10.0.0.9"]}';
      assert.equal(await ask(removal, { body }), '401');
      assert.equal(await ask(removal, { body, token: secret }), '403');
      assert.equal(await ask(removal, { body, ...viewer }), '403');
      assert.equal(await ask(removal, { body, uri: 'sublet://operator/alice' }), '404', 'no agent has that address');
      for (const path of ['/healthz', '/readyz']) assert.equal(await ask(path), '200');
      const foreign = await TestAuthority.make('foreign');
      assert.equal(await ask('/metrics', { ...viewer, of: foreign, token: secret }), 'refused', 'foreign');
      const past = { fromMs: Date.now() - 7_200_000, toMs: Date.now() - 3_600_000 };
      assert.equal(await ask('/metrics', { ...viewer, certificate: past, token: secret }), 'refused', 'expired');
      for (const uri of ['sublet://agent/a1', 'sublet://master/m1']) {
        assert.equal(await ask('/metrics', { uri }), 'refused', uri);
      }
    });

    it('answers a revoked viewer no more', async () => {
      const root = await client('sublet://admin/root');
      const viewer = { uri: 'sublet://viewer/walt' };
      assert.equal(await ask('/metrics', viewer), '200');
      const identity = { role: 'viewer', id: 'walt' };
      await root.call(accessService.revokeIdentity, { identity }, { idempotent: true });
      root.close();
      assert.equal(await ask('/metrics', viewer), '403');
    });

    it('has each role call over HTTP what it may call on the API, and no more', async () => {
      const none = { path: operatorService.listOverlays.path, body: '{}' };
      const change = { path: operatorService.removeOverlay.path, body: '{"name":"missing"}' };
      const admins = { path: clusterService.endAdoption.path, body: '{}' };
      const expected: readonly (readonly [string, Asked, readonly string[]])[] = [
        ['none', {}, ['401', '401', '401']],
        ['token', { token: secret }, ['200', '403', '403']],
        ['viewer', { uri: 'sublet://viewer/vera' }, ['200', '403', '403']],
        ['operator', { uri: 'sublet://operator/alice' }, ['200', '404', '403']],
        ['admin', { uri: 'sublet://admin/root' }, ['200', '404', '200']],
      ];
      for (const [name, who, codes] of expected) {
        const got = [];
        for (const { path, body } of [none, change, admins]) got.push(await ask(path, { ...who, body }));
        assert.deepEqual(got, codes, name);
      }
    });

    it('names its callers in the audit log and in WhoAmI', async () => {
      const whoAmI = { path: accessService.whoAmI.path, body: '{}' };
      for (const [who, identity] of [
        [{ token: secret }, { role: 'viewer', id: 'http/token' }],
        [{ uri: 'sublet://operator/bob' }, { role: 'operator', id: 'bob' }],
      ] as const) {
        const { code, text } = await exchange(whoAmI.path, { ...who, body: whoAmI.body });
        assert.equal(code, '200');
        assert.deepEqual(JSON.parse(text).identity, identity);
      }
      audited.length = 0;
      await ask(operatorService.removeOverlay.path, { uri: 'sublet://operator/bob', body: '{"name":"missing"}' });
      assert.deepEqual(audited, ['operator/bob calls /sublet.v1.OperatorService/RemoveOverlay']);
    });

    it('row 82: names in the log an address that sends a wrong token', async () => {
      assert.equal(await ask('/metrics', { token: `${secret}x` }), '401');
      assert.ok(
        refused.some((line) => /^http: 127\.0\.0\.1:\d+ has sent another token/.test(line)),
        refused.join('; '),
      );
      assert.ok(!refused.some((line) => line.includes(secret)));
    });

    it('row 1: closes plain text', async () => {
      const [host = '', port = ''] = master.addresses.http.split(':');
      const socket = connect(Number(port), host);
      socket.on('error', () => undefined);
      let answer = '';
      socket.on('data', (bytes) => {
        answer += bytes.toString('latin1');
      });
      socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
      await once(socket, 'close');
      assert.doesNotMatch(answer, /HTTP/);
    });

    it('row 54: takes the token of HTTP for nothing on the API', async () => {
      const plain = new MasterClient({ masters: [master.addresses.api], timeoutMs: 2_000 });
      await assert.rejects(plain.call(operatorService.listAgents, {}, { idempotent: true }));
      plain.close();
    });

    it('has a port for probes that answers nothing else', async () => {
      const probe = (path: string): Promise<number> =>
        new Promise((resolve, reject) => {
          get(`http://${health}${path}`, { agent: false }, (response) => {
            response.resume();
            resolve(response.statusCode ?? 0);
          }).on('error', reject);
        });
      assert.deepEqual(await Promise.all(['/healthz', '/readyz', '/metrics', state].map(probe)), [200, 200, 404, 404]);
    });
  });

  describe('in clear on loopback', () => {
    before(() => start(false));
    after(() => master.stop());

    it('row 52: lets callers read, and change nothing', async () => {
      const at = `http://${master.addresses.http}`;
      assert.equal((await fetch(`${at}/metrics`)).status, 200);
      const headers = { 'content-type': 'application/json' };
      const changed = await fetch(at + removal, { method: 'POST', headers, body: '{"agents":["10.0.0.1"]}' });
      assert.equal(changed.status, 401);
      assert.match(await changed.text(), /show the certificate of a viewer or an operator/);
      const call = (path: string, body: string): Promise<Response> =>
        fetch(at + path, { method: 'POST', headers, body });
      const listed = await call(operatorService.listOverlays.path, '{}');
      assert.equal(listed.status, 200);
      const removed = await call(operatorService.removeOverlay.path, '{"name":"missing"}');
      assert.equal(removed.status, 403);
      assert.match(await removed.text(), /viewer\/http\/loopback may not call/);
    });
  });
});

describe('the certificates that an authority issues', () => {
  it('give masters, and no others, the name sublet for clients that check names', async () => {
    const pair = await makeAuthority('test', 1, Date.now());
    const made = await issueCertificate(pair, { role: 'master', id: 'm1' }, 1, Date.now());
    assert.equal(new X509Certificate(made.cert).checkHost('sublet'), 'sublet');
    const agent = await issueCertificate(pair, { role: 'agent', id: 'a1' }, 1, Date.now());
    assert.equal(new X509Certificate(agent.cert).checkHost('sublet'), undefined);
  });
});
