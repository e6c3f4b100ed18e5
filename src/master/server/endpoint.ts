/**
 * One unary method as the masters serve it: bytes in, bytes out. The bytes are decoded where the call is carried
 * out, so a follower that hands a call on never looks inside.
 */

import { type MessageType, type Method, toBuffer } from '#api/method.js';
import { RefusedError } from '#api/refusal.js';
import { errorText } from '#errors/unknown-error.js';
import type { Caller } from '#tls/caller.js';

/** `leader`: carried out by the leader, and handed on by others. `here`: answered by the master that was asked. */
export type ServedAt = 'leader' | 'here';

export type CallContext = {
  readonly caller: Caller;
  /** Of this master's monotonic clock, in ms; Infinity: none. */
  readonly deadline: number;
  /** True when another master handed the call on: it is not handed on again. */
  readonly forwarded: boolean;
};

export type Endpoint = {
  readonly path: string;
  /** Whether a call whose outcome is unknown may be carried out once more. */
  readonly idempotent: boolean;
  /** False: answered also while the plan is not loaded. */
  readonly needsPlan: boolean;
  /** @throws RefusedError when the place depends on the request, and that is malformed. */
  place(request: Uint8Array): ServedAt;
  /** @throws RefusedError, ProposeError, as a rejection or at once */
  handle(request: Uint8Array, context: CallContext): Promise<Uint8Array>;
};

type Options<RequestDecoded> = {
  readonly place: ServedAt | ((request: RequestDecoded) => ServedAt);
  readonly idempotent: boolean;
  readonly needsPlan?: boolean;
};

/** Makes an endpoint of a function from message to message. */
export function endpoint<Request, RequestDecoded extends Request, Response, ResponseDecoded extends Response>(
  method: Method<Request, RequestDecoded, Response, ResponseDecoded>,
  options: Options<RequestDecoded>,
  handle: (request: RequestDecoded, context: CallContext) => Promise<Response> | Response,
): Endpoint {
  return encodingEndpoint(method, options, async (request, context) =>
    toBuffer(method.response.encode(await handle(request, context)).finish()),
  );
}

/** Makes an endpoint of a function that encodes its response itself. */
export function encodingEndpoint<Request, RequestDecoded extends Request, Response, ResponseDecoded extends Response>(
  method: Method<Request, RequestDecoded, Response, ResponseDecoded>,
  options: Options<RequestDecoded>,
  handle: (request: RequestDecoded, context: CallContext) => Promise<Uint8Array>,
): Endpoint {
  const { place } = options;
  const { path } = method;
  return {
    path,
    idempotent: options.idempotent,
    needsPlan: options.needsPlan ?? true,
    place: typeof place === 'function' ? (bytes) => place(decode(path, method.request, bytes)) : () => place,
    handle: (bytes, context) => handle(decode(path, method.request, bytes), context),
  };
}

/** @throws RefusedError `malformed`, naming the method. */
export function decode<Properties, Decoded extends Properties>(
  path: string,
  type: MessageType<Properties, Decoded>,
  bytes: Uint8Array,
): Decoded {
  try {
    return type.decode(bytes);
  } catch (error) {
    const why = errorText(error);
    throw new RefusedError('malformed', `${path}: the ${bytes.length} bytes are not a request of this method: ${why}`);
  }
}
