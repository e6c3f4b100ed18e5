/**
 * A sum that two replicas can compare: equal sets of records have equal sums, whatever the order in which they came to
 * be, and one record more or less changes it in time that does not depend on how many there are. Each record is mixed
 * into four 32-bit words, which are added up word by word. It detects accidents, not records that an adversary has
 * crafted.
 */

/** Four 32-bit words. */
export type HashWords = readonly [number, number, number, number];

export class RecordHash {
  readonly #sum = new Int32Array(4);

  add(key: Uint8Array, value: Uint8Array): void {
    mix(key, value);
    const sum = this.#sum;
    for (let at = 0; at < 4; at++) sum[at] = (sum[at] ?? 0) + (mixed[at] ?? 0);
  }

  remove(key: Uint8Array, value: Uint8Array): void {
    mix(key, value);
    const sum = this.#sum;
    for (let at = 0; at < 4; at++) sum[at] = (sum[at] ?? 0) - (mixed[at] ?? 0);
  }

  /** The four words of the sum, as they are now. */
  get words(): HashWords {
    const sum = this.#sum;
    return [sum[0] ?? 0, sum[1] ?? 0, sum[2] ?? 0, sum[3] ?? 0];
  }

  toString(): string {
    return formatHash(this.words);
  }
}

/** 32 hexadecimal digits. */
export function formatHash(words: HashWords): string {
  return words.map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
}

/** Odd constants without pattern (from the fractional bits of √2, √3, √5 and √7). */
const factorA = 0x6a09e667;
const factorB = 0xbb67ae85;
const factorC = 0x3c6ef373;
const factorD = 0xa54ff53b;

/** Where a record is mixed: one place for all, since every change of the plan comes by here. */
const mixed = new Int32Array(4);

function mix(key: Uint8Array, value: Uint8Array): void {
  // The length of the key first, so that no byte can move between key and value unnoticed.
  mixed[0] = key.length;
  mixed[1] = value.length;
  mixed[2] = ~key.length;
  mixed[3] = ~value.length;
  absorb(key);
  absorb(value);
  let a = mixed[0] ?? 0;
  let b = mixed[1] ?? 0;
  let c = mixed[2] ?? 0;
  let d = mixed[3] ?? 0;
  for (let round = 0; round < 3; round++) {
    a = scramble(a ^ d);
    b = scramble(b ^ a);
    c = scramble(c ^ b);
    d = scramble(d ^ c);
  }
  mixed[0] = a;
  mixed[1] = b;
  mixed[2] = c;
  mixed[3] = d;
}

/** Takes the bytes in four at a time, each word into every lane with another factor and rotation. */
function absorb(bytes: Uint8Array): void {
  let a = mixed[0] ?? 0;
  let b = mixed[1] ?? 0;
  let c = mixed[2] ?? 0;
  let d = mixed[3] ?? 0;
  for (let at = 0; at < bytes.length; at += 4) {
    const word =
      (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24);
    a = (rotate(Math.imul(a ^ word, factorA), 13) + d) | 0;
    b = rotate(Math.imul(b ^ word, factorB), 17) ^ a;
    c = (rotate(Math.imul(c + word, factorC), 11) + b) | 0;
    d = rotate(Math.imul(d ^ word, factorD), 19) ^ c;
  }
  mixed[0] = a;
  mixed[1] = b;
  mixed[2] = c;
  mixed[3] = d;
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}

function scramble(word: number): number {
  let result = Math.imul(word ^ (word >>> 16), 0x45d9f3b1);
  result = Math.imul(result ^ (result >>> 15), 0x2c1b3c6d);
  return result ^ (result >>> 16);
}
