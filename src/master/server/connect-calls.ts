/**
 * The unary methods of the API in Connect's form, on the HTTP port: JSON or protobuf in the body of a POST, or in the query of
 * a GET for a method that only looks. Methods, messages and which methods only look are read from the descriptors.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { type ConnectError, connectError, connectFault } from '#api/connect-form.js';
import { bytesOfJson, type DescribedMethod, jsonOfBytes, methodAt } from '#api/proto-json.js';
import { RefusedError } from '#api/refusal.js';
import { errorText } from '#errors/unknown-error.js';
import { type AccessRules, accessRefusal } from '#http/access.js';
import { contentType, crossSite, type HttpAnswer, text } from '#http/bounded-server.js';
import { requestBytesMax } from '#master/server/api-server.js';
import { toRefusedError } from '#master/server/refusal-mapping.js';
import { requestBody } from '#master/server/request-body.js';
import type { UnaryCalls } from '#master/server/unary-call.js';
import type { Caller } from '#tls/caller.js';

export type ConnectCallsOptions = {
  readonly calls: Pick<UnaryCalls, 'has' | 'call'>;
  readonly access: AccessRules;
  /** Names the caller once it may call the method. @throws RefusedError */
  readonly admit: (request: IncomingMessage, path: string) => Caller;
  readonly report: (error: unknown) => void;
};

type Encoding = 'json' | 'proto';
type Message = { readonly encoding: Encoding; readonly bytes: Buffer };

const types: Readonly<Record<Encoding, string>> = { json: 'application/json', proto: 'application/proto' };
/** For a call that brings no Connect-Timeout-Ms. */
const defaultTimeoutMs = 30_000;
/** The largest that a timer takes; about 24 days. */
const timeoutMsMax = 2 ** 31 - 1;

/** Whether a request is meant for a method: `/sublet.v1.OperatorService/ListAgents`. */
export function isMethodPath(path: string): boolean {
  return path.startsWith('/sublet.v1.');
}

export class ConnectCalls {
  readonly #options: ConnectCallsOptions;

  constructor(options: ConnectCallsOptions) {
    this.#options = options;
  }

  async answer(request: IncomingMessage, verb: string, path: string): Promise<HttpAnswer> {
    const { calls, access, report } = this.#options;
    const closed = accessRefusal(request, 'read', access);
    if (closed !== undefined) {
      return answerOf(
        connectFault(closed.code === 401 ? 'unauthenticated' : 'permission_denied', closed.body.toString().trim()),
      );
    }
    if (!calls.has(path)) {
      const fault = connectFault(
        'unimplemented',
        `no unary method ${path.slice(0, 200)} here: streams are on gRPC alone`,
      );
      return answerOf({ ...fault, http: 404 });
    }
    try {
      const method = methodAt(path);
      return wrongForm(request, verb, path, method) ?? (await this.#carriedOut(request, verb, path, method));
    } catch (error) {
      return refusalAnswer(toRefusedError(error, report));
    }
  }

  async #carriedOut(
    request: IncomingMessage,
    verb: string,
    path: string,
    method: DescribedMethod,
  ): Promise<HttpAnswer> {
    const { calls, admit } = this.#options;
    const timeoutMs = checkHeaders(request.headers, verb);
    const caller = admit(request, path);
    const { encoding, bytes } = verb === 'GET' ? queryMessage(request) : await bodyMessage(request);
    const message = encoding === 'json' ? encoded(path, method, bytes) : bytes;
    const response = await calls.call(path, message, caller, timeoutMs);
    const body = encoding === 'json' ? JSON.stringify(jsonOfBytes(method.response, response)) : response;
    return { code: 200, type: types[encoding], body: Buffer.from(body) };
  }
}

/** What HTTP itself refuses; undefined: nothing. */
function wrongForm(
  request: IncomingMessage,
  verb: string,
  path: string,
  { safe }: DescribedMethod,
): HttpAnswer | undefined {
  if (verb === 'GET' && safe) return undefined;
  if (verb !== 'POST') {
    const allow = safe ? 'GET, POST' : 'POST';
    return { ...text(405, `${path} takes ${allow}, not ${verb}`), headers: { allow } };
  }
  const cross = crossSite(request, Object.values(types));
  return cross?.code === 403 ? answerOf(connectFault('permission_denied', cross.body.toString().trim())) : cross;
}

/** Returns how long the call may take, in ms. @throws RefusedError */
function checkHeaders(headers: IncomingHttpHeaders, verb: string): number {
  const { 'connect-protocol-version': version, 'connect-timeout-ms': timeout, 'content-encoding': coding } = headers;
  if (verb === 'POST' && version !== undefined && version !== '1') {
    throw new RefusedError('invalid-argument', `Connect-Protocol-Version is ${JSON.stringify(version)}: 1 is served`);
  }
  if (coding !== undefined && coding !== 'identity') {
    throw new RefusedError('unimplemented', `Content-Encoding is ${JSON.stringify(coding)}: identity is served`);
  }
  if (timeout === undefined) return defaultTimeoutMs;
  if (typeof timeout !== 'string' || !/^\d{1,10}$/.test(timeout)) {
    throw new RefusedError(
      'invalid-argument',
      `Connect-Timeout-Ms is ${JSON.stringify(timeout)}: 1 to 10 digits are allowed`,
    );
  }
  return Math.min(Number(timeout), timeoutMsMax);
}

async function bodyMessage(request: IncomingMessage): Promise<Message> {
  const encoding = contentType(request.headers) === types.proto ? 'proto' : 'json';
  return { encoding, bytes: await requestBody(request, requestBytesMax) };
}

/** `?connect=v1&encoding=json&message=%7B%7D`. @throws RefusedError */
function queryMessage({ url = '' }: IncomingMessage): Message {
  const query = new URLSearchParams(url.slice(url.indexOf('?') + 1));
  const one = (name: string, allowed: readonly string[]): string => {
    const value = query.get(name) ?? allowed[0] ?? '';
    if (allowed.includes(value)) return value;
    throw new RefusedError(
      'invalid-argument',
      `${name} is ${JSON.stringify(value)}: ${allowed.join(' or ')} is served`,
    );
  };
  one('connect', ['v1']);
  one('compression', ['identity', '']);
  const encoding = one('encoding', ['json', 'proto']) === 'proto' ? 'proto' : 'json';
  const isBase64 = one('base64', ['0', '1', '']) === '1';
  const message = query.get('message');
  if (message === null) throw new RefusedError('invalid-argument', 'message: the request is expected there');
  return { encoding, bytes: Buffer.from(message, isBase64 ? 'base64url' : 'utf8') };
}

/** @throws RefusedError that names the field and the value */
function encoded(path: string, { request }: DescribedMethod, bytes: Buffer): Uint8Array {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    throw new RefusedError('malformed', `${path}: the request is not JSON: ${errorText(error)}`);
  }
  try {
    return bytesOfJson(request, json);
  } catch (error) {
    throw new RefusedError('invalid-argument', `${path}: ${errorText(error).replace(/^\./, '')}`);
  }
}

function refusalAnswer(refused: RefusedError): HttpAnswer {
  const answer = answerOf(connectError(refused));
  // What is left of its body is not read.
  return refused.reason === 'too-large' ? { ...answer, headers: { connection: 'close' } } : answer;
}

function answerOf({ http, body }: ConnectError): HttpAnswer {
  return { code: http, type: types.json, body };
}
