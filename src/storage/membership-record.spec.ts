import assert from 'node:assert/strict';
import { noFounding } from '#replica/cluster-founding.js';
import { decodeMembership, encodeMembership } from '#storage/membership-record.js';
import { membership } from '#storage/testing/sample.js';

describe('the record of a membership', () => {
  it('keeps all of it, the founding too', () => {
    const { stored, sum } = encodeMembership(membership());
    assert.deepEqual(decodeMembership(stored), { membership: membership(), sum });
  });

  it('of a cluster without a founding is as it was before there were any', () => {
    const old = { ...membership(), founding: noFounding };
    const { stored, sum } = encodeMembership(old);
    assert.ok(!Buffer.from(stored).toString().includes('founding'));
    assert.deepEqual(decodeMembership(stored), { membership: old, sum });
  });

  it('is refused when it is damaged', () => {
    const { stored } = encodeMembership(membership());
    stored[20] = (stored[20] ?? 0) ^ 1;
    assert.throws(() => decodeMembership(stored), /wrong sum/);
    assert.throws(() => decodeMembership(stored.subarray(0, 3)), /3 bytes/);
  });
});
