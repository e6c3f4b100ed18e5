/** Row 66 of docs/intrusions.md: neither end goes on in clear with one that has TLS. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MasterClient, NoMasterError } from '#api/master-client.js';
import { clusterService } from '#api/services.js';
import { TestMasters } from '#master/testing/test-masters.js';
import { readTlsFiles } from '#tls/certificate/tls-files.js';
import { masterCredentials } from '#tls/client-credentials.js';
import { TestAuthority } from '#tls/testing/test-authority.js';

describe('a client with TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sublet-downgrade-'));
  after(() => rmSync(folder, { recursive: true }));

  it('row 66: sends nothing but a handshake to a master without TLS, and is not answered by it', async () => {
    const authority = await TestAuthority.make();
    await using masters = await TestMasters.start({ count: 1 });
    const plain = masters.masters[0]?.api ?? assert.fail();
    const seen: Buffer[] = [];
    const relay = createServer((socket) => {
      socket.on('data', (bytes) => seen.push(bytes));
      socket.on('error', () => undefined);
      setTimeout(() => socket.destroy(), 100);
    });
    await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve));
    const address = relay.address();
    assert.ok(address !== null && typeof address === 'object');
    const files = await authority.files(join(folder, 'a1'), 'sublet://agent/a1');
    const credentials = masterCredentials(readTlsFiles(files, ['agent']));
    for (const master of [plain, `127.0.0.1:${address.port}`]) {
      const client = new MasterClient({ masters: [master], credentials, timeoutMs: 2_000 });
      await assert.rejects(client.call(clusterService.getStatus, {}, { idempotent: true }), NoMasterError);
      client.close();
    }
    relay.close();
    const sent = Buffer.concat(seen);
    assert.equal(sent[0], 0x16, 'a handshake record');
    assert.doesNotMatch(sent.toString('latin1'), /PRI \* HTTP|ClusterService/);
  });
});
