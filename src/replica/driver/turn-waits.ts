/** Waiting for something to become true: looked at after every turn, given up after a while. */
import type { Clock } from '#replica/ports/clock.js';

export class TurnWaits {
  readonly #clock: Clock;
  #waits: { readonly condition: () => boolean; readonly done: () => void }[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when `condition` holds, or after `mostMs`; undefined: however long it takes. */
  until(condition: () => boolean, mostMs?: number): Promise<void> {
    if (condition()) return Promise.resolve();
    return new Promise((resolve) => {
      const givenUp = (): void => {
        this.#waits = this.#waits.filter((other) => other !== wait);
        resolve();
      };
      const cancel = mostMs === undefined ? () => {} : this.#clock.after(mostMs, givenUp);
      const done = () => {
        cancel();
        resolve();
      };
      const wait = { condition, done };
      this.#waits.push(wait);
    });
  }

  check(): void {
    const due = this.#waits.filter(({ condition }) => condition());
    if (due.length === 0) return;
    this.#waits = this.#waits.filter((wait) => !due.includes(wait));
    for (const { done } of due) done();
  }
}
