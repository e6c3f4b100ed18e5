/** The masters over gRPC: turns status codes into what an agent does about them. */
import type { ServiceError } from '@grpc/grpc-js';
import { status } from '@grpc/grpc-js';
import {
  type KeepAliveResponse,
  type KeepAliveStream,
  type LeaveRequest,
  type MasterApi,
  MasterError,
  type MasterErrorKind,
  type OpenStream,
  type RegisterRequest,
  type RegisterResponse,
  type ReportStatusRequest,
  type ReturnOverlaysRequest,
  type StreamEvents,
  type WatchRequest,
  type WatchResponse,
} from '#agent/master-api.js';
import { refusalInfoOf } from '#api/error-info.js';
import { detailsOf, isServiceError, type MasterClient, NoMasterError } from '#api/master-client.js';
import type { RefusalReason } from '#api/refusal.js';
import { agentService } from '#api/services.js';

const kinds: Readonly<Partial<Record<status, MasterErrorKind>>> = {
  [status.ABORTED]: 'aborted',
  // The masters have no such agent: it holds no lease any more.
  [status.NOT_FOUND]: 'aborted',
  [status.INVALID_ARGUMENT]: 'invalid',
  [status.OUT_OF_RANGE]: 'invalid',
  [status.ALREADY_EXISTS]: 'refused',
  [status.FAILED_PRECONDITION]: 'refused',
  [status.PERMISSION_DENIED]: 'refused',
  [status.UNAUTHENTICATED]: 'refused',
  [status.UNIMPLEMENTED]: 'refused',
  // A queue or a disk is full; the limits of the plan have reasons of their own below.
  [status.RESOURCE_EXHAUSTED]: 'overloaded',
};

export class GrpcMasterApi implements MasterApi {
  readonly #client: MasterClient;
  /** Why no stream could be opened at a master, found once until a message comes: finding it takes a handshake. */
  readonly #causes = new Map<string, string>();

  /** The caller closes the client. */
  constructor(client: MasterClient) {
    this.#client = client;
  }

  get current(): string {
    return this.#client.current;
  }

  turnFrom(master: string): void {
    if (this.#client.current === master) this.#client.next();
  }

  reconnect(): void {
    this.#client.reconnect();
  }

  register(request: RegisterRequest): Promise<RegisterResponse> {
    return asMasterError(this.#client.call(agentService.register, request, { idempotent: true }));
  }

  async reportStatus(request: ReportStatusRequest): Promise<void> {
    await asMasterError(this.#client.call(agentService.reportStatus, request, { idempotent: true }));
  }

  async leave(request: LeaveRequest): Promise<void> {
    await asMasterError(this.#client.call(agentService.leave, request, { idempotent: true }));
  }

  async returnOverlays(request: ReturnOverlaysRequest): Promise<void> {
    await asMasterError(this.#client.call(agentService.returnOverlays, request, { idempotent: true }));
  }

  keepAlive(events: StreamEvents<KeepAliveResponse>): KeepAliveStream {
    const master = this.#client.current;
    const stream = this.#client.bidiStream(agentService.keepAlive);
    const cancel = this.#listen(stream, master, events);
    return { master, cancel, send: (request) => stream.write(request) };
  }

  watch(request: WatchRequest, events: StreamEvents<WatchResponse>): OpenStream {
    const master = this.#client.current;
    return { master, cancel: this.#listen(this.#client.serverStream(agentService.watch, request), master, events) };
  }

  /** Returns what cancels the stream; nothing is heard of it after that. */
  #listen<Message>(stream: Incoming<Message>, master: string, events: StreamEvents<Message>): () => void {
    let over = false;
    let failed = false;
    const end = (error: MasterError): void => {
      if (over) return;
      over = true;
      events.ended(error);
    };
    stream.on('data', (message) => {
      this.#causes.clear();
      if (!over) events.message(message);
    });
    // Also after `cancel`, since grpc-js reports the cancelling as an error.
    stream.on('error', (error) => {
      if (over) return;
      failed = true;
      if (isServiceError(error) && notConnected.test(error.details)) void this.#explained(error, master).then(end);
      else end(masterError(error, master));
    });
    stream.on('end', () => {
      if (!failed) end(new MasterError('unavailable', 'OK', `${master} ended the stream`));
    });
    return () => {
      over = true;
      stream.cancel();
    };
  }

  async #explained(error: ServiceError, master: string): Promise<MasterError> {
    const cause = this.#causes.get(master) ?? (await this.#client.causeOf(master, error));
    if (cause === undefined) return masterError(error, master);
    this.#causes.set(master, cause);
    return new MasterError('unavailable', status[error.code], cause);
  }
}

/** The messages of grpc-js for a connection that can't be opened, by TLS or another cause. */
const notConnected = /No connection established|Failed to connect/;

/** What both kinds of stream of grpc-js have, as far as it is used here. */
type Incoming<Message> = {
  on(event: 'data', listener: (message: Message) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'end', listener: () => void): unknown;
  cancel(): void;
};

async function asMasterError<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw masterError(error, undefined);
  }
}

function masterError(error: unknown, master: string | undefined): MasterError {
  if (error instanceof NoMasterError) return new MasterError('unavailable', 'UNAVAILABLE', error.message);
  if (!isServiceError(error)) throw error;
  const details = detailsOf(error);
  const refusal = refusalInfoOf(error);
  const message = master ? `${master}: ${details}` : details;
  return new MasterError(kindOf(error, refusal?.reason), status[error.code], message, refusal?.details);
}

function kindOf(error: ServiceError, reason: RefusalReason | undefined): MasterErrorKind {
  if (reason === 'held-elsewhere') return 'held';
  if (reason === 'resource-exhausted') return 'exhausted';
  // A master of another incarnation is none of this agent's: what it holds is still its own.
  if (reason === 'other-incarnation') return 'unavailable';
  // A code that is not listed is an unknown outcome, or trouble of the master: both are retried.
  return kinds[error.code] ?? 'unavailable';
}
