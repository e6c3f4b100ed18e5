/**
 * Collects what comes within one turn of the event loop and hands it over together, one hand-over at a time: while
 * one is under way the next batch grows, so that batches are large exactly when they need to be. The caller bounds
 * how much waits.
 */

export type TurnBatchOptions<Item> = {
  /** Items in one hand-over. */
  readonly countMax: number;
  /** Bytes in one hand-over, by `bytesOf`; a larger item goes alone. */
  readonly bytesMax: number;
  readonly bytesOf: (item: Item) => number;
  /** Calls `done` when it can take the next batch. */
  readonly deliver: (items: readonly Item[], done: () => void) => void;
};

export class TurnBatch<Item> {
  readonly #options: TurnBatchOptions<Item>;
  #waiting: Item[] = [];
  #scheduled = false;
  #busy = false;

  constructor(options: TurnBatchOptions<Item>) {
    this.#options = options;
  }

  add(item: Item): void {
    this.#waiting.push(item);
    this.#schedule();
  }

  /** Takes back what was not handed over. */
  drain(): readonly Item[] {
    const items = this.#waiting;
    this.#waiting = [];
    return items;
  }

  #schedule(): void {
    if (this.#scheduled || this.#busy || this.#waiting.length === 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#waiting.length === 0) return;
    const items = this.#waiting.splice(0, this.#firstBatch());
    this.#busy = true;
    this.#options.deliver(items, () => {
      this.#busy = false;
      this.#schedule();
    });
  }

  /** How many of the waiting items fit into one hand-over: one at least. */
  #firstBatch(): number {
    const { countMax, bytesMax, bytesOf } = this.#options;
    let bytes = 0;
    let count = 0;
    for (const item of this.#waiting) {
      bytes += bytesOf(item);
      if (count === countMax || (count > 0 && bytes > bytesMax)) break;
      count += 1;
    }
    return count;
  }
}
