import assert from 'node:assert/strict';
import { logIndex, memberId, noMember, term } from '#raft/log/entry.js';
import type { RaftRole } from '#raft/ready.js';
import { LeadershipState } from '#replica/fitness/leadership-state.js';

const self = memberId(2);

function ready(inTerm: number | undefined, role?: RaftRole, leader = 0) {
  const hardState = inTerm === undefined ? undefined : { term: term(inTerm), vote: noMember, commit: logIndex(0) };
  return { hardState, softState: role === undefined ? undefined : { role, leader: memberId(leader) } };
}

describe('office', () => {
  it('is ready once an entry of its own term is applied, not before', () => {
    const office = new LeadershipState(self, term(4));
    assert.equal(office.applied(term(4)), false);
    assert.deepEqual(office.update(ready(5, 'leader', 2)), { changed: true, lost: undefined });
    assert.deepEqual([office.applied(term(4)), office.ready], [false, false]);
    assert.deepEqual([office.applied(term(5)), office.ready], [true, true]);
    assert.equal(office.applied(term(5)), false, 'it is news once');
  });

  it('is lost with the role, and with the term although the role seems the same', () => {
    const office = new LeadershipState(self, undefined);
    office.update(ready(5, 'leader', 2));
    office.applied(term(5));
    assert.deepEqual(office.update(ready(7)), { changed: true, lost: 5 });
    assert.equal(office.ready, false);
    office.applied(term(7));
    assert.deepEqual(office.update(ready(undefined, 'follower', 1)), { changed: true, lost: 7 });
    assert.deepEqual(office.notice(), { leader: 1, term: 7, isSelf: false, ready: false, paused: false });
  });

  it('does not change with a commit index', () => {
    const office = new LeadershipState(self, term(3));
    office.update(ready(3, 'follower', 1));
    assert.deepEqual(office.update(ready(3)), { changed: false, lost: undefined });
  });
});
