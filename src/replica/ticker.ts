/**
 * Regular ticks on a clock that may be late. A tick that is due is counted only after what arrived meanwhile was
 * taken in, so that a stalled event loop does not pass for a silent leader; ticks missed in a stall are dropped,
 * not made up for.
 */
import type { Clock, Defer } from '#replica/ports/clock.js';

export class Ticker {
  readonly #clock: Clock;
  readonly #defer: Defer;
  readonly #intervalMs: number;
  readonly #tick: (gapMs: number) => void;
  #cancel: (() => void) | undefined;
  #stopped = false;
  #lastMs = 0;
  #dueMs = 0;

  /** `tick` gets the time since the tick before. */
  constructor(clock: Clock, defer: Defer, intervalMs: number, tick: (gapMs: number) => void) {
    this.#clock = clock;
    this.#defer = defer;
    this.#intervalMs = intervalMs;
    this.#tick = tick;
  }

  start(): void {
    this.#lastMs = this.#clock.now();
    this.#dueMs = this.#lastMs;
    this.#schedule();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  /** A clock that is a little late is made up for; after a stall the rhythm begins anew. */
  #schedule(): void {
    const now = this.#clock.now();
    this.#dueMs += this.#intervalMs;
    if (this.#dueMs <= now) this.#dueMs = now + this.#intervalMs;
    this.#cancel = this.#clock.after(this.#dueMs - now, () => this.#defer(() => this.#run()));
  }

  #run(): void {
    if (this.#stopped) return;
    const now = this.#clock.now();
    const gapMs = now - this.#lastMs;
    this.#lastMs = now;
    this.#schedule();
    this.#tick(gapMs);
  }
}
