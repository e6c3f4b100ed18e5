/**
 * The interceptor of a server behind TLS: refuses a call before its first message is read, if the caller's connection is
 * unknown, its identity is revoked or calls too often, or the role of its certificate may not call the method.
 */
import { Metadata, ServerInterceptingCall, type ServerInterceptor } from '@grpc/grpc-js';
import { RefusedError } from '#api/refusal.js';
import { authorize } from '#master/access/authorization.js';
import type { CallRates } from '#master/access/rates.js';
import type { Revocations } from '#master/access/revocations.js';
import { statusOf } from '#master/server/api-server.js';
import { formatPrincipal, type Principal, type PrincipalName } from '#tls/principal.js';

export type Refused = (from: string, path: string, refused: RefusedError) => void;

export type AuthorizingOptions = {
  /** Of the open connection from HOST:PORT. */
  readonly principalAt: (from: string) => Principal | undefined;
  readonly rates: Pick<CallRates, 'call' | 'refusal'>;
  readonly revocations: Pick<Revocations, 'check'>;
  /** Called for each call that is refused. */
  readonly refused: Refused;
  /** Called for each other call. */
  readonly taken: (principal: Principal, from: string, path: string) => void;
  /** Ends the connection from HOST:PORT, of which too many calls were refused. */
  readonly end: (from: string) => void;
};

export function authorizing(options: AuthorizingOptions): ServerInterceptor {
  const { principalAt, rates, end } = options;
  const judge: Judge = (from, path) => {
    const principal = principalAt(from);
    const refusal = refusalOf(principal, path, options);
    if (refusal === undefined && principal !== undefined) options.taken(principal, from, path);
    return refusal;
  };
  const refused: Refused = (from, path, refusal) => {
    options.refused(from, path, refusal);
    const principal = principalAt(from);
    if (principal !== undefined && !rates.refusal(formatPrincipal(principal))) end(from);
  };
  return refusing(judge, refused);
}

/** Why a call of the method at `path` from HOST:PORT is refused; undefined: it is not. */
export type Judge = (from: string, path: string) => RefusedError | undefined;

/** Refuses calls before their first message is read. `refused` is called for each that is. */
export function refusing(judge: Judge, refused: Refused): ServerInterceptor {
  return (method, call) =>
    new ServerInterceptingCall(call, {
      start: (next) => {
        const from = call.getPeer();
        const refusal = judge(from, method.path);
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

/** Why the principal may not call the method; undefined: it may, and the call is counted. */
export function refusalOf(
  principal: (PrincipalName & Partial<Pick<Principal, 'beginsMs'>>) | undefined,
  path: string,
  { rates, revocations }: Pick<AuthorizingOptions, 'rates' | 'revocations'>,
): RefusedError | undefined {
  if (principal === undefined) return new RefusedError('permission-denied', 'the connection of this call is closed');
  try {
    revocations.check(principal);
    authorize(principal, path);
    rates.call(principal, path);
    return undefined;
  } catch (error) {
    if (error instanceof RefusedError) return error;
    throw error;
  }
}
