import assert from 'node:assert/strict';
import { memberId, noTerm } from '#raft/log/entry.js';
import type { AppendResponseMessage, Message } from '#raft/message.js';
import {
  append,
  bytes,
  CoreMember,
  confState,
  entries,
  heartbeat,
  members,
  type Start,
  snapshotMessage,
} from '#raft/testing/core-member.js';

const fromTwo = { from: 2, to: 1, term: 5 };

/** Member 1, a follower in term 5 with these stable entries. */
function follower(terms: readonly number[], start: Start = {}): CoreMember {
  return new CoreMember(1, { entries: entries(terms), hardState: { term: 5, commit: 0 }, ...start });
}

function answerTo(member: CoreMember, message: Message): AppendResponseMessage {
  member.receive(message);
  const [answer, ...more] = member.take('append-response');
  assert.ok(answer !== undefined && more.length === 0);
  return answer;
}

describe('an append that follows on a matching entry', () => {
  it('is accepted at its own last index, even if the log here is longer', () => {
    const member = follower([1, 1, 1, 1]);
    const { reject, index } = answerTo(member, append(fromTwo, { after: [1, 1], terms: [1] }));
    assert.deepEqual([reject, index], [false, 2]);
    assert.equal(member.status.lastIndex, 4, 'a matching append truncates nothing');
  });

  it('replaces what conflicts, and all behind it', () => {
    const member = follower([1, 1, 1, 1]);
    assert.equal(answerTo(member, append(fromTwo, { after: [1, 1], terms: [1, 5] })).index, 3);
    assert.equal(member.status.lastIndex, 3);
    assert.equal(member.log.lastIndex(), 3);
    assert.equal(member.log.term(member.status.lastIndex), 5);
  });

  it('commits no further than its own last entry: what lies behind may differ from the leader’s', () => {
    const member = follower([1, 1, 1, 1]);
    member.receive(append(fromTwo, { after: [1, 1], terms: [1], commit: 4 }));
    assert.equal(member.status.commit, 2);
    member.receive(append(fromTwo, { after: [3, 1], commit: 4 }));
    assert.equal(member.status.commit, 3);
  });

  it('commits no further than the leader has, and never goes back', () => {
    const member = follower([1, 1, 1, 1]);
    member.receive(append(fromTwo, { after: [4, 1], commit: 2 }));
    assert.equal(member.status.commit, 2);
    member.receive(append(fromTwo, { after: [4, 1], commit: 1 }));
    assert.equal(member.status.commit, 2);
  });

  it('is answered once for each message, in order', () => {
    const member = follower([1]);
    member.raft.step(append(fromTwo, { after: [1, 1], terms: [5] }));
    member.raft.step(append(fromTwo, { after: [2, 5], terms: [5] }));
    member.raft.step(append(fromTwo, { after: [7, 5], terms: [5] }));
    member.run();
    assert.deepEqual(
      member.take('append-response').map(({ index, reject }) => [index, reject]),
      [
        [2, false],
        [3, false],
        [7, true],
      ],
    );
  });
});

describe('an append that follows on an entry that is not here', () => {
  it('is rejected with a hint at the last index here of a term at most as high', () => {
    const hint = (terms: readonly number[], after: readonly [number, number]) => {
      const { reject, index, rejectHint, logTerm } = answerTo(follower(terms), append(fromTwo, { after }));
      assert.deepEqual([reject, index], [true, after[0]]);
      return [rejectHint, logTerm];
    };
    assert.deepEqual(hint([1, 1], [9, 4]), [2, 1]);
    assert.deepEqual(hint([1, 1, 3, 3, 3], [4, 2]), [2, 1]);
    assert.deepEqual(hint([3, 3, 3], [2, 2]), [0, 0]);
    assert.deepEqual(hint([1, 2, 2], [2, 4]), [2, 2]);
  });

  it('changes nothing but the leader', () => {
    const member = follower([1, 1]);
    member.receive(append(fromTwo, { after: [9, 4], terms: [5], commit: 9 }));
    assert.deepEqual([member.status.lastIndex, member.status.commit, member.status.leader], [2, 0, 2]);
  });

  it('restarts the election timer all the same', () => {
    const member = follower([1]);
    member.ticks(9);
    member.receive(append(fromTwo, { after: [9, 4] }));
    member.ticks(9);
    assert.equal(member.status.role, 'follower');
  });
});

describe('an append that follows on an entry below the commit index', () => {
  it('is accepted at the commit index', () => {
    const member = follower([1, 1, 1], { hardState: { term: 5, commit: 3 } });
    const { reject, index } = answerTo(member, append(fromTwo, { after: [1, 1], terms: [1] }));
    assert.deepEqual([reject, index], [false, 3]);
    assert.equal(member.status.lastIndex, 3);
  });

  it('stops the member where the leader has another entry than a committed one', () => {
    const stored = { hardState: { term: 5, commit: 3 } };
    for (const message of [
      append(fromTwo, { after: [1, 4], terms: [] }),
      append(fromTwo, { after: [1, 1], terms: [1, 4] }),
      append(fromTwo, { after: [2, 1], terms: [4, 5] }),
      append(fromTwo, { after: [3, 4], terms: [4] }),
    ]) {
      const member = follower([1, 1, 1, 1], stored);
      assert.throws(() => member.raft.step(message), { name: 'InvariantError', code: 'committed-conflict' });
      assert.equal(member.status.lastIndex, 4);
    }
    // What is not committed here may be replaced.
    const member = follower([1, 1, 1, 1], stored);
    assert.equal(answerTo(member, append(fromTwo, { after: [3, 1], terms: [5] })).index, 4);
  });
});

