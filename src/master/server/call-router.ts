/**
 * Brings a call to where it can be carried out: here, or at the leader, one hop at most. Without a leader it waits a
 * bounded time for one; calls known not to have executed, or idempotent, are retried with the next leader.
 */

import { RefusedError } from '#api/refusal.js';
import type { Leadership } from '#master/leader/leadership.js';
import type { CallContext, Endpoint } from '#master/server/endpoint.js';
import { toRefusedError } from '#master/server/refusal-mapping.js';
import type { Clock } from '#replica/ports/clock.js';
import type { MemberInfo } from '#replica/ports/membership.js';
import { formatDuration } from '#text/duration.js';
import type { Caller } from '#tls/caller.js';

/** How calls reach another master. */
export type PeerCalls = {
  /**
   * Carries out a call at `member`; `timeoutMs` is what its caller still waits.
   * @throws RefusedError: the member's own, or `unavailable` (never arrived), or `unknown-outcome` (the way broke).
   */
  call(member: MemberInfo, path: string, request: Uint8Array, timeoutMs: number, caller: Caller): Promise<Uint8Array>;
};

export type CallRouterOptions = {
  readonly leadership: Leadership;
  readonly peers: PeerCalls;
  /** Why this master can not answer for the plan yet; undefined: it can. */
  readonly closed: () => string | undefined;
  /** How long a call waits for a leader, in ms; its own deadline may be sooner. */
  readonly leaderWaitMs: number;
  /** Deadline of a call that brings none, in ms from now. */
  readonly defaultTimeoutMs: number;
  /** The scale of deadlines. */
  readonly clock: Pick<Clock, 'now'>;
  /** Receives unexpected errors (bugs). */
  readonly report: (error: unknown) => void;
};

/** How often one call is tried; between two tries the leader has changed or a moment has passed. */
const triesMax = 10;
/** The least time between two tries when no change of leader is announced, in ms. */
const retryPauseMs = 100;

export class CallRouter {
  readonly #options: CallRouterOptions;

  constructor(options: CallRouterOptions) {
    this.#options = options;
  }

  /** @throws RefusedError */
  async serve(endpoint: Endpoint, request: Uint8Array, context: CallContext): Promise<Uint8Array> {
    try {
      this.#checkOpen(endpoint);
      const anywhere = endpoint.place(request) === 'here';
      if (!anywhere && this.#options.leadership.seat.kind !== 'here') {
        return await this.#atLeader(endpoint, request, context);
      }
      // Fast path: most calls are served locally.
      try {
        return await endpoint.handle(request, context);
      } catch (error) {
        const refused = toRefusedError(error, this.#options.report);
        if (anywhere || context.forwarded || !mayTryAgain(refused, endpoint)) throw refused;
        return await this.#atLeader(endpoint, request, context);
      }
    } catch (error) {
      throw toRefusedError(error, this.#options.report);
    }
  }

  /** Before its state is loaded, a master would answer for an empty plan. */
  #checkOpen({ needsPlan }: Endpoint): void {
    const why = needsPlan ? this.#options.closed() : undefined;
    if (why !== undefined) throw new RefusedError('unavailable', why);
  }

  async #atLeader(endpoint: Endpoint, request: Uint8Array, context: CallContext): Promise<Uint8Array> {
    const { leadership, clock } = this.#options;
    let waitUntil: number | undefined;
    for (let tries = 1; ; tries++) {
      const { seat } = leadership;
      if (seat.kind !== 'member') this.#checkOpen(endpoint);
      try {
        if (seat.kind === 'here') return await endpoint.handle(request, context);
        if (seat.kind === 'member' && !context.forwarded) {
          return await this.#handOn(seat.member, endpoint, request, context);
        }
        if (seat.kind === 'member') throw new RefusedError('unavailable', 'this master does not lead any more');
      } catch (error) {
        const refused = toRefusedError(error, this.#options.report);
        if (context.forwarded || tries === triesMax || !mayTryAgain(refused, endpoint)) throw refused;
      }
      waitUntil ??= clock.now() + Math.min(this.#options.leaderWaitMs, context.deadline - clock.now());
      const left = waitUntil - clock.now();
      if (left <= 0) throw this.#noLeader();
      // The seat may have changed while the call was out: then there is nothing to wait for.
      const pause = seat === leadership.seat && seat.kind !== 'none' && seat.kind !== 'elect' ? retryPauseMs : left;
      if (seat === leadership.seat) await leadership.changed(Math.min(left, pause));
    }
  }

  #handOn(member: MemberInfo, endpoint: Endpoint, request: Uint8Array, context: CallContext): Promise<Uint8Array> {
    const { peers, clock, defaultTimeoutMs } = this.#options;
    const left = context.deadline === Number.POSITIVE_INFINITY ? defaultTimeoutMs : context.deadline - clock.now();
    if (left <= 0) throw new RefusedError('deadline', `${endpoint.path}: the deadline has passed`);
    return peers.call(member, endpoint.path, request, left, context.caller);
  }

  #noLeader(): RefusedError {
    return new RefusedError(
      'unavailable',
      `the masters have no leader that can be reached; waited ${formatDuration(this.#options.leaderWaitMs)} or to the deadline; try again`,
    );
  }
}

/** `unavailable`: nothing happened. */
function mayTryAgain({ reason }: RefusedError, { idempotent }: Endpoint): boolean {
  return reason === 'unavailable' || (reason === 'unknown-outcome' && idempotent);
}
