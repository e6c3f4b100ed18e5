/** A clock that stands still until a test turns it. */
import type { Clock } from '#replica/ports/clock.js';

export class HandClock implements Clock {
  #now = 0;
  #timers = new Set<{ readonly at: number; readonly run: () => void }>();

  now(): number {
    return this.#now;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { at: this.#now + delayMs, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Timers that have not run and are not cancelled. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Runs what is due until then, in order of time; what that starts anew counts from then. */
  turn(ms: number): void {
    this.#now += ms;
    const due = [...this.#timers].filter(({ at }) => at <= this.#now).sort((a, b) => a.at - b.at);
    // One that ran may have cancelled another.
    for (const timer of due) if (this.#timers.delete(timer)) timer.run();
  }
}
