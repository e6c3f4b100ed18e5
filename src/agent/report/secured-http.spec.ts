/** HTTP of an agent with TLS; the rows in titles are those of docs/intrusions.md. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:https';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { ReaderRevocations } from '#agent/report/reader-revocations.js';
import { SecuredHttp } from '#agent/report/secured-http.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { Token } from '#http/access.js';
import { text } from '#http/bounded-server.js';
import { sublet } from '#proto/sublet.js';
import { HandClock } from '#storage/testing/hand-clock.js';
import { issueCertificate, makeAuthority, type PemPair } from '#tls/certificate/authority.js';
import { CertificateReloader } from '#tls/certificate/certificate-reloader.js';
import { parseIdentity } from '#tls/principal.js';
import { writeTlsFiles } from '#tls/testing/test-authority.js';

const { ListRevokedReadersResponse } = sublet.v1;
const secret = '0123456789abcdef0123456789abcdef';
const dayMs = 24 * 3_600_000;
const connectionsMax = 16;
const boundMs = 30_000;
const beganMs = Date.now();

describe('HTTP of an agent with TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sublet-secured-http-'));
  let authority: PemPair;
  let clock: HandClock;
  /** From when on the masters answer; undefined: they do not. */
  let revoked: sublet.v1.ListRevokedReadersResponse.$Properties | undefined;
  let certificate: CertificateReloader;
  let http: SecuredHttp;
  const answered: string[] = [];
  const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

  before(async () => {
    authority = await makeAuthority('spec', 10, beganMs);
  });
  after(() => rmSync(folder, { recursive: true }));
  beforeEach(async () => {
    clock = new HandClock();
    revoked = { version: 'none' };
    answered.length = 0;
    const files = await ownFiles();
    const wallClock = (): number => beganMs + clock.now();
    certificate = new CertificateReloader({ files, allowed: ['agent'], timer: clock, wallClock, log });
    const revocations = new ReaderRevocations({
      ask: async () =>
        ListRevokedReadersResponse.decode(ListRevokedReadersResponse.encode(revoked ?? refuse()).finish()),
      clock,
      random: () => 0,
      log,
    });
    http = new SecuredHttp({
      listen: { host: '127.0.0.1', port: 0 },
      token: new Token(secret),
      certificate,
      hosts: [],
      log,
      revocations,
      clock,
      wallClock,
      limits: { connections: connectionsMax },
      answer: async (method, path) => {
        answered.push(`${method} ${path}`);
        return text(200, 'answered');
      },
    });
    await http.open();
    await turn(0);
  });
  afterEach(() => {
    http.close();
    certificate.stop();
  });

  function refuse(): never {
    throw new Error('no master answers');
  }

  async function ownFiles() {
    const own = await issueCertificate(authority, { role: 'agent', id: 'host-7' }, 10, beganMs);
    return writeTlsFiles(folder, { ca: authority.cert, ...own });
  }

  /** Lets what is due run, and what it asks the masters be answered. */
  async function turn(ms: number): Promise<void> {
    clock.turn(ms);
    await new Promise(setImmediate);
  }

  type Asked = { readonly as?: string; readonly by?: PemPair; readonly token?: string; readonly host?: string };

  /** The status, or why there was none. The name and the usage of the agent's certificate are verified, as readers do. */
  async function ask(path: string, asked: Asked = {}): Promise<string> {
    return (await exchange(path, asked)).code;
  }

  async function exchange(
    path: string,
    { as, by = authority, token, host }: Asked = {},
  ): Promise<{ readonly code: string; readonly text: string }> {
    const own = as === undefined ? {} : await issueCertificate(by, parseIdentity(as), 10, beganMs);
    return new Promise((resolve) => {
      const headers = {
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(host !== undefined && { host }),
      };
      const asking = request(
        {
          host: '127.0.0.1',
          port: http.port,
          path,
          headers,
          agent: false,
          ca: authority.cert,
          servername: 'sublet-agent',
          ...own,
        },
        (response) => {
          let read = '';
          response.on('data', (part) => {
            read += part;
          });
          response.on('end', () => resolve({ code: String(response.statusCode), text: read }));
        },
      );
      asking.on('error', ({ message }) => resolve({ code: `refused: ${message}`, text: '' }));
      asking.end();
    });
  }

  /** An open connection, on which one request was answered. */
  async function connection(as: string, days: number): Promise<TLSSocket> {
    const own = await issueCertificate(authority, parseIdentity(as), days, beganMs);
    const options = { host: '127.0.0.1', port: http.port, ca: authority.cert, servername: 'sublet-agent', ...own };
    const socket = connectTls({ ...options, ALPNProtocols: ['http/1.1'] });
    socket.on('error', () => undefined);
    socket.write('GET /status HTTP/1.1\r\nhost: localhost\r\n\r\n');
    const [answer] = await once(socket, 'data');
    assert.match(String(answer), /^HTTP\/1\.1 200 /);
    return socket;
  }

  it('row 52: answers readers with a certificate or the token, and probes, and no others', async () => {
    for (const path of ['/status', '/metrics', '/overlay-agent/overlay', '/other']) {
      assert.equal(await ask(path), '401', path);
      assert.equal(await ask(path, { token: 'wrong' }), '401', path);
    }
    assert.deepEqual(answered, []);
    for (const role of ['viewer', 'operator', 'admin']) {
      assert.equal(await ask('/status', { as: `${role}/vera` }), '200');
    }
    assert.equal(await ask('/metrics', { token: secret }), '200');
    for (const path of ['/healthz', '/readyz']) assert.equal(await ask(path), '200');
    assert.deepEqual([...new Set(answered)], ['GET /status', 'GET /metrics', 'GET /healthz', 'GET /readyz']);
    assert.equal(await ask('/status', { token: secret, host: 'attacker.example' }), '421', 'row 53');
  });

  it('closes connections of agents, masters and another authority, also with the token', async () => {
    const foreign = await makeAuthority('foreign', 10, Date.now());
    for (const asked of [
      { as: 'agent/host-8' },
      { as: 'agent/host-7' },
      { as: 'master/m1' },
      { as: 'viewer/v', by: foreign },
    ]) {
      assert.match(await ask('/status', { ...asked, token: secret }), /^refused: /, asked.as);
    }
  });

  it('row 1: closes plain text', async () => {
    const socket = connect(http.port, '127.0.0.1', () =>
      socket.write('GET /status HTTP/1.1\r\nhost: localhost\r\n\r\n'),
    );
    let read = '';
    socket.on('data', (part) => {
      read += part.toString('latin1');
    });
    socket.on('error', () => undefined);
    await new Promise((resolve) => socket.on('close', resolve));
    assert.doesNotMatch(read, /HTTP/);
  });

  it('row 36: ends the connections of a revoked reader and refuses it with the reason, and no other reader', async () => {
    const [vera, walt] = await Promise.all([connection('viewer/vera', 10), connection('viewer/walt', 10)]);
    revoked = { version: 'one', readers: [{ identity: { role: 'viewer', id: 'vera' } }] };
    const ended = once(vera, 'close');
    await turn(60_000);
    await ended;
    assert.equal(walt.destroyed, false);
    walt.destroy();
    assert.deepEqual(await exchange('/status', { as: 'viewer/vera' }), {
      code: '403',
      text: 'viewer/vera is revoked\n',
    });
    assert.equal(await ask('/status', { as: 'operator/vera' }), '200');
    assert.equal(await ask('/status', { as: 'viewer/walt' }), '200');
    assert.equal(await ask('/healthz', { as: 'viewer/vera' }), '200');
  });

  it('takes no certificate before a master has said which are revoked, and the token all the same', async () => {
    http.close();
    revoked = undefined;
    const revocations = new ReaderRevocations({ ask: async () => refuse(), clock, random: () => 0, log });
    const listen = { host: '127.0.0.1', port: 0 };
    http = new SecuredHttp({
      listen,
      token: new Token(secret),
      certificate,
      revocations,
      hosts: [],
      log,
      clock,
      answer: async () => text(200, 'answered'),
    });
    await http.open();
    const { code, text: said } = await exchange('/status', { as: 'admin/root' });
    assert.equal(code, '503');
    assert.match(said, /^no master has said yet which certificates are revoked: try again, or send the token/);
    assert.equal(await ask('/status'), '401');
    assert.equal(await ask('/status', { as: 'admin/root', token: secret }), '200');
    assert.equal(await ask('/healthz'), '200');
  });

  it('ends connections whose certificate has ended, within a minute, and no others', async () => {
    const [short, long] = await Promise.all([connection('viewer/short', 1), connection('viewer/long', 2)]);
    await turn(dayMs - 60_000);
    // By the answer to a later request it would have ended.
    assert.equal(await ask('/healthz'), '200');
    assert.equal(short.destroyed, false);
    const ended = once(short, 'close');
    await turn(2 * 60_000);
    await ended;
    assert.equal(await ask('/healthz'), '200');
    assert.equal(long.destroyed, false);
    long.destroy();
  });

  it('row 63: shows the certificate that is in the files by then, and leaves open connections', async () => {
    const open = await connection('viewer/vera', 10);
    const shown = open.getPeerX509Certificate()?.serialNumber;
    await ownFiles();
    await certificate.look();
    const later = await connection('viewer/vera', 10);
    assert.equal(later.getPeerX509Certificate()?.serialNumber, certificate.material.principal.serial);
    assert.notEqual(later.getPeerX509Certificate()?.serialNumber, shown);
    assert.equal(open.destroyed, false);
    for (const each of [open, later]) each.destroy();
  });

  it('row 46: has so many connections at most, those included that send nothing', async () => {
    const silent = async (): Promise<Socket> => {
      const socket = connect(http.port, '127.0.0.1');
      socket.on('error', () => undefined);
      await once(socket, 'connect');
      return socket;
    };
    const held = [];
    for (let each = 0; each < connectionsMax; each++) held.push(await silent());
    assert.match(await ask('/healthz'), /^refused: /);
    for (const each of held) each.destroy();
    await until('there is room again', boundMs, async () => holds((await ask('/healthz')) === '200'));
  });
});
