/**
 * Indexes, terms and ids on disk and on the wire: 8 bytes, big-endian, so that byte order is numeric order.
 * Only safe integers (0 … 2^53 − 1) are written, and anything else is refused when read.
 */

export const uint64Bytes = 8;

const highWord = 2 ** 32;

/** Writes `value` at `offset` of `target`. @throws RangeError unless it is a safe integer ≥ 0. */
export function writeUint64(target: Uint8Array, offset: number, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`${value} is not an integer from 0 to ${Number.MAX_SAFE_INTEGER}`);
  }
  const view = new DataView(target.buffer, target.byteOffset, target.byteLength);
  view.setUint32(offset, Math.floor(value / highWord));
  view.setUint32(offset + 4, value % highWord);
}

/** Reads what `writeUint64` wrote. @throws RangeError when it is beyond 2^53 − 1, or cut off. */
export function readUint64(source: Uint8Array, offset: number): number {
  const view = new DataView(source.buffer, source.byteOffset, source.byteLength);
  const value = view.getUint32(offset) * highWord + view.getUint32(offset + 4);
  if (!Number.isSafeInteger(value)) throw new RangeError(`8-byte number beyond ${Number.MAX_SAFE_INTEGER}`);
  return value;
}
