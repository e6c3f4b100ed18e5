/** The gRPC server of the port for joining: JoinService/Join, small messages, and nothing else. */

import { Server, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import type { RefusedError } from '#api/refusal.js';
import { joinService } from '#api/services.js';
import { rawCodecs, statusOf } from '#master/server/api-server.js';
import type { CallRouter } from '#master/server/call-router.js';
import type { Endpoint } from '#master/server/endpoint.js';
import { toRefusedError } from '#master/server/refusal-mapping.js';
import type { CallObserver } from '#master/server/unary-call.js';
import type { Clock } from '#replica/ports/clock.js';
import { byAddress } from '#tls/caller.js';

export type JoinServerOptions = {
  readonly endpoint: Endpoint;
  readonly router: Pick<CallRouter, 'serve'>;
  readonly clock: Pick<Clock, 'now'>;
  readonly observe: CallObserver;
  /** Each call that was refused; `from` is HOST:PORT. */
  readonly refused: (from: string, refusal: RefusedError) => void;
  readonly report: (error: unknown) => void;
};

/** A request has a certificate signing request of 4 KiB at most. */
export const joinRequestBytesMax = 8 * 1024;
/** A call waits for its turn to be signed, at most so long. */
const callMs = 30_000;

const serverOptions = {
  'grpc.max_receive_message_length': joinRequestBytesMax,
  'grpc.max_concurrent_streams': 4,
  'grpc.max_connection_idle_ms': 10_000,
  'grpc.enable_channelz': 0,
};

export function joinServer({
  endpoint,
  router,
  clock,
  observe,
  refused: noteRefused,
  report,
}: JoinServerOptions): Server {
  const server = new Server(serverOptions);
  const { requestDeserialize, responseSerialize } = rawCodecs;
  const handle = (call: ServerUnaryCall<Buffer, Uint8Array>, answer: sendUnaryData<Uint8Array>): void => {
    const begin = clock.now();
    const over = (refused: RefusedError | undefined): void => observe(endpoint.path, clock.now() - begin, refused);
    const context = { caller: byAddress(call.getPeer()), deadline: begin + callMs, forwarded: false };
    router.serve(endpoint, call.request, context).then(
      (response) => {
        over(undefined);
        answer(null, response);
      },
      (error: unknown) => {
        const refused = toRefusedError(error, report);
        over(refused);
        noteRefused(context.caller.address, refused);
        answer(statusOf(refused));
      },
    );
  };
  server.register(joinService.join.path, handle, responseSerialize, requestDeserialize, 'unary');
  return server;
}
