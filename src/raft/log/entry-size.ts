/**
 * The size of entries, as the limits of the core count it: the bytes of the entry's Protocol Buffers encoding
 * in the field's reference implementation, always above 0. Storage and transport may encode otherwise.
 */
import type { Entry } from '#raft/log/entry.js';

/** Encoded bytes of one entry: type, term, index and data, each with a one-byte tag. */
export function entryBytes(entry: Entry): number {
  const length = entry.data.length;
  const data = length === 0 ? 0 : 1 + varintBytes(length) + length;
  return 2 + 1 + varintBytes(entry.term) + 1 + varintBytes(entry.index) + data;
}

/** Encoded bytes of all `entries`. */
export function entriesBytes(entries: readonly Entry[]): number {
  let sum = 0;
  for (const entry of entries) {
    sum += entryBytes(entry);
  }
  return sum;
}

/** Bytes of `data` alone, of all `entries`: what counts against `maxUncommittedBytes` and `maxInflightBytes`. */
export function dataBytes(entries: readonly Entry[]): number {
  let sum = 0;
  for (const entry of entries) {
    sum += entry.data.length;
  }
  return sum;
}

/** The longest prefix of `entries` whose encoded size stays within `bytesMax`, but at least one entry if there is any. */
export function limitEntries(entries: readonly Entry[], bytesMax: number): readonly Entry[] {
  if (bytesMax === Number.POSITIVE_INFINITY) {
    return entries;
  }
  let sum = 0;
  for (const [at, entry] of entries.entries()) {
    sum += entryBytes(entry);
    if (sum > bytesMax && at > 0) {
      return entries.slice(0, at);
    }
  }
  return entries;
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) {
    bytes += 1;
  }
  return bytes;
}
