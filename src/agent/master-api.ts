/**
 * What an agent asks of the masters, as an interface: over gRPC in `grpc-master-api.ts`, inside one process in tests
 * and simulations. Any master may answer; an implementation knows several and stays with the one that answers.
 */
import type { RefusalDetails } from '#api/refusal.js';
import type { sublet } from '#proto/sublet.js';

type v1 = typeof sublet.v1;
export type RegisterRequest = sublet.v1.RegisterRequest.$Properties;
export type RegisterResponse = InstanceType<v1['RegisterResponse']>;
export type ReportStatusRequest = sublet.v1.ReportStatusRequest.$Properties;
export type KeepAliveRequest = sublet.v1.KeepAliveRequest.$Properties;
export type KeepAliveResponse = InstanceType<v1['KeepAliveResponse']>;
export type WatchRequest = sublet.v1.WatchRequest.$Properties;
export type WatchResponse = InstanceType<v1['WatchResponse']>;
export type LeaveRequest = sublet.v1.LeaveRequest.$Properties;
export type ReturnOverlaysRequest = sublet.v1.ReturnOverlaysRequest.$Properties;

/** A stream that was opened: `cancel` ends it without a further event. */
export type OpenStream = {
  /** The master it was opened at: HOST:PORT. */
  readonly master: string;
  cancel(): void;
};

export interface KeepAliveStream extends OpenStream {
  send(request: KeepAliveRequest): void;
}

/** What comes back on a stream, never before the call that opened it has returned. After `ended` nothing more comes; a stream that the master closed ends as `unavailable`. */
export type StreamEvents<Message> = {
  readonly message: (message: Message) => void;
  readonly ended: (error: MasterError) => void;
};

/** The calls. Their promises settle within a bounded time, and reject with `MasterError` only. */
export type MasterApi = {
  /** Idempotent: sent again to the next master until one answers or all have failed. */
  register(request: RegisterRequest): Promise<RegisterResponse>;
  reportStatus(request: ReportStatusRequest): Promise<void>;
  leave(request: LeaveRequest): Promise<void>;
  returnOverlays(request: ReturnOverlaysRequest): Promise<void>;
  keepAlive(events: StreamEvents<KeepAliveResponse>): KeepAliveStream;
  watch(request: WatchRequest, events: StreamEvents<WatchResponse>): OpenStream;
  /** The master that calls and streams go to first: HOST:PORT. */
  readonly current: string;
  /** Turns to the next master for what is opened from now on, unless that has been done since `master` was in use. */
  turnFrom(master: string): void;
  /** What is sent or opened from now on goes over new connections. */
  reconnect(): void;
};

/**
 * Why a master's answer is no answer.
 * - `unavailable`: none could be asked, none knows a leader, or the outcome is unknown; ask again.
 * - `aborted`: fenced: the epoch or the sequence is not the newest.
 * - `overloaded`: a master that serves has more to do than it can, or no room on its disk; a later try may succeed.
 * - `exhausted`: the plan has no address left; asking again helps once an operator has made room.
 * - `held`: another process keeps this lease alive; see `samePlace`.
 * - `refused`: understood and refused; asking the same again helps only after something else has changed.
 * - `invalid`: the request itself is at fault.
 */
export type MasterErrorKind = 'unavailable' | 'overloaded' | 'exhausted' | 'aborted' | 'held' | 'refused' | 'invalid';

export class MasterError extends Error {
  override readonly name = 'MasterError';
  readonly kind: MasterErrorKind;
  /** The status as gRPC names it: `FAILED_PRECONDITION`. */
  readonly status: string;
  readonly #details: RefusalDetails;

  constructor(kind: MasterErrorKind, status: string, message: string, details: RefusalDetails = {}) {
    super(message);
    this.#details = details;
    this.kind = kind;
    this.status = status;
  }

  /** Of `held`: nothing shows that the other process is at another place; it may be the one before this one. */
  get samePlace(): boolean {
    return this.#details.same_place === 'true';
  }

  /** Of `refused`: another instance has the agent id, and so the lease of this one. */
  get idIsAnothers(): boolean {
    return this.status === 'ALREADY_EXISTS' && this.#details.field === 'agent_id';
  }

  /** Of `aborted`: a sequence higher than this one is all that lacks. */
  get sequence(): number | undefined {
    const { sequence } = this.#details;
    const number = sequence === undefined ? Number.NaN : Number(sequence);
    return Number.isSafeInteger(number) ? number : undefined;
  }
}
