import assert from 'node:assert/strict';
import fc from 'fast-check';
import { readUint64, uint64Bytes, writeUint64 } from '#replica/uint64.js';

describe('8-byte numbers', () => {
  it('are big-endian, and read back as they were written', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.nat(5), (value, offset) => {
        const bytes = new Uint8Array(offset + uint64Bytes + 2).fill(0xaa);
        writeUint64(bytes, offset, value);
        assert.equal(readUint64(bytes, offset), value);
        assert.equal(Buffer.from(bytes).readBigUInt64BE(offset), BigInt(value));
        assert.ok(
          [...bytes.subarray(0, offset), ...bytes.subarray(offset + uint64Bytes)].every((byte) => byte === 0xaa),
        );
      }),
    );
  });

  it('are refused beyond 2^53 − 1, when negative, broken or cut off', () => {
    const bytes = new Uint8Array(8);
    for (const value of [-1, 1.5, 2 ** 53, Number.NaN]) assert.throws(() => writeUint64(bytes, 0, value), RangeError);
    assert.throws(() => writeUint64(bytes, 1, 1), RangeError);
    assert.throws(() => readUint64(bytes, 1), RangeError);
    assert.throws(() => readUint64(bytes.fill(0xff), 0), RangeError);
  });
});
