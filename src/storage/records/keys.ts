/**
 * The key space: one prefix byte, then (for entries and state) an 8-byte big-endian number, so that byte
 * order is log order. `h` head · `m` membership · `l` + index entry · `s` + generation + key state record.
 */
import { uint64Bytes, writeUint64 } from '#replica/uint64.js';
import type { KeyRange } from '#storage/key-value.js';

export const headKey = Uint8Array.of(0x68);
export const membershipKey = Uint8Array.of(0x6d);

const entryPrefix = 0x6c;
const statePrefix = 0x73;
const prefixBytes = 1 + uint64Bytes;

export function entryKey(index: number): Uint8Array {
  return numbered(entryPrefix, index, 0);
}

/** Entries from `from`, inclusive, to `to`, exclusive; without `to` all that follow. */
export function entryRange(from: number, to?: number): KeyRange {
  return { from: entryKey(from), to: to === undefined ? Uint8Array.of(entryPrefix + 1) : entryKey(to) };
}

export function stateKey(generation: number, key: Uint8Array): Uint8Array {
  const full = numbered(statePrefix, generation, key.byteLength);
  full.set(key, prefixBytes);
  return full;
}

/** State records of the generations from `from`, inclusive, to `to`, exclusive. */
export function stateRange(from: number, to: number): KeyRange {
  return { from: numbered(statePrefix, from, 0), to: numbered(statePrefix, to, 0) };
}

/** The state machine's own key inside `stateKey(…)`. */
export function innerKey(full: Uint8Array): Uint8Array {
  return full.subarray(prefixBytes);
}

function numbered(prefix: number, value: number, extraBytes: number): Uint8Array {
  // From the pool: the database reads it as native memory, which an array of its own would have to be given first.
  const key = Buffer.allocUnsafe(prefixBytes + extraBytes);
  key[0] = prefix;
  writeUint64(key, 1, value);
  return key;
}
