/**
 * What the peer port answers to the API of clients: which port it is, and where the API is. Without it gRPC answers that
 * there is no such method, which reads as if the masters were of another release.
 */
import type { Server, ServerUnaryCall, sendUnaryData, UntypedHandleCall } from '@grpc/grpc-js';
import { RefusedError } from '#api/refusal.js';
import { accessService, agentService, certificateService, clusterService, operatorService } from '#api/services.js';
import { rawCodecs, statusOf, streamError } from '#master/server/api-server.js';

/** Has `server`, that of the peer port, refuse every method of the API. `api`: HOST:PORT where it is served. */
export function refuseApi(server: Pick<Server, 'register'>, name: string, api: () => string): void {
  const refused = (): RefusedError =>
    new RefusedError(
      'wrong-port',
      `this is the port of master ${name} for the other masters (its setting peer_listen): clients go to its API, ${api()}`,
    );
  const { requestDeserialize, responseSerialize } = rawCodecs;
  for (const service of [agentService, operatorService, clusterService, certificateService, accessService]) {
    for (const { path, requestStream, responseStream } of Object.values(service)) {
      const unary = (_call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Uint8Array>): void =>
        answer(statusOf(refused()));
      const stream = (call: { emit(event: 'error', error: Error): unknown }): void => {
        call.emit('error', streamError(refused()));
      };
      const handler: UntypedHandleCall = responseStream ? stream : unary;
      const kind = responseStream ? (requestStream ? 'bidi' : 'serverStream') : 'unary';
      server.register(path, handler, responseSerialize, requestDeserialize, kind);
    }
  }
}
