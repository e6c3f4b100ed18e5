import assert from 'node:assert/strict';
import { memberId } from '#raft/log/entry.js';
import { UnknownPeers } from '#replica/members/unknown-peers.js';
import type { MemberInfo, Membership } from '#replica/ports/membership.js';
import { noMembership } from '#replica/replica-status.js';

function member(id: number): MemberInfo {
  return { id: memberId(id), name: `m${id}`, peer: `m${id}:7071`, storeId: `${id}`.repeat(32) };
}

/** Members 1 and 3 are there; 2 was removed; `next` is the next id. */
function membership(next: number): Membership {
  return { ...noMembership('test'), members: [member(1), member(3)], nextMemberId: memberId(next) };
}

describe('newcomers', () => {
  it('are those whose id was not given yet, as far as is known, and each is news once', () => {
    const newcomers = new UnknownPeers();
    for (const id of [1, 2, 3]) {
      assert.ok(!newcomers.heard(member(id), membership(4)), `${id} is known, or known to be gone`);
    }
    assert.ok(newcomers.heard(member(4), membership(4)));
    assert.ok(!newcomers.heard(member(4), membership(4)));
    assert.equal(newcomers.of(memberId(4))?.peer, 'm4:7071');
  });

  it('are none any more once the membership knows of them', () => {
    const newcomers = new UnknownPeers();
    for (const id of [6, 4, 5]) newcomers.heard(member(id), membership(4));
    assert.deepEqual(
      newcomers.members.map(({ id }) => id),
      [4, 5, 6],
    );
    newcomers.settle(membership(6));
    assert.deepEqual(
      newcomers.members.map(({ id }) => id),
      [6],
    );
  });

  it('are the newest when there are too many', () => {
    const newcomers = new UnknownPeers();
    for (let id = 10; id < 26; id += 1) assert.ok(newcomers.heard(member(id), membership(4)));
    assert.ok(newcomers.heard(member(26), membership(4)));
    assert.ok(!newcomers.heard(member(9), membership(4)), 'older than all of them');
    assert.deepEqual(
      [newcomers.members.length, newcomers.of(memberId(10)), newcomers.of(memberId(9))],
      [16, undefined, undefined],
    );
  });
});
