/** One record of the applied state as a database value: CRC-32 over key and value (4 bytes, big-endian), then the value. */
import { crc32 } from 'node:zlib';
import type { StateRecord } from '#replica/ports/state-machine.js';

/** With the CRC-32 it is stored with. */
export type SummedRecord = StateRecord & { readonly sum: number };

const sumBytes = 4;

/** Limits of a record (`RecordChange`): keys 1 to 512 bytes, values up to 1 MiB. */
export const stateKeyBytesMax = 512;
export const stateValueBytesMax = 1024 * 1024;

/** @throws RangeError when key or value is beyond its limit */
export function encodeStateRecord({ key, value }: StateRecord): { readonly stored: Uint8Array; readonly sum: number } {
  if (key.byteLength < 1 || key.byteLength > stateKeyBytesMax) {
    throw new RangeError(`state key of ${key.byteLength} bytes; allowed are 1 to ${stateKeyBytesMax}`);
  }
  if (value.byteLength > stateValueBytesMax) {
    throw new RangeError(`state value of ${value.byteLength} bytes; allowed are up to ${stateValueBytesMax}`);
  }
  const stored = Buffer.allocUnsafe(sumBytes + value.byteLength);
  const sum = crc32(value, crc32(key));
  stored.writeUInt32BE(sum);
  stored.set(value, sumBytes);
  return { stored, sum };
}

/** undefined: the bytes are damaged. */
export function decodeStateRecord(key: Uint8Array, stored: Uint8Array): SummedRecord | undefined {
  const [a, b, c, d] = stored;
  if (a === undefined || b === undefined || c === undefined || d === undefined) return undefined;
  // By hand: a DataView for each of a hundred thousand records costs more than the sum.
  const sum = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  const value = stored.subarray(sumBytes);
  return sum === crc32(value, crc32(key)) ? { key, value, sum } : undefined;
}
