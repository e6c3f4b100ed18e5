import assert from 'node:assert/strict';
import { memberId, noTerm } from '#raft/log/entry.js';
import type { Message } from '#raft/message.js';
import {
  accepted,
  bytes,
  CoreCluster,
  CoreMember,
  confChange,
  confState,
  heartbeat,
  heartbeatResponse,
  members,
  type Start,
  voteResponse,
} from '#raft/testing/core-member.js';

/** Member 1 leads three or more, and has committed entry 1 of its term. */
function leader(start: Start = {}): CoreMember {
  const member = elected(start);
  for (const from of [2, 3]) {
    member.receive(accepted({ from, to: 1, term: 1 }, 1));
  }
  assert.equal(member.status.commit, 1);
  member.take();
  return member;
}

function elected(start: Start = {}): CoreMember {
  const member = new CoreMember(1, start);
  member.raft.campaign();
  member.run();
  for (const from of [2, 3]) {
    member.receive(voteResponse('vote-response', { from, to: 1, term: 1 }));
  }
  assert.equal(member.status.role, 'leader');
  member.take();
  return member;
}

function contexts(member: CoreMember): readonly number[] {
  return [...new Set(member.take('heartbeat').map(({ context }) => context))];
}

function echo(from: number, context: number): Message {
  return heartbeatResponse({ from, to: 1, term: 1 }, context);
}

function forwarded(from: number, request: number): Message {
  return { kind: 'read-index', from: memberId(from), to: memberId(1), term: noTerm, request };
}

describe('a safe read', () => {
  it('is answered with the commit index of when it was asked, after a heartbeat round', () => {
    const member = leader();
    member.raft.readIndex(42);
    member.run();
    assert.deepEqual(member.readStates, []);
    const [context = 0] = contexts(member);
    member.raft.propose([bytes('later')]);
    member.run();
    member.receive(accepted({ from: 2, to: 1, term: 1 }, 2));
    assert.deepEqual(member.readStates, [], 'an append’s answer was not asked for by the read');
    member.receive(echo(3, context));
    assert.deepEqual(member.readStates, [{ index: 1, request: 42 }]);
  });

  it('is not confirmed by the echo of an earlier round', () => {
    const member = leader();
    member.raft.readIndex(1);
    member.run();
    const [first = 0] = contexts(member);
    member.raft.readIndex(2);
    member.run();
    member.receive(echo(2, first));
    assert.deepEqual(
      member.readStates.map(({ request }) => request),
      [1],
    );
    const [second = 0] = contexts(member);
    member.receive(echo(3, first));
    member.receive(echo(3, 0));
    assert.equal(member.readStates.length, 1);
    member.receive(echo(3, second));
    assert.equal(member.readStates.length, 2);
  });

  it('is confirmed by any later round, in the order asked', () => {
    const member = leader();
    for (const request of [7, 8, 9]) {
      member.raft.readIndex(request);
    }
    member.run();
    member.take();
    member.ticks(1);
    member.run();
    const [context = 0] = contexts(member);
    assert.ok(context > 0, 'a heartbeat of the clock confirms reads too');
    member.receive(echo(2, context));
    assert.deepEqual(
      member.readStates.map(({ request }) => request),
      [7, 8, 9],
    );
  });

  it('needs a quorum, of voters, of both halves', () => {
    const state = confState([1, 2, 3], { votersOutgoing: members(1, 4, 5), learners: members(6, 7) });
    const member = new CoreMember(1, { confState: state });
    member.raft.campaign();
    member.run();
    for (const from of [2, 4]) {
      member.receive(voteResponse('vote-response', { from, to: 1, term: 1 }));
    }
    for (const from of [2, 4]) {
      member.receive(accepted({ from, to: 1, term: 1 }, 1));
    }
    member.take();
    member.raft.readIndex(1);
    member.run();
    const [context = 0] = contexts(member);
    for (const from of [6, 7, 2, 3]) {
      member.receive(echo(from, context));
      assert.deepEqual(member.readStates, []);
    }
    member.receive(echo(5, context));
    assert.equal(member.readStates.length, 1);
  });

  it('is not confirmed by an echo of what was never asked', () => {
    const member = leader();
    member.receive(echo(2, 99));
    member.raft.readIndex(1);
    member.run();
    assert.deepEqual(member.readStates, []);
  });

  it('waits until an entry of the leader’s own term is committed, then for its round', () => {
    const member = elected();
    member.raft.readIndex(5);
    member.run();
    assert.deepEqual(member.take('heartbeat'), []);
    assert.equal(member.status.pendingReads, 1);
    member.receive(accepted({ from: 2, to: 1, term: 1 }, 1));
    assert.deepEqual(member.readStates, []);
    const [context = 0] = contexts(member);
    member.receive(echo(2, context));
    assert.deepEqual(member.readStates, [{ index: 1, request: 5 }]);
  });

  it('is lost with the leadership', () => {
    const member = leader();
    member.raft.readIndex(1);
    member.run();
    const [context = 0] = contexts(member);
    member.receive(heartbeat({ from: 2, to: 1, term: 2 }));
    assert.equal(member.status.pendingReads, 0);
    member.receive(echo(3, context));
    assert.deepEqual(member.readStates, []);
  });

  it('is lost with the leadership while it is postponed, too', () => {
    const member = elected();
    member.raft.readIndex(1);
    member.receive(heartbeat({ from: 2, to: 1, term: 2 }));
    assert.equal(member.status.pendingReads, 0);
  });

  it('of another leadership is not confirmed by an echo left over from before', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    const member = cluster.elect(1);
    member.raft.readIndex(1);
    member.run();
    const [context = 0] = contexts(member);
    cluster.elect(2);
    cluster.elect(1);
    cluster.lose = ({ kind }) => kind === 'heartbeat';
    member.raft.readIndex(2);
    cluster.settle();
    member.receive(echo(2, context));
    assert.deepEqual(member.readStates, []);
  });

  it('is confirmed when a change of voters leaves the leader alone', () => {
    const member = leader({ confState: confState([1, 2, 3]) });
    member.raft.proposeConfChange(
      confChange(
        [
          ['remove', 2],
          ['remove', 3],
        ],
        'explicit',
      ),
    );
    member.run();
    member.receive(accepted({ from: 2, to: 1, term: 1 }, 2));
    member.raft.proposeConfChange(confChange([]));
    member.run();
    member.raft.readIndex(1);
    member.run();
    assert.deepEqual(member.readStates, []);
    member.receive(accepted({ from: 2, to: 1, term: 1 }, 3));
    assert.equal(member.readStates.length, 1);
  });
});

