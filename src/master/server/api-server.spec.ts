import assert from 'node:assert/strict';
import { Client, credentials, ServerCredentials, type ServerWritableStream } from '@grpc/grpc-js';
import { Admission, defaultAdmissionLimits } from '#master/access/admission.js';
import { apiServer, bind, rawCodecs } from '#master/server/api-server.js';

describe('an API server', () => {
  it('keeps no more memory for an open stream than its request has bytes', async () => {
    const requests: Buffer[] = [];
    const handle = (stream: ServerWritableStream<Buffer, Uint8Array>): void => {
      requests.push(stream.request);
      stream.end();
    };
    const server = apiServer({
      endpoints: [],
      streams: [{ path: '/test.Service/Watch', requestStream: false, handle }],
      router: { serve: () => assert.fail('there is no unary method') },
      admission: new Admission(defaultAdmissionLimits),
      clock: { now: () => 0 },
      wallClock: () => 0,
      callerOf: () => assert.fail('a stream asks for its caller by itself'),
      interceptors: [],
      streamsPerConnection: 10,
      observe: () => undefined,
      report: (error) => assert.fail(String(error)),
    });
    const port = await bind(server, '127.0.0.1:0', ServerCredentials.createInsecure());
    const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
    try {
      const sent = Buffer.from('a request');
      const { requestSerialize, responseDeserialize } = rawCodecs;
      const stream = client.makeServerStreamRequest('/test.Service/Watch', requestSerialize, responseDeserialize, sent);
      await new Promise((resolve, reject) => stream.on('error', reject).on('end', resolve).resume());
      assert.deepEqual(requests, [sent]);
      assert.equal(requests[0]?.buffer.byteLength, sent.length);
    } finally {
      client.close();
      server.forceShutdown();
    }
  });
});
