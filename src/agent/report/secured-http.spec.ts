/** HTTP of an agent with TLS; the rows in titles are those of docs/intrusions.md. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SecuredHttp } from '#agent/report/secured-http.js';
import { Token } from '#http/access.js';
import { text } from '#http/bounded-server.js';
import { systemClock } from '#replica/ports/system-clock.js';
import { issueCertificate, makeAuthority, type PemPair } from '#tls/certificate/authority.js';
import { CertificateReloader } from '#tls/certificate/certificate-reloader.js';
import { parseIdentity } from '#tls/principal.js';
import { writeTlsFiles } from '#tls/testing/test-authority.js';

const secret = '0123456789abcdef0123456789abcdef';

describe('HTTP of an agent with TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sublet-secured-http-'));
  let authority: PemPair;
  let certificate: CertificateReloader;
  let http: SecuredHttp;
  const answered: string[] = [];
  const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

  before(async () => {
    authority = await makeAuthority('spec', 10, Date.now());
    const own = await issueCertificate(authority, { role: 'agent', id: 'host-7' }, 10, Date.now());
    const files = writeTlsFiles(folder, { ca: authority.cert, ...own });
    certificate = new CertificateReloader({ files, allowed: ['agent'], timer: systemClock, log });
    http = new SecuredHttp({
      listen: { host: '127.0.0.1', port: 0 },
      token: new Token(secret),
      certificate,
      hosts: [],
      log,
      answer: async (method, path) => {
        answered.push(`${method} ${path}`);
        return text(200, 'answered');
      },
    });
    await http.open();
  });
  after(() => {
    http.close();
    certificate.stop();
    rmSync(folder, { recursive: true });
  });

  type Asked = { readonly as?: string; readonly by?: PemPair; readonly token?: string; readonly host?: string };

  /** The status, or why there was none. The name and the usage of the agent's certificate are verified, as readers do. */
  async function ask(path: string, { as, by = authority, token, host }: Asked = {}): Promise<string> {
    const own = as === undefined ? {} : await issueCertificate(by, parseIdentity(as), 10, Date.now());
    return new Promise((resolve) => {
      const headers = {
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(host !== undefined && { host }),
      };
      const asked = request(
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
          response.resume();
          response.on('end', () => resolve(String(response.statusCode)));
        },
      );
      asked.on('error', ({ message }) => resolve(`refused: ${message}`));
      asked.end();
    });
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
});
