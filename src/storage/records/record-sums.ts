/**
 * The CRC-32 of every state record of one generation, by the name of its key, with their count and total: what it takes to
 * keep the total right without reading the old value of a record before each change. Costs about 100 bytes a record.
 */
import { addToSum, takeFromSum } from '#storage/records/sum.js';

/** How many records there are, and the sum over them. */
export type RecordTotal = { readonly count: number; readonly sum: number };

export class RecordSums {
  readonly #sums = new Map<string, number>();
  #sum = 0;

  put(name: string, crc: number): void {
    const old = this.#sums.get(name);
    if (old !== undefined) this.#sum = takeFromSum(this.#sum, old);
    this.#sums.set(name, crc);
    this.#sum = addToSum(this.#sum, crc);
  }

  delete(name: string): void {
    const old = this.#sums.get(name);
    if (old === undefined) return;
    this.#sums.delete(name);
    this.#sum = takeFromSum(this.#sum, old);
  }

  total(): RecordTotal {
    return { count: this.#sums.size, sum: this.#sum };
  }
}

/** What a record's key is called in maps: one character a byte, which is compact. */
export function recordName(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1');
}
