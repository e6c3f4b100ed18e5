import assert from 'node:assert/strict';
import fc from 'fast-check';
import { RecordHash } from '#ipam/codec/record-hash.js';

const bytes = fc.uint8Array({ minLength: 0, maxLength: 20 });
const record = fc.tuple(bytes, bytes);

function hashOf(records: readonly (readonly [Uint8Array, Uint8Array])[]): string {
  const hash = new RecordHash();
  for (const [key, value] of records) hash.add(key, value);
  return hash.toString();
}

const text = (value: Uint8Array) => Buffer.from(value).toString('hex');

describe('the hash of a set of records', () => {
  it('does not depend on the order, nor on what came and went', () => {
    fc.assert(
      fc.property(fc.array(record, { maxLength: 8 }), fc.array(record, { maxLength: 4 }), (kept, gone) => {
        const hash = new RecordHash();
        for (const [key, value] of gone) hash.add(key, value);
        for (const [key, value] of kept.toReversed()) hash.add(key, value);
        for (const [key, value] of gone) hash.remove(key, value);
        assert.equal(hash.toString(), hashOf(kept));
      }),
    );
  });

  it('differs for other records', () => {
    fc.assert(
      fc.property(record, record, (a, b) => {
        const same = text(a[0]) === text(b[0]) && text(a[1]) === text(b[1]);
        assert.equal(hashOf([a]) === hashOf([b]), same);
      }),
      { numRuns: 1000 },
    );
  });

  it('differs for every one of many records that are nearly the same', () => {
    const seen = new Set<string>();
    for (let n = 0; n < 65_536; n++) {
      seen.add(hashOf([[new Uint8Array([9]), new Uint8Array([n & 255, n >>> 8, 0, 0, 0])]]));
    }
    assert.equal(seen.size, 65_536);
  });

  it('keeps the key and the value of a record apart', () => {
    const whole = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]);
    const cuts = Array.from({ length: 9 }, (_, at) => hashOf([[whole.slice(0, at), whole.slice(at)]]));
    assert.equal(new Set(cuts).size, 9);
  });

  it('is all zeros for no records', () => assert.equal(hashOf([]), '0'.repeat(32)));
});
