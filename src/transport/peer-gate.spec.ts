import assert from 'node:assert/strict';
import { status } from '@grpc/grpc-js';
import { memberId } from '#raft/log/entry.js';
import type { MemberInfo, Membership } from '#replica/ports/membership.js';
import { noMembership } from '#replica/replica-status.js';
import { admit, CallRefusal, envelopeOf, helloFor, type WireEnvelope } from '#transport/peer-gate.js';

function member(id: number): MemberInfo {
  return { id: memberId(id), name: `m${id}`, peer: `m${id}:7071`, storeId: `${id}`.repeat(32) };
}

/** Of member 1: 2 is there, 3 was removed, and 4 is the next id. */
const membership: Membership = {
  ...noMembership('test'),
  incarnation: 'f1',
  members: [member(1), member(2)],
  nextMemberId: memberId(4),
};

/** The identity that is admitted for `from`, changed by `changes`; or the status of the refusal. */
function answer(from: MemberInfo, changes: Partial<WireEnvelope> = {}, shown?: string): MemberInfo | string {
  try {
    return admit({ ...envelopeOf(from, membership, member(1)), ...changes }, member(1), membership, shown);
  } catch (error) {
    if (error instanceof CallRefusal) return status[error.code];
    throw error;
  }
}

describe('the gate to a member', () => {
  it('is open to its peers, with the stores that they are known with', () => {
    assert.deepEqual(answer(member(2)), member(2));
    assert.equal(answer(member(2), { fromStoreId: 'a'.repeat(32) }), 'PERMISSION_DENIED');
  });

  it('is closed to removed members, to callers of another member, and to another cluster or release', () => {
    assert.equal(answer(member(3)), 'PERMISSION_DENIED');
    assert.equal(answer(member(2), { toId: 2 }), 'FAILED_PRECONDITION');
    assert.equal(answer(member(2), { clusterId: 'other' }), 'FAILED_PRECONDITION');
    assert.equal(answer(member(2), { protocolVersion: 2 }), 'FAILED_PRECONDITION');
  });

  it('is closed to another incarnation, and open to callers that name none, as earlier releases do', () => {
    assert.equal(answer(member(2), { incarnation: 'f2' }), 'FAILED_PRECONDITION');
    assert.deepEqual(answer(member(2), { incarnation: '' }), member(2));
  });

  it('is open to a member that joined while it was away, if that knows which member it calls', () => {
    assert.deepEqual(answer(member(4)), member(4));
    assert.equal(answer(member(4), { toStoreId: 'a'.repeat(32) }), 'UNAVAILABLE');
    // As of a release that does not say.
    for (const field of ['fromName', 'fromPeer', 'fromStoreId', 'toStoreId'] as const) {
      assert.equal(answer(member(4), { [field]: '' }), 'UNAVAILABLE');
    }
  });

  it('row 24: takes a member, and one that joined meanwhile, under the name of the certificate alone', () => {
    for (const id of [2, 4]) {
      assert.deepEqual(answer(member(id), {}, `m${id}`), member(id));
      assert.equal(answer(member(id), {}, 'm3'), 'UNAUTHENTICATED');
    }
    // The refusal of another store names the one that is known: only the member itself may read that.
    assert.equal(answer(member(2), { fromStoreId: 'a'.repeat(32) }, 'm3'), 'UNAUTHENTICATED');
  });

  it('row 26: shows no store id to a master whose certificate names no member', () => {
    const claim = { storeId: member(1).storeId, session: { starts: 3, nonces: ['aa'] }, term: 7, lastIndex: 9 };
    const hello = {
      clusterId: 'test',
      name: 'm1',
      storeId: member(1).storeId,
      bootstrapped: true,
      membership,
      commandKinds: [],
      founders: [],
      seen: [],
      claim,
      contradiction: undefined,
    };
    for (const shown of [undefined, 'm1', 'm2']) assert.equal(helloFor(shown, hello), hello);
    // Before the cluster is bootstrapped, founders tell each other their stores.
    const waiting = { ...hello, bootstrapped: false, membership: undefined };
    assert.equal(helloFor('m9', waiting), waiting);
    for (const shown of ['m9', '']) {
      const told = helloFor(shown, hello);
      assert.doesNotMatch(JSON.stringify(told), /[12]{32}/);
      assert.deepEqual(
        told.membership?.members.map(({ name }) => name),
        ['m1', 'm2'],
      );
    }
  });
});