describe('a heartbeat that commits more than the log here has', () => {
  it('stops the member: its store has lost what it acknowledged', () => {
    const member = follower([1]);
    assert.throws(() => member.raft.step(heartbeat(fromTwo, 2)), { name: 'InvariantError', code: 'amnesia' });
  });
});

describe('a second leader of one term', () => {
  it('stops the first', () => {
    const alone = new CoreMember(1, { confState: confState([1]) });
    alone.raft.campaign();
    alone.run();
    assert.equal(alone.status.role, 'leader');
    for (const message of [append({ from: 2, to: 1, term: 1 }), heartbeat({ from: 2, to: 1, term: 1 })]) {
      assert.throws(() => alone.raft.step(message), { name: 'InvariantError' });
    }
  });
});

describe('a received snapshot', () => {
  const voters = confState([1, 2, 3]);

  it('replaces log and configuration, counts as committed, and is acknowledged when stable', () => {
    const member = follower([1, 1, 1], { asyncStorageWrites: true });
    const wider = confState([1, 2, 3], { learners: members(4) });
    member.raft.step(snapshotMessage(fromTwo, [9, 4], wider));
    const { commit, firstIndex, lastIndex, confState: configured } = member.status;
    assert.deepEqual([commit, firstIndex, lastIndex], [9, 10, 9]);
    assert.deepEqual(configured, wider);
    member.work();
    assert.deepEqual(member.take('append-response'), []);
    assert.equal(member.status.applied, 0);
    member.persist();
    assert.deepEqual(
      member.take('append-response').map(({ index, reject }) => [index, reject]),
      [[9, false]],
    );
    assert.equal(member.status.applied, 9);
  });

  it('takes up entries behind it that come before it is stable', () => {
    const member = follower([1], { asyncStorageWrites: true });
    member.raft.step(snapshotMessage(fromTwo, [9, 4], voters));
    member.raft.step(append(fromTwo, { after: [9, 4], terms: [5, 5], commit: 11 }));
    assert.deepEqual([member.status.lastIndex, member.status.commit], [11, 11]);
  });

  it('is ignored if it is no newer than the commit index', () => {
    const member = follower([1, 1, 1], { hardState: { term: 5, commit: 3 } });
    const { index, reject } = answerTo(member, snapshotMessage(fromTwo, [2, 1], confState([1])));
    assert.deepEqual([index, reject], [3, false]);
    assert.deepEqual(member.status.confState, voters);
    assert.equal(member.status.lastIndex, 3);
  });

  it('is ignored if it ends before the log here begins', () => {
    const member = new CoreMember(1, { base: { index: 7, term: 4 }, hardState: { term: 5, commit: 7 } });
    assert.equal(answerTo(member, snapshotMessage(fromTwo, [3, 1], voters)).index, 7);
    assert.deepEqual([member.status.commit, member.status.firstIndex], [7, 8]);
  });

  it('is ignored if it is for a cluster without this member', () => {
    const member = follower([1, 1, 1], { hardState: { term: 5, commit: 2 } });
    const { index } = answerTo(member, snapshotMessage(fromTwo, [9, 4], confState([2, 3])));
    assert.deepEqual([index, member.status.lastIndex, member.status.commit], [2, 3, 2]);
  });

  it('is for this member as a voter of either half, or as a learner', () => {
    for (const state of [
      confState([2, 3], { votersOutgoing: members(1, 2) }),
      confState([2, 3], { learners: members(1) }),
    ]) {
      const { index } = answerTo(follower([1]), snapshotMessage(fromTwo, [9, 4], state));
      assert.equal(index, 9);
    }
  });

  it('only commits, if the log here holds all of it', () => {
    const member = follower([1, 1, 1, 4]);
    const { index } = answerTo(member, snapshotMessage(fromTwo, [3, 1], confState([1, 2])));
    assert.deepEqual([index, member.status.commit, member.status.lastIndex], [3, 3, 4]);
    assert.deepEqual(member.status.confState, voters, 'its configuration comes with the entries');
    assert.equal(member.applied.length, 3);
  });
});

describe('a proposal', () => {
  it('at a follower goes to the leader, unless forwarding is disabled or no leader is known', () => {
    const dropped = { name: 'RaftError', code: 'proposal-dropped' };
    const member = follower([1]);
    assert.throws(() => member.raft.propose([bytes('x')]), dropped);
    member.receive(heartbeat(fromTwo));
    assert.equal(member.raft.propose([bytes('x')]), undefined);
    member.run();
    assert.deepEqual(
      member.take('propose').map(({ from, to, term, entries: list }) => [from, to, term, list.length]),
      [[1, 2, 0, 1]],
    );
    const strict = follower([1], { disableProposalForwarding: true });
    strict.receive(heartbeat(fromTwo));
    assert.throws(() => strict.raft.propose([bytes('x')]), dropped);
  });

  it('forwarded by another member keeps its sender', () => {
    const member = follower([1]);
    member.receive(heartbeat(fromTwo));
    member.receive({ kind: 'propose', from: memberId(3), to: memberId(1), term: noTerm, entries: entries([0]) });
    assert.deepEqual(
      member.take('propose').map(({ from }) => from),
      [3],
    );
  });

  it('at a candidate is dropped', () => {
    const member = follower([1]);
    member.raft.campaign();
    assert.throws(() => member.raft.propose([bytes('x')]), { name: 'RaftError', code: 'proposal-dropped' });
  });
});
