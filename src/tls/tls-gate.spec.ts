import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import { masterCredentials, serverName } from '#tls/client-credentials.js';
import { TestAuthority } from '#tls/testing/test-authority.js';
import { readTlsFiles, type TlsMaterial } from '#tls/tls-files.js';
import { TlsGate } from '#tls/tls-gate.js';

const path = '/spec.Spec/WhoAmI';
const raw = (bytes: Buffer): Buffer => bytes;
const codecs = { requestSerialize: raw, requestDeserialize: raw, responseSerialize: raw, responseDeserialize: raw };

describe('the gate of a listener', () => {
  let folder: string;
  let authority: TestAuthority;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sublet-gate-spec-'));
    authority = await TestAuthority.make();
  });
  after(() => rmSync(folder, { recursive: true }));

  async function material(uri: string): Promise<TlsMaterial> {
    const files = await authority.files(mkdtempSync(join(folder, 'files-')), uri);
    return readTlsFiles(files, ['master', 'agent'], Date.now());
  }

  for (const host of ['127.0.0.1', '::1']) {
    it(`knows the certificate of a call that comes over ${host}`, async () => {
      const gate = new TlsGate({
        ...{ material: await material('sublet://master/m1'), protocol: 'h2', allowed: ['agent'] },
        refused: ({ message }) => assert.fail(message),
      });
      const server = new Server();
      server.addService(
        { WhoAmI: { path, requestStream: false, responseStream: false, ...codecs } },
        {
          WhoAmI: (call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) =>
            answer(null, Buffer.from(gate.principalAt(call.getPeer())?.id ?? 'not known')),
        },
      );
      const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
      gate.onSecured((socket) => injector.injectConnection(socket));
      const listener = createServer((socket) => gate.take(socket));
      listener.listen(0, host);
      await once(listener, 'listening');
      const address = listener.address();
      const port = address !== null && typeof address === 'object' ? address.port : 0;
      const client = new Client(
        host === '::1' ? `[::1]:${port}` : `${host}:${port}`,
        masterCredentials(await material('sublet://agent/a1')),
        serverName,
      );
      const answer = await new Promise<string>((resolve) => {
        client.makeUnaryRequest(path, raw, raw, Buffer.alloc(0), (error, bytes) =>
          resolve(error?.details ?? bytes?.toString() ?? ''),
        );
      });
      client.close();
      server.forceShutdown();
      listener.close();
      assert.equal(answer, 'a1');
    });
  }
});
