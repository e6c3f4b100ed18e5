/**
 * Calls of Docker's Engine API: one JSON request and its answer over HTTP, on a Unix socket or TCP. A call has a
 * bound on its time and on the size of its answer, and its errors name the call and what the engine said.
 */
import { type ClientRequest, type IncomingMessage, type RequestOptions, request } from 'node:http';
import { errorCode } from '#errors/unknown-error.js';
import { foreignText } from '#text/printable-text.js';
import { formatSize } from '#text/size.js';

/** A healthy engine answers in a few milliseconds; a hung one must not hold up the other parts. */
const answerTimeoutMs = 5_000;
/** A list of 1,000 networks is about 1 MiB; a network with 1,000 containers is about 300 KiB. */
const answerBytesMax = 16 * 1024 * 1024;
/** The newest version of the API that is asked for: of Docker 28.3. Engines serve older versions for years. */
const newestVersion: ApiVersion = [1, 51];

/** Major and minor number. */
type ApiVersion = readonly [number, number];

export type DockerHttpOptions = {
  /** Milliseconds from the request to the last byte of its answer. */
  readonly timeoutMs?: number;
};

/** The engine answered, with a status that is no success. */
export class DockerStatusError extends Error {
  readonly status: number;

  constructor(call: string, status: number, reason: string) {
    super(`${call}: HTTP ${status}${reason === '' ? '' : `: ${reason}`}`);
    this.status = status;
  }
}

type Method = 'GET' | 'POST' | 'DELETE';

export class DockerHttp {
  readonly #target: RequestOptions;
  readonly #timeoutMs: number;

  /**
   * @param host `unix:///path` or `tcp://HOST:PORT`
   * @throws Error for another form
   */
  constructor(host: string, { timeoutMs = answerTimeoutMs }: DockerHttpOptions = {}) {
    this.#target = targetOf(host);
    this.#timeoutMs = timeoutMs;
  }

  /**
   * The version of the engine, and the newest version of the API that both ends know. Engines answer this path in
   * all versions of the API.
   * @throws Error when the engine serves no version that is known here
   */
  async version(): Promise<{ readonly answer: unknown; readonly api: DockerApi }> {
    const answer = await this.#call('GET', '/version');
    const prefix = prefixOf(answer);
    return { answer, api: (method, path, body) => this.#call(method, `${prefix}${path}`, body) };
  }

  /** Resolves to the answer's JSON, undefined for an empty one. */
  #call(method: Method, path: string, body?: object): Promise<unknown> {
    const call = `${method} ${path}`;
    const text = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const headers =
      text === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(text.length) };
    const options = { ...this.#target, method, path, headers, agent: false };
    return new Promise((resolve, reject) => {
      const outgoing = request(options);
      const timer = setTimeout(() => {
        reject(new Error(`${call}: no whole answer within ${this.#timeoutMs} ms`));
        outgoing.destroy();
      }, this.#timeoutMs);
      answerOf(outgoing, call)
        .then(resolve, reject)
        .finally(() => clearTimeout(timer));
      outgoing.end(text);
    });
  }
}

export type DockerApi = (method: Method, path: string, body?: object) => Promise<unknown>;

function targetOf(host: string): RequestOptions {
  const socketPath = /^unix:\/\/(\/.+)$/.exec(host)?.[1];
  if (socketPath !== undefined) return { socketPath };
  const url = /^tcp:\/\//.test(host) ? URL.parse(host.replace(/^tcp:/, 'http:')) : null;
  if (url === null) throw new Error('its address has another form: unix:///PATH or tcp://HOST:PORT is allowed');
  return { hostname: url.hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(url.port || 2375) };
}

/** @throws Error when the engine's oldest version is newer than ours */
function prefixOf(answer: unknown): string {
  const theirs = versionIn(answer, 'ApiVersion');
  const oldest = versionIn(answer, 'MinAPIVersion');
  if (oldest !== undefined && compare(oldest, newestVersion) > 0) {
    throw new Error(
      `it serves API ${oldest.join('.')} and later, and ${newestVersion.join('.')} is the newest known here`,
    );
  }
  if (theirs === undefined) return '';
  return `/v${(compare(theirs, newestVersion) < 0 ? theirs : newestVersion).join('.')}`;
}

function versionIn(answer: unknown, key: 'ApiVersion' | 'MinAPIVersion'): ApiVersion | undefined {
  const text = typeof answer === 'object' && answer !== null ? Reflect.get(answer, key) : undefined;
  const [, major, minor] = /^(\d{1,4})\.(\d{1,4})$/.exec(String(text)) ?? [];
  return major === undefined || minor === undefined ? undefined : [Number(major), Number(minor)];
}

function compare(a: ApiVersion, b: ApiVersion): number {
  return a[0] - b[0] || a[1] - b[1];
}

async function answerOf(outgoing: ClientRequest, call: string): Promise<unknown> {
  const incoming = await new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.once('response', resolve);
    // Stays: an error after the answer has begun is an error of the answer, too.
    outgoing.on('error', reject);
  });
  const status = incoming.statusCode ?? 0;
  const text = await bodyOf(incoming, call);
  const value = text === '' ? undefined : parsed(text);
  if (status < 200 || status > 299) throw new DockerStatusError(call, status, reasonOf(value ?? text));
  if (text !== '' && value === undefined) throw new Error(`${call}: its answer is not JSON`);
  return value;
}

async function bodyOf(incoming: IncomingMessage, call: string): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of incoming) {
      bytes += chunk.length;
      if (bytes > answerBytesMax) break;
      chunks.push(chunk);
    }
  } catch (error) {
    if (errorCode(error) === 'ECONNRESET') {
      throw new Error(`${call}: the connection ended in the middle of the answer`);
    }
    throw error;
  }
  if (bytes > answerBytesMax) {
    throw new Error(`${call}: its answer is larger than ${formatSize(answerBytesMax)}`);
  }
  return Buffer.concat(chunks).toString();
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The engine's own words: `{"message": "…"}`, or plain text. */
function reasonOf(answer: unknown): string {
  const message = typeof answer === 'object' && answer !== null ? Reflect.get(answer, 'message') : answer;
  return typeof message === 'string' ? foreignText(message.trim()) : '';
}
