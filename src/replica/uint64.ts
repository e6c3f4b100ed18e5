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
  if (offset + uint64Bytes > target.length) throw new RangeError(`no room for 8 bytes at ${offset}`);
  writeWord(target, offset, Math.floor(value / highWord));
  writeWord(target, offset + 4, value % highWord);
}

/** Reads what `writeUint64` wrote. @throws RangeError when it is beyond 2^53 − 1, or cut off. */
export function readUint64(source: Uint8Array, offset: number): number {
  const value = readUint32(source, offset) * highWord + readUint32(source, offset + 4);
  if (!Number.isSafeInteger(value)) throw new RangeError(`8-byte number beyond ${Number.MAX_SAFE_INTEGER}`);
  return value;
}

/** Four bytes, big-endian. By hand: a DataView for each would cost more than the reading. @throws RangeError when they are cut off */
export function readUint32(source: Uint8Array, offset: number): number {
  const [a, b, c, d] = [source[offset], source[offset + 1], source[offset + 2], source[offset + 3]];
  if (a === undefined || b === undefined || c === undefined || d === undefined) {
    throw new RangeError(`a number at ${offset} is cut off: there are ${source.length} bytes`);
  }
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
}

function writeWord(target: Uint8Array, offset: number, word: number): void {
  target[offset] = word >>> 24;
  target[offset + 1] = word >>> 16;
  target[offset + 2] = word >>> 8;
  target[offset + 3] = word;
}
