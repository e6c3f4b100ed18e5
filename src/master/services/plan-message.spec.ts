import assert from 'node:assert/strict';
import fc from 'fast-check';
import { timestamp } from '#master/services/plan-message.js';

describe('a timestamp', () => {
  it('has less than a second of nanoseconds, whatever the fraction of the last millisecond', () => {
    assert.deepEqual(timestamp(1_999.6), { seconds: 1, nanos: 999_000_000 });
    fc.assert(
      fc.property(fc.double({ min: 0, max: 2 ** 42, noNaN: true }), (milliseconds) => {
        const { seconds, nanos } = timestamp(milliseconds);
        assert.ok(nanos >= 0 && nanos < 1_000_000_000 && Number.isInteger(nanos));
        assert.equal(seconds * 1_000 + nanos / 1_000_000, Math.floor(milliseconds));
      }),
    );
  });
});
