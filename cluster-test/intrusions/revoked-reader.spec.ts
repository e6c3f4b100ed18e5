/** Rows 36 and 52 of docs/intrusions.md, from the masters to an agent that other machines read: a reader that is revoked. */
import assert from 'node:assert/strict';
import { request } from 'node:https';
import { join } from 'node:path';
import { startAgent } from '#agent/start-agent.js';
import { FakeHost } from '#agent/testing/fake-host.js';
import { accessService } from '#api/services.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { defaultHostSettings } from '#host/input.js';
import { SecureTrio } from '#master/testing/secure-trio.js';
import { systemClock } from '#replica/ports/system-clock.js';
import { CertificateReloader } from '#tls/certificate/certificate-reloader.js';

const boundMs = 30_000;

describe('an agent that other machines read', () => {
  it('row 36: refuses a reader that the masters have revoked, and answers others', async () => {
    const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
    await using trio = await SecureTrio.start();
    const admin = await trio.client('admin', 'root');
    const identity = { role: 'viewer', id: 'vera' };
    await admin.call(accessService.revokeIdentity, { identity }, { idempotent: true });

    const files = await trio.files('sublet://agent/host-1');
    const agent = await startAgent({
      id: 'host-1',
      nodeIp: '10.0.0.1',
      stateDir: join(trio.folder, 'host-1'),
      network: 'linux',
      masters: trio.masters.map(({ addresses: { api } }) => ({ host: '127.0.0.1', port: Number(api.split(':')[1]) })),
      certificate: new CertificateReloader({ files, allowed: ['agent'], timer: systemClock, log }),
      httpListen: { host: '127.0.0.1', port: 0 },
      httpsListen: { host: '127.0.0.1', port: 0 },
      networkConfig: {},
      settings: defaultHostSettings,
      reconciler: new FakeHost(),
      log,
      print: () => undefined,
    });
    try {
      const read = async (id: string): Promise<string> => {
        const { cert, key } = await trio.authority.issue(`sublet://viewer/${id}`);
        return new Promise((resolve, reject) => {
          const { host, port } = agent.https ?? assert.fail();
          const options = { host, port, path: '/status', agent: false, ca: trio.authority.pem, cert, key };
          const asked = request({ ...options, checkServerIdentity: () => undefined }, (response) => {
            let text = '';
            response.on('data', (part) => {
              text += part;
            });
            response.on('end', () => resolve(response.statusCode === 200 ? '200' : `${response.statusCode}: ${text}`));
          });
          asked.on('error', reject).end();
        });
      };
      await until('the agent knows who is revoked', boundMs, async () => holds((await read('walt')) === '200'));
      assert.equal(await read('vera'), '403: viewer/vera is revoked\n');
    } finally {
      await agent.stop();
    }
  });
});
