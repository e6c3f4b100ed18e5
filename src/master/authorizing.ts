/**
 * The interceptor of a server behind TLS: refuses a call before its first message is read, if the caller's connection is
 * unknown, or the role of its certificate may not call the method.
 */
import { Metadata, ServerInterceptingCall, type ServerInterceptor } from '@grpc/grpc-js';
import { RefusedError } from '#api/refusal.js';
import { statusOf } from '#master/api-server.js';
import { authorize } from '#master/authorization.js';
import type { Principal } from '#tls/principal.js';

export type Refused = (from: string, path: string, refused: RefusedError) => void;

/** `principalAt`: of the open connection from HOST:PORT. `refused` is called for each call that is refused. */
export function authorizing(principalAt: (from: string) => Principal | undefined, refused: Refused): ServerInterceptor {
  return (method, call) =>
    new ServerInterceptingCall(call, {
      start: (next) => {
        const from = call.getPeer();
        const refusal = refusalOf(principalAt(from), method.path);
        if (refusal === undefined) {
          next();
          return;
        }
        refused(from, method.path, refusal);
        // Its messages stay unread: the call has no handler.
        next({ onReceiveMetadata: () => undefined });
        const { code, details, metadata } = statusOf(refusal);
        call.sendStatus({ code: code ?? refusal.code, details: details ?? '', metadata: metadata ?? new Metadata() });
      },
    });
}

function refusalOf(principal: Principal | undefined, path: string): RefusedError | undefined {
  if (principal === undefined) return new RefusedError('permission-denied', 'the connection of this call is closed');
  try {
    authorize(principal, path);
    return undefined;
  } catch (error) {
    if (error instanceof RefusedError) return error;
    throw error;
  }
}
