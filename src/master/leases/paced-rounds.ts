/**
 * Collects items for rounds that begin at most once per interval, one at a time: an item that comes after a quiet
 * time waits for nothing, and any number that come together share one round.
 */
import { RefusedError } from '#api/refusal.js';
import type { Clock } from '#replica/ports/clock.js';

export type PacedRoundsOptions<Item, Outcome> = {
  readonly clock: Clock;
  /** The least time from the beginning of one round to that of the next, in ms. */
  readonly intervalMs: number;
  /** Items that may wait; beyond it one is refused. */
  readonly waitingMax: number;
  /** Carries out one round; the outcomes are in the order of the items. A rejection is every item's. */
  readonly round: (items: readonly Item[]) => Promise<readonly Outcome[]>;
};

type Waiting<Item, Outcome> = {
  readonly item: Item;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
};

export class PacedRounds<Item, Outcome> {
  readonly #options: PacedRoundsOptions<Item, Outcome>;
  #waiting: Waiting<Item, Outcome>[] = [];
  #lastBegan = Number.NEGATIVE_INFINITY;
  #busy = false;
  #cancel: (() => void) | undefined;
  #stopped = false;

  constructor(options: PacedRoundsOptions<Item, Outcome>) {
    this.#options = options;
  }

  /** Takes part in the next round. @throws RefusedError `overloaded`, `unavailable` once stopped, or what the round met */
  add(item: Item): Promise<Outcome> {
    const { waitingMax } = this.#options;
    if (this.#stopped) return Promise.reject(new RefusedError('unavailable', 'this master is stopping'));
    if (this.#waiting.length >= waitingMax) {
      return Promise.reject(
        new RefusedError('overloaded', `${waitingMax} keep-alives wait already, no more are allowed`),
      );
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      this.#schedule();
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
    this.#cancel = undefined;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { reject } of waiting) reject(new RefusedError('unavailable', 'this master is stopping'));
  }

  #schedule(): void {
    if (this.#busy || this.#cancel !== undefined || this.#waiting.length === 0) return;
    const { clock, intervalMs } = this.#options;
    this.#cancel = clock.after(Math.max(0, this.#lastBegan + intervalMs - clock.now()), () => {
      this.#cancel = undefined;
      void this.#round();
    });
  }

  async #round(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#busy = true;
    this.#lastBegan = this.#options.clock.now();
    try {
      const outcomes = await this.#options.round(waiting.map(({ item }) => item));
      for (const [at, { resolve, reject }] of waiting.entries()) {
        const outcome = outcomes[at];
        if (outcome === undefined) {
          reject(new RangeError(`a round of ${waiting.length} items gave ${outcomes.length} outcomes`));
        } else resolve(outcome);
      }
    } catch (error) {
      for (const { reject } of waiting) reject(error);
    } finally {
      this.#busy = false;
      this.#schedule();
    }
  }
}
