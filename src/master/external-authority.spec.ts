/** Masters, agents and admins with certificates of another authority, made as docs/operations/external-authority.md says. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MasterClient } from '#api/master-client.js';
import { accessService, agentService, clusterService } from '#api/services.js';
import { freePorts } from '#cluster-test/process/ports.js';
import { command, requires } from '#cluster-test/requirement.js';
import { type Master, startMaster } from '#master/master.js';
import { silentLog } from '#master/master-log.js';
import { refusalOf } from '#master/testing/secure-trio.js';
import { testOverlay, testSettings } from '#master/testing/test-masters.js';
import { readTlsFiles, type TlsFiles } from '#tls/certificate/tls-files.js';
import { masterCredentials } from '#tls/client-credentials.js';
import type { Role } from '#tls/principal.js';

const once = { idempotent: true };
const names = ['m1', 'm2', 'm3'];

describe('certificates of another authority', function () {
  this.timeout(60_000);
  const folder = mkdtempSync(join(tmpdir(), 'sublet-external-authority-'));
  const masters: Master[] = [];
  const clients: MasterClient[] = [];

  before(async function () {
    requires(this, command('openssl'));
    const page = readFileSync('docs/operations/external-authority.md', 'utf8');
    const blocks = [...page.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, block = '']) => block);
    assert.equal(blocks.length, 3);
    execFileSync('bash', ['-euc', blocks.join('\n')], { cwd: folder, stdio: 'pipe' });
    const ports = await freePorts(9);
    const at = (index: number): string => `127.0.0.1:${ports[index]}`;
    const founders = names.map((name, index) => ({ name, peer: at(index) }));
    const starting = founders.map(({ name, peer }, index) =>
      startMaster({
        name,
        clusterId: 'spec',
        founders,
        peerListen: peer,
        retainEntries: 1_000,
        listen: at(3 + index),
        httpListen: at(6 + index),
        tls: filesOf('master', name),
        timing: { heartbeatMs: 30, electionMs: 300 },
        dataDir: join(folder, `data-${name}`),
        network: {
          initial: { settings: testSettings, overlays: [testOverlay] },
          file: { settings: {}, overlays: undefined },
        },
        insecure: false,
        version: 'spec',
        logger: silentLog,
        onFatal: (error) => assert.fail(error.message),
      }),
    );
    masters.push(...(await Promise.all(starting)));
    await Promise.all(masters.map((master) => master.ready()));
  });
  after(async () => {
    for (const client of clients) client.close();
    await Promise.all(masters.map((master) => master.stop()));
    rmSync(folder, { recursive: true });
  });

  function filesOf(role: Role, id: string): TlsFiles {
    const part = (file: string): string => join(folder, `${role}-${id}`, file);
    return { ca: part('ca.pem'), cert: part('cert.pem'), key: part('key.pem') };
  }

  function client(role: Role, id: string): MasterClient {
    const material = readTlsFiles(filesOf(role, id), [role], Date.now());
    const made = new MasterClient({
      masters: masters.map(({ addresses }) => addresses.api),
      timeoutMs: 10_000,
      credentials: masterCredentials(material),
    });
    clients.push(made);
    return made;
  }

  it('make a cluster, whose masters know agents and admins by them, and revoke them', async () => {
    const admin = client('admin', 'alice');
    const { members } = await admin.call(clusterService.getStatus, {}, once);
    assert.deepEqual(members.map(({ name }) => name).sort(), names);
    for (const [id, nodeIp] of [
      ['host-7', '10.0.0.7'],
      ['host-8', '10.0.0.8'],
    ] as const) {
      const agent = client('agent', id);
      const { identity } = await agent.call(accessService.whoAmI, {}, once);
      assert.deepEqual([identity?.role, identity?.id], ['agent', id]);
      const registration = { agentId: id, instanceId: `instance-${id}`, sequence: 1, nodeIp };
      assert.ok((await agent.call(agentService.register, registration, once)).lease, id);
      await admin.call(accessService.revokeIdentity, { identity: { role: 'agent', id } }, once);
      assert.match(
        await refusalOf(agent.call(agentService.register, { ...registration, sequence: 2 }, once)),
        /revoked/,
      );
    }
  });
});
