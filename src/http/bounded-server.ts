/**
 * The HTTP server of a process: how many connections it takes, from which callers, for how long, and which requests are
 * answered. What is answered is of no concern here. The requests of one connection are answered one after the other.
 *
 * `/healthz` and `/readyz` have places of their own: a connection beyond the limits of the others may ask for these two
 * alone, and a newcomer takes the place of the oldest. A probe is so answered while others hold all connections.
 */
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { isIP, type Socket } from 'node:net';
import { hostname } from 'node:os';
import { clientNetwork } from '#address/client-network.js';
import { parseInPieces } from '#http/parse-in-pieces.js';
import { Turns } from '#http/turns.js';

export type HttpAnswer = {
  readonly code: number;
  readonly type: string;
  readonly body: string | Buffer;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  /** Goes on with the answer for as long as it likes, instead of a body. */
  readonly stream?: (response: ServerResponse) => void;
};

export type BoundedServerOptions = {
  /** Names, besides those of loopback and of this machine, under which the server is asked: `http_hosts`. */
  readonly hosts: readonly string[];
  /** Must not reject. */
  readonly answer: (request: IncomingMessage, method: string, path: string) => Promise<HttpAnswer> | HttpAnswer;
  readonly limits?: Partial<ServerLimits>;
};

export type ServerLimits = {
  /** Connections of all clients; some of these places are for probes. */
  readonly connections: number;
  readonly connectionsPerAddress: number;
  /** How long the headers of a request may take, its body, and the taking of its answer, in ms. */
  readonly headersMs: number;
  readonly requestMs: number;
  readonly answerMs: number;
};

export const defaultServerLimits: ServerLimits = {
  connections: 512,
  connectionsPerAddress: 32,
  headersMs: 5_000,
  requestMs: 30_000,
  answerMs: 30_000,
};

/** Places for probes: so many, or half of all. */
const probesMax = 64;
const headerBytesMax = 8 * 1024;
const lookEveryMs = 500;
/** They are answered whatever else is refused. */
export const healthPaths: readonly string[] = ['/healthz', '/readyz'];

export function boundedServer({ hosts, answer, limits }: BoundedServerOptions): Server {
  const allowed: ServerLimits = { ...defaultServerLimits, ...limits };
  const places = new Places(allowed);
  const turns = new Turns();
  const names = new Set(['localhost', hostname(), ...hosts].map((name) => name.toLowerCase()));
  const server = createServer(
    {
      maxHeaderSize: headerBytesMax,
      headersTimeout: allowed.headersMs,
      requestTimeout: allowed.requestMs,
      connectionsCheckingInterval: Math.min(lookEveryMs, allowed.headersMs),
      // A name for the host is needed below, where it is not one of these two paths.
      requireHostHeader: false,
    },
    (request, response) =>
      turns.take(request.socket, response, () => {
        const path = (request.url ?? '').split('?', 1)[0] ?? '';
        const method = request.method === 'HEAD' ? 'GET' : (request.method ?? '');
        const refused = healthPaths.includes(path) ? undefined : refusal(request, places, names);
        void Promise.resolve(refused ?? answer(request, method, path)).then((it) =>
          write(request, response, it, allowed),
        );
      }),
  );
  server.on('connection', (socket) => {
    parseInPieces(socket);
    places.enter(socket);
  });
  return server;
}

/** Which connections there are, and for what. */
class Places {
  readonly #limits: ServerLimits;
  /** By the network that a caller is known by: an IPv4 address, or a /64. */
  readonly #perNetwork = new Map<string, number>();
  /** The oldest first. */
  readonly #probes = new Set<Socket>();
  #others = 0;

  constructor(limits: ServerLimits) {
    this.#limits = limits;
  }

  isProbe(socket: Socket): boolean {
    return this.#probes.has(socket);
  }

