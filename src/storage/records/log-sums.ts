/** The CRC-32 of every entry from the first to the last, and their total; see `sum.ts`. 4 to 8 bytes an entry. */
import { addToSum, takeFromSum } from '#storage/records/sum.js';

export class LogSums {
  /** Index of `#sums[0]`. */
  #first: number;
  #sums: number[] = [];
  #total = 0;

  constructor(first: number) {
    this.#first = first;
  }

  get total(): number {
    return this.#total;
  }

  append(crc: number): void {
    this.#sums.push(crc);
    this.#total = addToSum(this.#total, crc);
  }

  /** Drops the entries from `index` on. */
  truncate(index: number): void {
    this.#drop(this.#sums.splice(Math.max(0, index - this.#first)));
  }

  /** Drops the entries before `index`. */
  compact(index: number): void {
    this.#drop(this.#sums.splice(0, index - this.#first));
    this.#first = index;
  }

  #drop(crcs: readonly number[]): void {
    for (const crc of crcs) this.#total = takeFromSum(this.#total, crc);
  }
}
