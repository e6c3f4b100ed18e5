import assert from 'node:assert/strict';
import { memberId } from '#raft/log/entry.js';
import { changeMembers, membershipRefusal, toConfChange } from '#replica/members/membership-change.js';
import { movesInForce, withMoves } from '#replica/members/moved-members.js';
import { noMembership } from '#replica/replica-status.js';

const [one, two] = [memberId(1), memberId(2)];
const members = [
  { id: one, name: 'a', peer: 'a:7071', storeId: 's1' },
  { id: two, name: 'b', peer: 'b:7071', storeId: 's2' },
];
const empty = noMembership('test');
const membership = {
  ...empty,
  confState: { ...empty.confState, voters: [one, two] },
  members,
  nextMemberId: memberId(3),
};

describe('members that are called elsewhere than recorded', () => {
  const moved = [{ storeId: 's2', from: 'b:7071', to: 'b:8071' }];

  it('are so by store and recorded address, and change nothing else', () => {
    const called = withMoves(membership, moved);
    assert.deepEqual(called, { ...membership, members: [members[0], { ...members[1], peer: 'b:8071' }] });
    assert.deepEqual(movesInForce(membership, moved), [{ member: members[1], to: 'b:8071' }]);
  });

  it('are so no more when another address is recorded, or another store has the name', () => {
    for (const change of [{ peer: 'b:9071' }, { peer: 'b:8071' }, { storeId: 's9' }]) {
      const later = {
        ...membership,
        members: members.map((each) => (each.id === two ? { ...each, ...change } : each)),
      };
      assert.equal(withMoves(later, moved), later, JSON.stringify(change));
      assert.deepEqual(movesInForce(later, moved), []);
    }
    assert.equal(withMoves(membership, []), membership);
  });
});

describe('a change of the address of a member', () => {
  const change = { kind: 'move', member: two, peer: 'b:8071' } as const;

  it('keeps id, name, store and vote', () => {
    const conf = toConfChange(change, membership);
    assert.deepEqual(conf.operations, [{ kind: 'update', member: two }]);
    const after = changeMembers(membership, conf, membership.confState);
    assert.deepEqual(after, { ...membership, members: [members[0], { ...members[1], peer: 'b:8071' }] });
  });

  it('is refused for an address that a member has, and for a member that is not there', () => {
    const status = { id: one, commit: 0, progress: new Map() };
    const refusal = (peer: string, member = two): string | undefined =>
      membershipRefusal({ kind: 'move', member, peer }, membership, status as never);
    assert.equal(refusal('b:8071'), undefined);
    assert.match(refusal('a:7071') ?? '', /a:7071 is the address of member a: each needs its own/);
    assert.match(refusal('b:7071') ?? '', /member b is recorded at b:7071 already/);
    assert.match(refusal('c:7071', memberId(9)) ?? '', /there is no member 9/);
  });
});
