/**
 * The interceptor of a server behind TLS: refuses a call before its first message is read, if the caller's connection is
 * unknown, the role of its certificate may not call the method, or the identity calls too often.
 */
import { Metadata, ServerInterceptingCall, type ServerInterceptor } from '@grpc/grpc-js';
import { RefusedError } from '#api/refusal.js';
import { statusOf } from '#master/api-server.js';
import { authorize } from '#master/authorization.js';
import type { CallRates } from '#master/rates.js';
import { formatPrincipal, type Principal } from '#tls/principal.js';

export type Refused = (from: string, path: string, refused: RefusedError) => void;

export type AuthorizingOptions = {
  /** Of the open connection from HOST:PORT. */
  readonly principalAt: (from: string) => Principal | undefined;
  readonly rates: Pick<CallRates, 'call' | 'refusal'>;
  /** Called for each call that is refused. */
  readonly refused: Refused;
  /** Ends the connection from HOST:PORT, of which too many calls were refused. */
  readonly end: (from: string) => void;
};

export function authorizing({ principalAt, rates, refused, end }: AuthorizingOptions): ServerInterceptor {
  return (method, call) =>
    new ServerInterceptingCall(call, {
      start: (next) => {
        const from = call.getPeer();
        const principal = principalAt(from);
        const refusal = refusalOf(principal, method.path, rates);
        if (refusal === undefined) {
          next();
          return;
        }
        refused(from, method.path, refusal);
        if (principal !== undefined && !rates.refusal(formatPrincipal(principal))) end(from);
        // Its messages stay unread: the call has no handler.
        next({ onReceiveMetadata: () => undefined });
        const { code, details, metadata } = statusOf(refusal);
        call.sendStatus({ code: code ?? refusal.code, details: details ?? '', metadata: metadata ?? new Metadata() });
      },
    });
}

function refusalOf(
  principal: Principal | undefined,
  path: string,
  rates: Pick<CallRates, 'call'>,
): RefusedError | undefined {
  if (principal === undefined) return new RefusedError('permission-denied', 'the connection of this call is closed');
  try {
    authorize(principal, path);
    rates.call(principal, path);
    return undefined;
  } catch (error) {
    if (error instanceof RefusedError) return error;
    throw error;
  }
}
