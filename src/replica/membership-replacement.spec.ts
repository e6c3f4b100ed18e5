import assert from 'node:assert/strict';
import { type LogIndex, logIndex, memberId, noMember, term } from '#raft/log/entry.js';
import type { RaftStatus } from '#raft/raft-status.js';
import { membershipRefusal, toConfChange } from '#replica/members/membership-change.js';
import type { Membership } from '#replica/ports/membership.js';

const [one, two, three, four] = [1, 2, 3, 4].map(memberId) as [
  ReturnType<typeof memberId>,
  ReturnType<typeof memberId>,
  ReturnType<typeof memberId>,
  ReturnType<typeof memberId>,
]; // Four ids go in, so four come out.

const membership: Membership = {
  clusterId: 'test',
  incarnation: 'f1',
  confState: { voters: [one, two, three], votersOutgoing: [], learners: [four], learnersNext: [], autoLeave: false },
  members: [one, two, three, four].map((id) => ({ id, name: `m${id}`, peer: `m${id}:1`, storeId: `${id}`.repeat(32) })),
  nextMemberId: memberId(5),
};

/** Member 1 leads; member 4 has `match`. */
function status(match: number): RaftStatus {
  const peer = { next: logIndex(1), state: 'replicate', paused: false, active: true, inflight: 0 } as const;
  const more = { learner: true, pendingSnapshot: logIndex(0), inflightFull: false };
  const at = (index: LogIndex) => ({ ...peer, ...more, match: index });
  return {
    id: one,
    term: term(3),
    vote: one,
    leader: one,
    role: 'leader',
    commit: logIndex(5000),
    applied: logIndex(5000),
    firstIndex: logIndex(40),
    lastIndex: logIndex(5000),
    confState: membership.confState,
    leadTransferee: noMember,
    pendingConfIndex: logIndex(0),
    uncommittedBytes: 0,
    pendingReads: 0,
    progress: new Map([[four, at(logIndex(match))]]),
  };
}

describe('replacing a member', () => {
  it('replaces a voter by a learner in one joint step', () => {
    const change = { kind: 'replace', member: two, by: four } as const;
    assert.equal(membershipRefusal(change, membership, status(4500)), undefined);
    assert.deepEqual(toConfChange(change, membership).operations, [
      { kind: 'add-voter', member: four },
      { kind: 'add-learner', member: two },
    ]);
  });

  it('replaces neither the leader nor a member that does not vote, nor by one that is far behind', () => {
    const refusal = (member: typeof one, match: number) =>
      membershipRefusal({ kind: 'replace', member, by: four }, membership, status(match)) ?? '';
    assert.match(refusal(one, 4500), /transfer leadership first/);
    assert.match(refusal(four, 4500), /does not vote/);
    assert.match(refusal(two, 0), /5000 entries behind/);
  });
});
