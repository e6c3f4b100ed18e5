/**
 * A client of the masters: knows several addresses, stays with the one that answers, and moves on when it
 * does not. It retries nothing whose outcome is unknown unless the call is idempotent.
 */

import type { ClientDuplexStream, ClientReadableStream } from '@grpc/grpc-js';
import {
  type CallOptions,
  type ChannelCredentials,
  Client,
  credentials,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { reasonOf } from '#api/error-info.js';
import type { Method } from '#api/method.js';
import { foreignText } from '#text/printable-text.js';
import { serverName } from '#tls/client-credentials.js';

export type MasterAttempt = {
  readonly master: string;
  readonly reason: string;
  /** Whether the reason is that of `explain`. */
  readonly explained?: boolean;
};

/** No master could be asked: each address, and what became of it. */
export class NoMasterError extends Error {
  override readonly name = 'NoMasterError';
  readonly attempts: readonly MasterAttempt[];

  constructor(attempts: NoMasterError['attempts']) {
    super(`no master reachable: ${attempts.map(({ master, reason }) => `${master} (${reason})`).join(', ')}`);
    this.attempts = attempts;
  }
}

export type MasterClientOptions = {
  /** HOST:PORT each; tried in this order, beginning with the one that answered last. */
  readonly masters: readonly string[];
  readonly credentials?: ChannelCredentials;
  /** Per address tried, in ms. */
  readonly timeoutMs?: number;
  /** Says why no connection to this address comes about; undefined: it does not know. Asked once a call has failed for that. */
  readonly explain?: (master: string) => Promise<string | undefined>;
};

export type UnaryOptions = {
  /** Whether a call that may have been carried out can be sent again. */
  readonly idempotent: boolean;
  readonly timeoutMs?: number;
};

export class MasterClient {
  readonly #options: MasterClientOptions;
  #clients: readonly { readonly master: string; readonly client: Client }[];
  readonly #timeoutMs: number;
  readonly #explain: MasterClientOptions['explain'];
  #current = 0;

  constructor(options: MasterClientOptions) {
    if (options.masters.length === 0) throw new RangeError('masters: at least one HOST:PORT is needed');
    this.#timeoutMs = options.timeoutMs ?? 10_000;
    this.#explain = options.explain;
    this.#options = options;
    this.#clients = this.#connections();
  }

  #connections(): readonly { readonly master: string; readonly client: Client }[] {
    const { masters, credentials: shown = credentials.createInsecure() } = this.#options;
    return masters.map((master) => ({
      master,
      client: new Client(master, shown, {
        // Connections, and how long to wait after a failed one, are this client's own: grpc-js shares both otherwise.
        'grpc.use_local_subchannel_pool': 1,
        'grpc.max_receive_message_length': 16 * 1024 * 1024,
        'grpc.initial_reconnect_backoff_ms': 100,
        'grpc.max_reconnect_backoff_ms': 2_000,
        'grpc.keepalive_time_ms': 20_000,
        'grpc.keepalive_timeout_ms': 10_000,
        // This class moves on by itself; what grpc-js keeps for retries and channelz costs a fifth of a call.
        'grpc.enable_retries': 0,
        'grpc.enable_channelz': 0,
        // How to call is fixed; to look it up in DNS keeps a process that is done, where no name server answers.
        'grpc.service_config_disable_resolution': 1,
        // Masters are reached on the underlay. A proxy that the environment names is for the web.
        'grpc.enable_http_proxy': 0,
        ...serverName,
      }),
    }));
  }

  /** The address that calls go to first. */
  get current(): string {
    return this.#at(0).master;
  }

  /**
   * One request, one response.
   * @throws NoMasterError when no address answered; ServiceError when one did and refused.
   */
  async call<Request, RequestDecoded extends Request, Response, ResponseDecoded extends Response>(
    method: Method<Request, RequestDecoded, Response, ResponseDecoded>,
    request: Request,
    options: UnaryOptions,
  ): Promise<ResponseDecoded> {
    const attempts: { readonly master: string; readonly error: ServiceError }[] = [];
    for (let tried = 0; tried < this.#clients.length; tried++) {
      const { master, client } = this.#at(0);
      try {
        return await unary(client, method, request, { deadline: Date.now() + (options.timeoutMs ?? this.#timeoutMs) });
      } catch (error) {
        if (!isServiceError(error)) throw error;
        if (!this.#moveOn(error, options.idempotent)) throw await this.#explained(master, error);
        attempts.push({ master, error });
        this.next();
      }
    }
    throw new NoMasterError(await Promise.all(attempts.map((attempt) => this.#attempt(attempt))));
  }

  async #attempt({ master, error }: { readonly master: string; readonly error: ServiceError }): Promise<MasterAttempt> {
    const why = await this.causeOf(master, error);
    return why === undefined ? { master, reason: detailsOf(error) } : { master, reason: why, explained: true };
  }

  /** The error, with what is known of its cause. */
  async #explained(master: string, error: ServiceError): Promise<ServiceError> {
    const why = await this.causeOf(master, error);
    return why === undefined ? error : Object.assign(error, { details: why, message: why });
  }

  /** Why no connection to this master comes about; undefined: it is not known, or the master has answered, and said why it refuses. */
  async causeOf(master: string, error: ServiceError): Promise<string | undefined> {
    if (error.code !== status.UNAVAILABLE || reasonOf(error) !== undefined || isUnreachable(error)) return undefined;
    const why = await this.#explain?.(master);
    // It may quote a certificate that was not verified.
    return why === undefined ? undefined : foreignText(why);
  }

  /** Opens a server stream at the current address; the caller handles its end, and calls `next` to move on. */
  serverStream<Request, RequestDecoded extends Request, Response, ResponseDecoded extends Response>(
    method: Method<Request, RequestDecoded, Response, ResponseDecoded>,
    request: Request,
    callOptions: CallOptions = {},
  ): ClientReadableStream<ResponseDecoded> {
    return this.#at(0).client.makeServerStreamRequest(
      method.path,
      method.encodeRequest,
      method.decodeResponse,
      request,
      callOptions,
    );
  }

  /** Opens a bidirectional stream at the current address. */
  bidiStream<Request, RequestDecoded extends Request, Response, ResponseDecoded extends Response>(
    method: Method<Request, RequestDecoded, Response, ResponseDecoded>,
    callOptions: CallOptions = {},
  ): ClientDuplexStream<Request, ResponseDecoded> {
    return this.#at(0).client.makeBidiStreamRequest(
      method.path,
      method.encodeRequest,
      method.decodeResponse,
      callOptions,
    );
  }

  /** Turns to the next address. */
  next(): void {
    this.#current = (this.#current + 1) % this.#clients.length;
  }

  /** Calls and streams from now on are on new connections; what is under way stays on the former ones, until it ends. */
  reconnect(): void {
    const former = this.#clients;
    this.#clients = this.#connections();
    for (const { client } of former) client.close();
  }

  close(): void {
    for (const { client } of this.#clients) client.close();
  }

  #at(offset: number): { readonly master: string; readonly client: Client } {
    const found = this.#clients[(this.#current + offset) % this.#clients.length];
    if (found === undefined) throw new RangeError('a master client always has an address');
    return found;
  }

  #moveOn(error: ServiceError, idempotent: boolean): boolean {
    // Nothing was changed. Another address may be that of a master that serves, or of the cluster that is meant.
    const reason = reasonOf(error);
    if (reason === 'other-incarnation' || reason === 'unavailable') return true;
    if (error.code === status.UNAVAILABLE) return idempotent || neverSent(error);
    return idempotent && (error.code === status.DEADLINE_EXCEEDED || brokeOff(error));
  }
}

/** grpc-js says so when a connection could not be made at all; a master that answered may say so of another one. */
function neverSent(error: ServiceError): boolean {
  return (
    reasonOf(error) === undefined && /No connection established|ECONNREFUSED|Name resolution failed/.test(error.details)
  );
}

/** Nothing answers there, so there is no TLS to look into. */
function isUnreachable({ details }: ServiceError): boolean {
  return /ECONNREFUSED|Name resolution failed|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOENT/.test(details);
}

/** What grpc-js makes of a server that ends the connection without an answer, as one does that is stopped by force. */
function brokeOff(error: ServiceError): boolean {
  return error.code === status.INTERNAL && error.details.startsWith('Received RST_STREAM with code 0');
}

/** What the error says. grpc-js has no words for a connection that was given up before it was made, and prints `undefined`. */
export function detailsOf({ details, code }: ServiceError): string {
  const known = (details ?? '').replace(/(Last error: )(?:undefined|null)?(?=\.|$)/, '$1the connection was not made');
  return known === '' ? status[code] : known;
}

export function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' && 'details' in error;
}

/** A refusal with text that may be logged and shown: what a master says is text of another machine. */
function printableError(error: ServiceError): ServiceError {
  error.details = foreignText(error.details);
  error.message = foreignText(error.message);
  return error;
}

function unary<Request, RequestDecoded extends Request, Response, ResponseDecoded extends Response>(
  client: Client,
  method: Method<Request, RequestDecoded, Response, ResponseDecoded>,
  request: Request,
  options: CallOptions,
): Promise<ResponseDecoded> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      method.path,
      method.encodeRequest,
      method.decodeResponse,
      request,
      options,
      (error: ServiceError | null, response?: ResponseDecoded) => {
        if (error) reject(printableError(error));
        else if (response === undefined) reject(new Error(`${method.path} ended without a response`));
        else resolve(response);
      },
    );
  });
}
