/**
 * Whether this master can serve: its plan is loaded, a leader is known, and all is applied here that was committed when
 * this master came or came back to that leader. The log is asked for that by a read point, and again every few seconds;
 * a lag shorter than the read timeout does not count, and changes nothing.
 */
import type { Leadership, LeaderView } from '#master/leader/leadership.js';
import type { Clock } from '#replica/ports/clock.js';
import { ProposeError, type ReplicatedLog } from '#replica/ports/replicated-log.js';

export type ReadinessOptions = {
  readonly log: Pick<ReplicatedLog<unknown>, 'readBarrier' | 'status'>;
  readonly leadership: Pick<Leadership, 'seat' | 'onChange'>;
  readonly clock: Clock;
  /** Why the plan can't be asked for; undefined: it can. */
  readonly closed: () => string | undefined;
  /** It may be another answer from now on. */
  readonly changed: () => void;
  /** Receives unexpected errors (bugs). */
  readonly report: (error: unknown) => void;
};

/** Between an answer and the next question, and after a question that could not be answered, in ms. */
const askEveryMs = 5_000;
const askAgainMs = 200;

export class Readiness {
  readonly #options: ReadinessOptions;
  readonly #unsubscribe: () => void;
  #caughtUp = false;
  #asking = false;
  #cancel: () => void = () => undefined;
  #stopped = false;

  constructor(options: ReadinessOptions) {
    this.#options = options;
    this.#unsubscribe = options.leadership.onChange(({ seat }) => this.#seatChanged(seat));
    if (options.leadership.seat.kind === 'member') this.#ask();
  }

  /** Why this master can't serve now; undefined: it can. */
  why(): string | undefined {
    const { log, leadership, closed } = this.#options;
    const why = closed();
    if (why !== undefined) return why;
    switch (leadership.seat.kind) {
      case 'here':
        return undefined;
      case 'elect':
        return 'this master has just been elected and does not know the state yet';
      case 'none':
        return 'the masters have no leader that this one knows of';
      case 'member': {
        if (this.#caughtUp) return undefined;
        const { appliedIndex, commitIndex } = log.status();
        const far = `it has applied ${appliedIndex}, and knows that ${commitIndex} is committed`;
        return `this master has not caught up with its leader, ${leadership.seat.member.name}: ${far}`;
      }
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#unsubscribe();
    this.#cancel();
  }

  #seatChanged(seat: LeaderView): void {
    if (seat.kind === 'member') this.#ask();
    else this.#caughtUp = seat.kind === 'here';
    this.#options.changed();
  }

  /** One question at a time. */
  #ask(): void {
    if (this.#asking || this.#stopped) return;
    this.#asking = true;
    this.#cancel();
    this.#options.log.readBarrier().then(
      () => this.#answered(true, askEveryMs),
      (error: unknown) => this.#refused(error),
    );
  }

  #refused(error: unknown): void {
    const code = error instanceof ProposeError ? error.code : undefined;
    if (code === undefined) this.#options.report(error);
    // A timeout means that it is behind, or that there is no answer at all; other refusals mean neither.
    this.#answered(code === 'timeout' ? false : this.#caughtUp, askAgainMs);
  }

  #answered(caughtUp: boolean, nextInMs: number): void {
    this.#asking = false;
    if (this.#stopped) return;
    const { leadership, clock, changed } = this.#options;
    const { kind } = leadership.seat;
    // A master that has lost its leader since has to catch up anew; the next leader's coming asks again.
    this.#caughtUp = caughtUp && kind !== 'none' && kind !== 'elect';
    this.#cancel = clock.after(nextInMs, () => this.#ask());
    changed();
  }
}
