import assert from 'node:assert/strict';
import { status } from '@grpc/grpc-js';
import { memberId } from '#raft/entry.js';
import type { MemberInfo, Membership } from '#replica/membership.js';
import { noMembership } from '#replica/replica-status.js';
import { admit, envelopeOf, Refusal, type WireEnvelope } from '#transport/peer-gate.js';

function member(id: number): MemberInfo {
  return { id: memberId(id), name: `m${id}`, peer: `m${id}:7071`, storeId: `${id}`.repeat(32) };
}

/** Of member 1: 2 is there, 3 was removed, and 4 is the next id. */
const membership: Membership = {
  ...noMembership('test'),
  founding: 'f1',
  members: [member(1), member(2)],
  nextMemberId: memberId(4),
};

/** The identity that is admitted for `from`, changed by `changes`; or the status of the refusal. */
function answer(from: MemberInfo, changes: Partial<WireEnvelope> = {}): MemberInfo | string {
  try {
    return admit({ ...envelopeOf(from, membership, member(1)), ...changes }, member(1), membership);
  } catch (error) {
    if (error instanceof Refusal) return status[error.code];
    throw error;
  }
}

describe('the gate to a member', () => {
  it('is open to its peers, with the stores that they are known with', () => {
    assert.deepEqual(answer(member(2)), member(2));
    assert.equal(answer(member(2), { fromStoreId: 'a'.repeat(32) }), 'PERMISSION_DENIED');
  });

  it('is closed to who was removed, who means somebody else, and who is of another cluster or release', () => {
    assert.equal(answer(member(3)), 'PERMISSION_DENIED');
    assert.equal(answer(member(2), { toId: 2 }), 'FAILED_PRECONDITION');
    assert.equal(answer(member(2), { clusterId: 'other' }), 'FAILED_PRECONDITION');
    assert.equal(answer(member(2), { protocolVersion: 2 }), 'FAILED_PRECONDITION');
  });

  it('is closed to who is of another founding, and open to who says nothing of it, as earlier releases do', () => {
    assert.equal(answer(member(2), { founding: 'f2' }), 'FAILED_PRECONDITION');
    assert.deepEqual(answer(member(2), { founding: '' }), member(2));
  });

  it('is open to who joined while it was away, if it knows whom it calls', () => {
    assert.deepEqual(answer(member(4)), member(4));
    assert.equal(answer(member(4), { toStoreId: 'a'.repeat(32) }), 'UNAVAILABLE');
    // As of a release that does not say.
    for (const field of ['fromName', 'fromPeer', 'fromStoreId', 'toStoreId'] as const) {
      assert.equal(answer(member(4), { [field]: '' }), 'UNAVAILABLE');
    }
  });
});