  enter(socket: Socket): void {
    const network = clientNetwork(socket.remoteAddress ?? '');
    const { connections, connectionsPerAddress } = this.#limits;
    const probes = Math.min(probesMax, Math.floor(connections / 2));
    const has = this.#perNetwork.get(network) ?? 0;
    if (this.#others < connections - probes && has < connectionsPerAddress) {
      this.#others += 1;
      this.#perNetwork.set(network, has + 1);
      socket.once('close', () => this.#leave(network));
      return;
    }
    const [oldest] = this.#probes;
    if (this.#probes.size >= probes && oldest !== undefined) {
      this.#probes.delete(oldest);
      oldest.destroy();
    }
    this.#probes.add(socket);
    socket.once('close', () => this.#probes.delete(socket));
  }

  #leave(network: string): void {
    this.#others -= 1;
    const left = (this.#perNetwork.get(network) ?? 1) - 1;
    if (left === 0) this.#perNetwork.delete(network);
    else this.#perNetwork.set(network, left);
  }
}

/** Undefined: the request may be answered. */
function refusal(
  { headers, socket }: IncomingMessage,
  places: Places,
  names: ReadonlySet<string>,
): HttpAnswer | undefined {
  if (places.isProbe(socket)) {
    const why = 'too many connections, of this address or of all: only /healthz and /readyz are answered';
    return text(503, `${why}. Close some, or try again later`);
  }
  if (isOfOtherSite(headers)) {
    return text(403, 'a web page of another site has asked for this: open the page of the plan itself');
  }
  // Only a browser that was led here by a foreign name sends such a name (DNS rebinding).
  const host = headers.host?.replace(/:\d*$/, '').toLowerCase();
  if (host === undefined || isIP(host.replace(/^\[|\]$/g, '')) !== 0 || names.has(host)) return undefined;
  return text(421, `host ${JSON.stringify(host)} is none of this server's names: ask by address, or set http_hosts`);
}

/**
 * A browser says so (Fetch Metadata) of what a page of another site has it load. Such a page can't read the answer, but its
 * requests would take connections and places of readers. A link that a person follows is none.
 */
function isOfOtherSite({ 'sec-fetch-site': site, 'sec-fetch-mode': mode }: IncomingHttpHeaders): boolean {
  return (site === 'cross-site' || site === 'same-site') && mode !== 'navigate';
}

const commonHeaders = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };

function write(
  request: IncomingMessage,
  response: ServerResponse,
  { code, type, body, headers, stream }: HttpAnswer,
  limits: ServerLimits,
): void {
  if (stream !== undefined) {
    response.writeHead(code, { 'content-type': type, ...commonHeaders, ...headers });
    if (request.method === 'HEAD') response.end();
    else stream(response);
    return;
  }
  // What is not taken in time is not kept for its reader.
  const bound = setTimeout(() => request.socket.destroy(), limits.answerMs);
  bound.unref();
  response.once('close', () => clearTimeout(bound));
  response.writeHead(code, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    ...commonHeaders,
    ...(code === 503 || code === 421 ? { connection: 'close' } : {}),
    ...headers,
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

/**
 * Why a request must not change anything: it may come of a web page that a browser on this network shows. Undefined: it may.
 * A page of another site can send no JSON without being asked first, and a browser says where it comes from.
 */
export function crossSite(
  { headers }: IncomingMessage,
  types: readonly string[] = ['application/json'],
): HttpAnswer | undefined {
  if (headers.origin !== undefined) {
    return text(403, 'a request with an Origin header is refused: this is not for browsers');
  }
  const type = contentType(headers);
  if (types.includes(type)) return undefined;
  return {
    ...text(
      415,
      `content-type ${JSON.stringify(type)}: ${types.join(' or ')} is expected, as with curl -H 'content-type: application/json'`,
    ),
    headers: { 'accept-post': types.join(', ') },
  };
}

/** The media type of a request's body, without its parameters; empty: it has none. */
export function contentType(headers: IncomingHttpHeaders): string {
  return (headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

/**
 * The body of a request, whole. The rest of one that is too large is not read: the answer has to close the connection.
 * @throws RangeError when it is larger than `bytesMax`
 */
export function readBody(request: IncomingMessage, bytesMax: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let bytes = 0;
    const take = (part: Buffer): void => {
      bytes += part.length;
      if (bytes <= bytesMax) {
        parts.push(part);
        return;
      }
      request.off('data', take);
      request.pause();
      reject(new RangeError(`the body is larger than ${bytesMax} bytes`));
    };
    request.on('data', take);
    request.once('end', () => resolve(Buffer.concat(parts)));
    request.once('error', reject);
    request.once('close', () => reject(new Error('the connection was closed before the body had arrived')));
  });
}

export function text(code: number, body: string): HttpAnswer {
  return { code, type: 'text/plain; charset=utf-8', body: `${body}\n` };
}
