/** Runs pieces of work one at a time, in the order asked for. A piece that fails fails its asker only. */
export class SerialQueue {
  readonly #waitingMax: number;
  #waiting = 0;
  #tail: Promise<unknown> = Promise.resolve();

  /** More than `waitingMax` pieces at once are refused: a caller has lost count. */
  constructor(waitingMax: number) {
    this.#waitingMax = waitingMax;
  }

  run<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#waiting >= this.#waitingMax) {
      return Promise.reject(new RangeError(`more than ${this.#waitingMax} pieces of work wait for the disk`));
    }
    const idle = this.#waiting === 0;
    this.#waiting += 1;
    // Begun within the call if nothing is before it: what the caller does next then runs beside the disk.
    const result = (idle ? work() : this.#tail.then(work)).finally(() => {
      this.#waiting -= 1;
    });
    // The next piece waits for this one, however it ends; its asker hears of a failure through `result`.
    this.#tail = result.catch(() => undefined);
    return result;
  }

  /** Resolves when what was asked for so far is done. */
  async idle(): Promise<void> {
    await this.#tail;
  }
}
