/**
 * A sum that two replicas can compare: equal sets of records have equal sums, whatever the order in which they came to
 * be, and one record more or less changes it in time that does not depend on how many there are. Each record is mixed
 * into four 32-bit words, which are added up word by word. It tells accidents, not an adversary who crafts records.
 */

type Words = [number, number, number, number];

/** Four 32-bit words. */
export type HashWords = Readonly<Words>;

export class RecordHash {
  private readonly sum: Words = [0, 0, 0, 0];

  add(key: Uint8Array, value: Uint8Array): void {
    this.accumulate(mix(key, value), 1);
  }

  remove(key: Uint8Array, value: Uint8Array): void {
    this.accumulate(mix(key, value), -1);
  }

  private accumulate(words: Words, sign: 1 | -1): void {
    this.sum[0] = (this.sum[0] + sign * words[0]) | 0;
    this.sum[1] = (this.sum[1] + sign * words[1]) | 0;
    this.sum[2] = (this.sum[2] + sign * words[2]) | 0;
    this.sum[3] = (this.sum[3] + sign * words[3]) | 0;
  }

  /** The four words of the sum, as they are now. */
  get words(): HashWords {
    return [...this.sum];
  }

  toString(): string {
    return formatHash(this.sum);
  }
}

/** 32 hexadecimal digits. */
export function formatHash(words: HashWords): string {
  return words.map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
}

/** Odd constants without pattern (from the fractional bits of √2, √3, √5 and √7). */
const factors: Words = [0x6a09e667, 0xbb67ae85, 0x3c6ef373, 0xa54ff53b];

function mix(key: Uint8Array, value: Uint8Array): Words {
  // The length of the key first, so that no byte can move between key and value unnoticed.
  const words: Words = [key.length, value.length, ~key.length, ~value.length];
  absorb(words, key);
  absorb(words, value);
  let [a, b, c, d] = words;
  for (let round = 0; round < 3; round++) {
    a = scramble(a ^ d);
    b = scramble(b ^ a);
    c = scramble(c ^ b);
    d = scramble(d ^ c);
  }
  return [a, b, c, d];
}

/** Takes the bytes in four at a time, each word into every lane with another factor and rotation. */
function absorb(words: Words, bytes: Uint8Array): void {
  let [a, b, c, d] = words;
  for (let at = 0; at < bytes.length; at += 4) {
    const word =
      (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24);
    a = (rotate(Math.imul(a ^ word, factors[0]), 13) + d) | 0;
    b = rotate(Math.imul(b ^ word, factors[1]), 17) ^ a;
    c = (rotate(Math.imul(c + word, factors[2]), 11) + b) | 0;
    d = rotate(Math.imul(d ^ word, factors[3]), 19) ^ c;
  }
  words[0] = a;
  words[1] = b;
  words[2] = c;
  words[3] = d;
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}

function scramble(word: number): number {
  let mixed = Math.imul(word ^ (word >>> 16), 0x45d9f3b1);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d);
  return mixed ^ (mixed >>> 16);
}
