/**
 * Keeps the agent live at the masters: one message at a time on a stream, the next when the answer says so. A stream
 * that ends or does not answer is opened anew at the next master, after a random wait.
 */

import { awayBackoff } from '#agent/away-backoff.js';
import {
  type KeepAliveRequest,
  type KeepAliveResponse,
  type KeepAliveStream,
  type MasterApi,
  MasterError,
} from '#agent/master-api.js';
import type { BootClock } from '#agent/state/boot-clock.js';
import type { Clock } from '#replica/ports/clock.js';
import { formatDuration } from '#text/duration.js';
import { type Backoff, jitteredBackoffMs } from '#time/backoff.js';

/** An answer waits for a round of the masters, one per second; beyond this the master is given up. */
export const answerTimeoutMs = 8_000;
/** For masters that have more to do than they can: agents count as live for 30 s, so there is time for several tries. */
const strainedBackoff: Backoff = { baseMs: 500, capMs: 8_000 };
/** Whatever a master says, the next message is sent within these bounds. */
const nextMs = { min: 100, max: 5 * 60_000 };

/** Failures in a row after which the masters are reported away: a new leader takes fewer. */
export const awayReported = 8;

export type KeepAliveOptions = {
  readonly api: MasterApi;
  readonly clock: Clock;
  readonly bootClock: BootClock;
  readonly random: () => number;
  /** How many agents there are, as far as is known. */
  readonly agents: () => number | undefined;
  /** `sentAtMs` of the boot clock is when the answered message was sent. */
  readonly answered: (response: KeepAliveResponse, sentAtMs: number) => void;
  /** The masters know no lease of this epoch any more. Nothing more is sent until `start`. */
  readonly fenced: (error: MasterError) => void;
  /** Another process keeps the lease alive. Nothing more is sent until `start`. */
  readonly held: (error: MasterError) => void;
  /**
   * The masters refuse a keep-alive, such as for a revoked identity; called once until one is answered. It is tried again.
   * Undefined: one is answered.
   */
  readonly refused: (error: MasterError | undefined) => void;
  /** No master has answered for several tries in a row, the last for this reason; undefined: one answers again. */
  readonly away: (error: MasterError | undefined) => void;
};

/** What the status shows. */
export type KeepAliveCounts = { readonly answered: number; readonly failures: number; readonly lastError: string };

export class KeepAlive {
  readonly #options: KeepAliveOptions;
  #request: KeepAliveRequest | undefined;
  #stream: KeepAliveStream | undefined;
  #sentAtMs: number | undefined;
  #cancelTimer: () => void = () => {};
  /** Failures since the last answer: of masters that were not there or had no leader, and of those that were strained. */
  #awayInRow = 0;
  #strainedInRow = 0;
  #answered = 0;
  #failures = 0;
  #lastError = '';
  #refusal = '';

  constructor(options: KeepAliveOptions) {
    this.#options = options;
  }

  get counts(): KeepAliveCounts {
    return { answered: this.#answered, failures: this.#failures, lastError: this.#lastError };
  }

  /** Why the masters refuse this agent's keep-alives, such as for a revoked identity; empty: they do not. */
  get refusal(): string {
    return this.#refusal;
  }

  /**
   * Sends for this lease from now on, at once. `same`: nothing has changed in it, so that an open stream goes on.
   * Closing it would look to the masters, for a moment, as if this process had gone.
   */
  start(request: KeepAliveRequest, same = false): void {
    if (same && this.#request !== undefined && this.#stream !== undefined) return;
    this.#request = request;
    this.#recovered();
    // An answer under way would be one about another epoch: the stream is opened anew.
    this.#close();
    this.#send();
  }

  stop(): void {
    this.#request = undefined;
    this.#close();
  }

  #send(): void {
    const request = this.#request;
    if (request === undefined) return;
    const { api, bootClock, clock } = this.#options;
    this.#stream ??= api.keepAlive({
      message: (response) => this.#onAnswer(response),
      ended: (error) => this.#onEnded(error),
    });
    this.#sentAtMs = bootClock.now();
    this.#timer(clock.after(answerTimeoutMs, () => this.#onSilence()));
    this.#stream.send(request);
  }

  #onAnswer(response: KeepAliveResponse): void {
    const sentAtMs = this.#sentAtMs;
    if (sentAtMs === undefined) return; // One more answer than there were messages proves nothing.
    this.#sentAtMs = undefined;
    if (this.#awayInRow >= awayReported) this.#options.away(undefined);
    this.#recovered();
    this.#tellBack(response);
    this.#answered += 1;
    this.#lastError = '';
    if (this.#refusal !== '') this.#options.refused(undefined);
    this.#refusal = '';
    const delayMs = Math.min(nextMs.max, Math.max(nextMs.min, response.nextInMs));
    this.#timer(this.#options.clock.after(delayMs, () => this.#send()));
    this.#options.answered(response, sentAtMs);
  }

  /** The next message repeats what this answer contained. */
  #tellBack({ revision, branch }: KeepAliveResponse): void {
    if (branch !== '' && this.#request !== undefined) this.#request = { ...this.#request, revision, branch };
  }

  #onSilence(): void {
    this.#onEnded(
      new MasterError('overloaded', 'DEADLINE_EXCEEDED', `no answer within ${formatDuration(answerTimeoutMs)}`),
    );
  }

  #onEnded(error: MasterError): void {
    const { api, clock } = this.#options;
    if (this.#stream !== undefined) api.turnFrom(this.#stream.master);
    this.#close();
    this.#failures += 1;
    this.#lastError = error.message;
    if (error.kind === 'refused' && this.#refusal === '') this.#options.refused(error);
    if (error.kind !== 'unavailable') this.#refusal = error.kind === 'refused' ? error.message : '';
    if (error.kind === 'aborted' || error.kind === 'held') {
      this.#request = undefined;
      if (error.kind === 'held') this.#options.held(error);
      else this.#options.fenced(error);
      return;
    }
    this.#timer(clock.after(this.#delayMs(error), () => this.#send()));
    if (error.kind === 'unavailable' && this.#awayInRow === awayReported) this.#options.away(error);
  }

  #delayMs({ kind }: MasterError): number {
    const { random, agents } = this.#options;
    return kind === 'unavailable'
      ? jitteredBackoffMs(awayBackoff(agents()), this.#awayInRow++, random)
      : jitteredBackoffMs(strainedBackoff, this.#strainedInRow++, random);
  }

  #recovered(): void {
    this.#awayInRow = 0;
    this.#strainedInRow = 0;
  }

  #close(): void {
    this.#cancelTimer();
    this.#stream?.cancel();
    this.#stream = undefined;
    this.#sentAtMs = undefined;
  }

  #timer(cancel: () => void): void {
    this.#cancelTimer();
    this.#cancelTimer = cancel;
  }
}
