/**
 * Linearizable read points in batches (dissertation §6.4): one ReadIndex round is under way at a time, and all reads
 * that come meanwhile share the next one. A round that was started before a caller asked is of no use to it.
 */

import { RaftError } from '#raft/errors.js';
import type { LogIndex } from '#raft/log/entry.js';
import type { Raft } from '#raft/raft.js';
import type { Clock } from '#replica/ports/clock.js';
import { ProposeError } from '#replica/ports/replicated-log.js';
import { formatDuration } from '#text/duration.js';

export type ReadBarrierLimits = {
  /** Callers waiting; beyond it they are refused as `overloaded`. */
  readonly waitingMax: number;
  /** How long a caller waits at most. */
  readonly timeoutMs: number;
  /** A round unanswered for so long was lost on the way: it is asked again. */
  readonly retryMs: number;
};

/** Rounds that one life of a member may number before it reaches into the numbers of another. */
const roundsPerLife = 2 ** 20;
/** Beginnings to draw from: with `roundsPerLife` numbers each they fit a safe integer. */
const beginnings = 2 ** 32;

type Caller = {
  readonly deadlineMs: number;
  readonly resolve: (index: LogIndex) => void;
  readonly reject: (error: ProposeError) => void;
};

export class ReadBarriers {
  readonly #raft: Pick<Raft, 'readIndex'>;
  readonly #clock: Clock;
  readonly #limits: ReadBarrierLimits;
  /** Callers of no round yet, of the round under way, and of confirmed rounds whose index is not applied yet. */
  #asking: Caller[] = [];
  #round: { request: number; startedMs: number; readonly callers: Caller[] } | undefined;
  #confirmed: { readonly index: LogIndex; readonly callers: readonly Caller[] }[] = [];
  #waiting = 0;
  /** The number of the last round. */
  #requests: number;

  /**
   * Rounds are numbered from a beginning that is drawn: an answer to the same member's process before, still on its way
   * when this one starts, would confirm a round of this one with an index that is too old.
   */
  constructor(
    raft: Pick<Raft, 'readIndex'>,
    clock: Clock,
    limits: ReadBarrierLimits,
    random: (below: number) => number,
  ) {
    this.#raft = raft;
    this.#clock = clock;
    this.#limits = limits;
    this.#requests = random(beginnings) * roundsPerLife;
  }

  get wanted(): boolean {
    return this.#asking.length > 0;
  }

  /** @throws ProposeError, as a rejection: `overloaded`, `timeout`, and what `fail` brings */
  add(): Promise<LogIndex> {
    const { waitingMax, timeoutMs } = this.#limits;
    if (this.#waiting >= waitingMax) {
      return Promise.reject(new ProposeError('overloaded', `${waitingMax} reads wait already: try again shortly`));
    }
    this.#waiting += 1;
    const deadlineMs = this.#clock.now() + timeoutMs;
    return new Promise((resolve, reject) => this.#asking.push({ deadlineMs, resolve, reject }));
  }

  /** Starts a round if a read is pending and no round is in flight. */
  run(): void {
    if (this.#round !== undefined || this.#asking.length === 0) return;
    this.#requests += 1;
    const request = this.#requests;
    if (!this.#begins(request)) return;
    this.#round = { request, startedMs: this.#clock.now(), callers: this.#asking };
    this.#asking = [];
  }

  /** Has the core start the round numbered `request`; false: it can't now. */
  #begins(request: number): boolean {
    try {
      this.#raft.readIndex(request);
      return true;
    } catch (error) {
      if (error instanceof RaftError && (error.code === 'no-leader' || error.code === 'too-many-reads')) return false;
      throw error;
    }
  }

  /** The core's answer: `request` may be served once `index` is applied. */
  confirmed(request: number, index: LogIndex): void {
    if (this.#round?.request !== request) return;
    this.#confirmed.push({ index, callers: this.#round.callers });
    this.#round = undefined;
  }

  /** Everything up to `index` is applied here. */
  applied(index: LogIndex): void {
    if (this.#confirmed.length === 0) return;
    const due = this.#confirmed.filter((round) => round.index <= index);
    this.#confirmed = this.#confirmed.filter((round) => round.index > index);
    for (const { callers } of due) {
      this.#waiting -= callers.length;
      for (const { resolve } of callers) resolve(index);
    }
  }

  /** Repeats a round that was lost, and rejects reads that have waited too long. */
  tick(): void {
    const now = this.#clock.now();
    const round = this.#round;
    if (round !== undefined && now - round.startedMs >= this.#limits.retryMs) {
      this.#round = undefined;
      this.#asking = [...round.callers, ...this.#asking];
    }
    this.#asking = this.#expire(this.#asking, now);
    this.#confirmed = this.#confirmed.map(({ index, callers }) => ({ index, callers: this.#expire(callers, now) }));
  }

  /** The leader changed: a round under way may never be answered. */
  restart(): void {
    if (this.#round === undefined) return;
    this.#asking = [...this.#round.callers, ...this.#asking];
    this.#round = undefined;
  }

  /** Rejects all reads without a confirmed read point. */
  fail(error: () => ProposeError): void {
    this.restart();
    const callers = this.#asking;
    this.#asking = [];
    this.#waiting -= callers.length;
    for (const { reject } of callers) reject(error());
  }

  /** Rejects all pending reads. */
  stop(error: () => ProposeError): void {
    this.fail(error);
    const callers = this.#confirmed.flatMap((round) => round.callers);
    this.#confirmed = [];
    this.#waiting -= callers.length;
    for (const { reject } of callers) reject(error());
  }

  #expire(callers: readonly Caller[], now: number): Caller[] {
    const kept: Caller[] = [];
    for (const caller of callers) {
      if (caller.deadlineMs > now) {
        kept.push(caller);
        continue;
      }
      this.#waiting -= 1;
      const { timeoutMs } = this.#limits;
      caller.reject(new ProposeError('timeout', `no quorum confirmed the read within ${formatDuration(timeoutMs)}`));
    }
    return kept;
  }
}