describe('a read on the only voter', () => {
  it('is answered at once, once an entry of its term is committed', () => {
    const member = new CoreMember(1, { confState: confState([1]), asyncStorageWrites: true });
    member.raft.campaign();
    member.work();
    member.persist();
    member.work();
    member.raft.readIndex(1);
    assert.equal(member.status.role, 'leader');
    assert.deepEqual(member.readStates, [], 'it does not know yet what it committed before a restart');
    member.run();
    assert.deepEqual(member.readStates, [{ index: 1, request: 1 }]);
    member.raft.readIndex(2);
    member.run();
    assert.equal(member.readStates.length, 2);
  });
});

describe('a read by lease', () => {
  const lease = { checkQuorum: true, readOnly: 'lease-based' } as const;

  it('is answered at once with the commit index', () => {
    const member = leader(lease);
    member.raft.readIndex(3);
    member.run();
    assert.deepEqual(member.readStates, [{ index: 1, request: 3 }]);
    assert.deepEqual(member.take('heartbeat'), []);
  });

  it('waits for an entry of the own term all the same', () => {
    const member = elected(lease);
    member.raft.readIndex(3);
    member.run();
    assert.deepEqual(member.readStates, []);
    member.receive(accepted({ from: 2, to: 1, term: 1 }, 1));
    assert.deepEqual(member.readStates, [{ index: 1, request: 3 }]);
  });
});

describe('a read on a follower', () => {
  it('goes to the leader and comes back', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    cluster.elect(1);
    const follower = cluster.member(2);
    follower.raft.readIndex(11);
    cluster.settle();
    assert.deepEqual(follower.readStates, [{ index: 1, request: 11 }]);
    assert.deepEqual(cluster.member(1).readStates, []);
  });

  it('is answered to the one that asked', () => {
    const member = leader();
    member.receive(forwarded(3, 8));
    const [context = 0] = contexts(member);
    member.receive(echo(2, context));
    assert.deepEqual(
      member.take('read-index-response').map(({ to, request, index }) => [to, request, index]),
      [[3, 8, 1]],
    );
  });

  it('without a leader is refused; one that was passed on is not passed on further', () => {
    const member = new CoreMember(1);
    assert.throws(() => member.raft.readIndex(1), { name: 'RaftError', code: 'no-leader' });
    member.receive(forwarded(2, 1));
    assert.deepEqual(member.take(), []);
  });
});

describe('reads that wait', () => {
  it('are limited in number, postponed ones included', () => {
    const full = { name: 'RaftError', code: 'too-many-reads' };
    const member = elected({ maxPendingReads: 2 });
    member.raft.readIndex(1);
    member.raft.readIndex(2);
    assert.throws(() => member.raft.readIndex(3), full);
    member.receive(accepted({ from: 2, to: 1, term: 1 }, 1));
    assert.throws(() => member.raft.readIndex(3), full);
    const context = Math.max(...contexts(member));
    member.receive(echo(2, context));
    member.raft.readIndex(3);
  });
});
