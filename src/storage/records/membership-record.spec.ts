import assert from 'node:assert/strict';
import { noIncarnation } from '#replica/bootstrap/incarnation.js';
import { decodeMembershipRecord, encodeMembershipRecord } from '#storage/records/membership-record.js';
import { membership } from '#storage/testing/sample.js';

describe('the record of a membership', () => {
  it('keeps all of it, the incarnation too', () => {
    const { stored, sum } = encodeMembershipRecord(membership());
    assert.deepEqual(decodeMembershipRecord(stored), { membership: membership(), sum });
  });

  it('of a cluster without an incarnation is as it was before there were any', () => {
    const old = { ...membership(), incarnation: noIncarnation };
    const { stored, sum } = encodeMembershipRecord(old);
    assert.ok(!Buffer.from(stored).toString().includes('incarnation'));
    assert.deepEqual(decodeMembershipRecord(stored), { membership: old, sum });
  });

  it('is refused when it is damaged', () => {
    const { stored } = encodeMembershipRecord(membership());
    stored[20] = (stored[20] ?? 0) ^ 1;
    assert.throws(() => decodeMembershipRecord(stored), /wrong sum/);
    assert.throws(() => decodeMembershipRecord(stored.subarray(0, 3)), /3 bytes/);
  });
});
