/** The form that Connect's unary calls have over HTTP (connectrpc.com/docs/protocol): codes, statuses and errors as JSON. */
import { status } from '@grpc/grpc-js';
import { errorDomain, errorInfoBytes, errorInfoName, wireReason } from '#api/error-info.js';
import type { RefusedError } from '#api/refusal.js';

/** gRPC's codes but OK, as Connect names them, and the HTTP status of each. */
const codes = {
  [status.CANCELLED]: { name: 'canceled', http: 499 },
  [status.UNKNOWN]: { name: 'unknown', http: 500 },
  [status.INVALID_ARGUMENT]: { name: 'invalid_argument', http: 400 },
  [status.DEADLINE_EXCEEDED]: { name: 'deadline_exceeded', http: 504 },
  [status.NOT_FOUND]: { name: 'not_found', http: 404 },
  [status.ALREADY_EXISTS]: { name: 'already_exists', http: 409 },
  [status.PERMISSION_DENIED]: { name: 'permission_denied', http: 403 },
  [status.RESOURCE_EXHAUSTED]: { name: 'resource_exhausted', http: 429 },
  [status.FAILED_PRECONDITION]: { name: 'failed_precondition', http: 400 },
  [status.ABORTED]: { name: 'aborted', http: 409 },
  [status.OUT_OF_RANGE]: { name: 'out_of_range', http: 400 },
  [status.UNIMPLEMENTED]: { name: 'unimplemented', http: 501 },
  [status.INTERNAL]: { name: 'internal', http: 500 },
  [status.UNAVAILABLE]: { name: 'unavailable', http: 503 },
  [status.DATA_LOSS]: { name: 'data_loss', http: 500 },
  [status.UNAUTHENTICATED]: { name: 'unauthenticated', http: 401 },
} as const satisfies Readonly<Record<Exclude<status, status.OK>, { readonly name: string; readonly http: number }>>;

export type ConnectCode = (typeof codes)[keyof typeof codes]['name'];

/** An error as it goes to the caller; `http` is its status. */
export type ConnectError = { readonly http: number; readonly body: string };

/** The error of a refusal, with its reason among the details as on gRPC. */
export function connectError(refused: RefusedError): ConnectError {
  const { code, message, reason, details } = refused;
  const { name, http } = codes[code === status.OK ? status.UNKNOWN : code];
  // Without padding, as Connect asks for.
  const value = Buffer.from(errorInfoBytes(refused)).toString('base64').replace(/=+$/, '');
  const debug = { reason: wireReason(reason), domain: errorDomain, metadata: details };
  return { http, body: JSON.stringify({ code: name, message, details: [{ type: errorInfoName, value, debug }] }) };
}

/** An error that comes before the call: of the request's form, or of its caller. */
export function connectFault(code: ConnectCode, message: string): ConnectError {
  const http = Object.values(codes).find(({ name }) => name === code)?.http ?? 500;
  return { http, body: JSON.stringify({ code, message }) };
}
