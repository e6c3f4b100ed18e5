import assert from 'node:assert/strict';
import { logIndex, memberId } from '#raft/log/entry.js';
import { entryBytes } from '#raft/log/entry-size.js';
import {
  accepted,
  bytes,
  CoreCluster,
  CoreMember,
  confState,
  entries,
  heartbeat,
  heartbeatResponse,
  members,
  rejected,
  type Start,
  voteResponse,
} from '#raft/testing/core-member.js';
import type { RaftPeerStatus } from '#raft/tracker/progress.js';

/** Member 1, leader with its own disk done; what it sent so far is taken. Its term is one above the hard state's. */
function leader(start: Start = {}): CoreMember {
  const member = new CoreMember(1, start);
  member.raft.campaign();
  member.run();
  const { voters, votersOutgoing } = member.status.confState;
  for (const from of [...voters, ...votersOutgoing].filter((voter) => voter !== 1)) {
    if (member.status.role === 'candidate') {
      member.receive(voteResponse('vote-response', { from, to: 1, term: member.status.term }));
    }
  }
  assert.equal(member.status.role, 'leader');
  member.take();
  return member;
}

function route(member: CoreMember, from: number) {
  return { from, to: 1, term: member.status.term };
}

function peer(member: CoreMember, id: number): RaftPeerStatus {
  return member.status.progress.get(memberId(id)) ?? assert.fail(`no progress of ${id}`);
}

describe('a commit index', () => {
  it('moves when a majority has the entry on stable storage', () => {
    const member = leader({ confState: confState([1, 2, 3, 4, 5]) });
    member.receive(accepted(route(member, 2), 1));
    assert.equal(member.status.commit, 0);
    member.receive(accepted(route(member, 2), 1));
    assert.equal(member.status.commit, 0, 'the same member twice is no majority');
    member.receive(accepted(route(member, 3), 1));
    assert.equal(member.status.commit, 1);
  });

  it('never moves by counting to an entry of an earlier term; it comes with one of the own term', () => {
    const member = leader({ entries: entries([1, 1, 2]), hardState: { term: 4, commit: 0 } });
    member.receive(rejected(route(member, 2), 3, [0, 0]));
    member.receive(accepted(route(member, 2), 3));
    member.receive(accepted(route(member, 3), 3));
    assert.equal(member.status.commit, 0, 'all have entry 3, but it is of term 2');
    member.receive(accepted(route(member, 2), 4));
    assert.equal(member.status.commit, 4);
  });

  it('does not count learners', () => {
    const member = leader({ confState: confState([1, 2, 3], { learners: members(4, 5) }) });
    member.receive(accepted(route(member, 4), 1));
    member.receive(accepted(route(member, 5), 1));
    assert.equal(member.status.commit, 0);
  });

  it('needs both halves of a joint configuration', () => {
    const member = leader({ confState: confState([1, 2, 3], { votersOutgoing: members(1, 4, 5) }) });
    member.receive(accepted(route(member, 2), 1));
    member.receive(accepted(route(member, 3), 1));
    assert.equal(member.status.commit, 0);
    member.receive(accepted(route(member, 5), 1));
    assert.equal(member.status.commit, 1);
  });

  it('counts the leader itself only once its own disk has the entry', () => {
    const member = new CoreMember(1, { asyncStorageWrites: true, confState: confState([1, 2]) });
    member.raft.campaign();
    member.run();
    member.raft.step(voteResponse('vote-response', { from: 2, to: 1, term: 1 }));
    member.work();
    member.raft.step(accepted(route(member, 2), 1));
    assert.equal(member.status.commit, 0);
    member.persist();
    assert.equal(member.status.commit, 1);
  });

  it('can move without the leader’s own disk, by a majority of others', () => {
    const member = new CoreMember(1, { asyncStorageWrites: true });
    member.raft.campaign();
    member.run();
    member.raft.step(voteResponse('vote-response', { from: 2, to: 1, term: 1 }));
    member.work();
    member.raft.step(accepted(route(member, 2), 1));
    member.raft.step(accepted(route(member, 3), 1));
    assert.equal(member.status.commit, 1);
    member.work();
    assert.equal(member.applyQueue.length, 0, 'what is not stable here is not applied here');
    member.run();
    assert.equal(member.applied.length, 1);
  });

  it('goes to the peers at once when it moves', () => {
    const member = leader();
    member.receive(accepted(route(member, 2), 1));
    assert.deepEqual(
      member.take('append').map(({ to, commit, entries: sent }) => [to, commit, sent.length]),
      [[2, 1, 0]],
      'member 3 is being probed and gets nothing until it answers',
    );
  });

  it('goes to a peer that answers later, once, if it can use it', () => {
    const member = leader();
    member.receive(accepted(route(member, 2), 1));
    member.take();
    member.receive(accepted(route(member, 3), 1));
    assert.deepEqual(
      member.take('append').map(({ to, commit }) => [to, commit]),
      [[3, 1]],
    );
    member.receive(accepted(route(member, 3), 1));
    assert.deepEqual(member.take('append'), []);
  });
});

describe('a heartbeat', () => {
  it('never carries a commit index that its receiver may not have', () => {
    const member = leader();
    member.raft.propose([bytes('a')]);
    member.run();
    member.receive(accepted(route(member, 2), 2));
    member.receive(heartbeatResponse(route(member, 3)));
    member.take();
    member.ticks(1);
    member.run();
    assert.deepEqual(
      member.take('heartbeat').map(({ to, commit }) => [to, commit]),
      [
        [2, 2],
        [3, 0],
      ],
    );
  });

  it('makes the peer’s commit index known again by the next append', () => {
    const member = leader();
    member.receive(accepted(route(member, 2), 1));
    member.raft.propose([bytes('a')]);
    member.run();
    member.receive(accepted(route(member, 3), 1));
    member.receive(accepted(route(member, 3), 2));
    // Member 2 has not answered for entry 2: the heartbeat tells it less than the append did, which may be lost.
    member.take();
    member.ticks(1);
    member.run();
    member.take();
    member.receive(accepted(route(member, 2), 2));
    assert.deepEqual(
      member.take('append').map(({ to, commit }) => [to, commit]),
      [[2, 2]],
    );
  });

  it('that is answered by a peer that lags gets it the next append, and unpauses it', () => {
    const member = leader();
    assert.ok(peer(member, 2).paused);
    member.receive(heartbeatResponse(route(member, 2)));
    assert.equal(member.take('append').length, 1);
  });

  it('is answered with its context', () => {
    const member = new CoreMember(1);
    member.receive(heartbeat({ from: 2, to: 1, term: 1 }, 0, 77));
    assert.deepEqual(
      member.take('heartbeat-response').map(({ context }) => context),
      [77],
    );
  });
});

describe('a peer that is probed', () => {
  it('gets one append with entries at a time', () => {
    const member = leader();
    member.raft.propose([bytes('a')]);
    member.run();
    assert.deepEqual(member.take('append'), []);
    member.receive(accepted(route(member, 2), 1));
    assert.equal(peer(member, 2).state, 'replicate');
    const [sent] = member.take('append').filter(({ entries: list }) => list.length > 0);
    assert.equal(sent?.entries[0]?.index, 2);
  });

  it('is not probed again by the late rejection of an earlier probe', () => {
    const member = leader({ entries: entries([1, 1, 1]), hardState: { term: 1, commit: 0 } });
    member.receive(rejected(route(member, 2), 3, [2, 1]));
    assert.deepEqual(
      member.take('append').map(({ index }) => index),
      [2],
    );
    member.receive(rejected(route(member, 2), 3, [0, 0]));
    assert.deepEqual(member.take('append'), []);
    assert.equal(peer(member, 2).next, 3);
  });

  it('is found in one step per term, whatever the length of the tail', () => {
    const member = leader({ entries: entries([1, 1, 3, 3, 3, 3, 5, 5]), hardState: { term: 6, commit: 0 } });
    // The peer has terms 1 1 3 3 4 4 4 4 …: its hint is its last index of a term of at most 5.
    member.receive(rejected(route(member, 2), 8, [8, 4]));
    const [probe] = member.take('append');
    assert.equal(probe?.index, 6, 'above, the leader has term 5, which the peer does not');
    member.receive(rejected(route(member, 2), 6, [4, 3]));
    const [second] = member.take('append');
    assert.equal(second?.index, 4);
  });
});

describe('a peer that is replicated to', () => {
  function replicating(start: Start = {}): CoreMember {
    const member = leader(start);
    member.receive(accepted(route(member, 2), 1));
    member.receive(accepted(route(member, 3), 1));
    member.take();
    return member;
  }

  it('gets one append for one proposal, however many entries it has', () => {
    const member = replicating();
    const position = member.raft.propose([bytes('a'), bytes('b'), bytes('c')]);
    assert.deepEqual(position, { term: 1, firstIndex: 2 });
    member.run();
    assert.deepEqual(
      member.take('append').map(({ to, entries: list }) => [to, list.length]),
      [
        [2, 3],
        [3, 3],
      ],
    );
  });

  it('gets appends without waiting for answers, up to the window', () => {
    const member = replicating({ maxInflightAppends: 2 });
    for (const data of ['a', 'b', 'c']) {
      member.raft.propose([bytes(data)]);
    }
    member.run();
    const sent = member.take('append').filter(({ to }) => to === 2);
    assert.deepEqual(
      sent.map(({ index }) => index),
      [1, 2],
    );
    assert.deepEqual([peer(member, 2).inflight, peer(member, 2).inflightFull], [2, true]);
    member.receive(accepted(route(member, 2), 2));
    assert.ok(member.take('append').some(({ to, index, entries: [entry] }) => to === 2 && index === 3 && entry));
    assert.equal(peer(member, 2).inflight, 2);
  });

  it('with a full window gets an empty append for a sign of life, and pauses again', () => {
    const member = replicating({ maxInflightAppends: 1 });
    member.raft.propose([bytes('a')]);
    member.raft.propose([bytes('b')]);
    member.run();
    member.take();
    member.receive(heartbeatResponse(route(member, 2)));
    assert.deepEqual(
      member.take('append').map(({ index, entries: list }) => [index, list.length]),
      [[2, 0]],
    );
    assert.equal(peer(member, 2).paused, true);
  });

  it('does not get again what it has', () => {
    const member = replicating();
    member.raft.propose([bytes('a')]);
    member.run();
    member.receive(accepted(route(member, 2), 2));
    assert.ok(member.take('append').some(({ to, commit }) => to === 3 && commit === 2));
    member.receive(accepted(route(member, 3), 2));
    member.receive(heartbeatResponse(route(member, 3)));
    assert.deepEqual(member.take('append'), []);
  });

  it('gets what fits the byte limit of a message, and the window of bytes', () => {
    const size = entryBytes({ ...(entries([1])[0] ?? assert.fail()), data: bytes('xxxx') });
    const member = replicating({ maxAppendBytes: 2 * size, maxInflightBytes: 2 * size });
    member.raft.propose(['a', 'b', 'c', 'd', 'e'].map((data) => bytes(data.repeat(4))));
    member.run();
    const counts = member.take('append').filter(({ to }) => to === 2);
    assert.deepEqual(
      counts.map(({ entries: list }) => list.length),
      [2],
    );
    member.receive(accepted(route(member, 2), 3));
    assert.equal(member.take('append').filter(({ to }) => to === 2).length, 2, 'several may follow one answer');
  });

  it('gets no more data than its window of bytes holds', () => {
    const member = replicating({ maxAppendBytes: 10, maxInflightBytes: 10 });
    for (const data of ['123456', '123456', '123456']) {
      member.raft.propose([bytes(data)]);
    }
    member.run();
    assert.equal(member.take('append').filter(({ to }) => to === 2).length, 2);
    assert.equal(peer(member, 2).inflightFull, true);
  });

  it('is probed again when it is reported unreachable', () => {
    const member = replicating();
    member.raft.propose([bytes('a')]);
    member.raft.reportUnreachable(memberId(2));
    assert.deepEqual([peer(member, 2).state, peer(member, 2).next], ['probe', 2]);
    member.receive(heartbeatResponse(route(member, 2)));
    assert.ok(member.take('append').some(({ to, index }) => to === 2 && index === 1));
  });

  it('that is probed although it has everything is replicated to again after its next answer', () => {
    const member = replicating();
    member.raft.reportUnreachable(memberId(2));
    member.receive(heartbeatResponse(route(member, 2)));
    assert.equal(member.take('append').filter(({ to }) => to === 2).length, 1);
    member.receive(accepted(route(member, 2), 1));
    assert.equal(peer(member, 2).state, 'replicate');
  });

  it('can not acknowledge what was never appended', () => {
    const member = replicating();
    assert.throws(() => member.raft.step(accepted(route(member, 2), 9)), {
      name: 'RaftError',
      code: 'malformed-message',
    });
    assert.equal(peer(member, 2).match, 1);
  });
});

describe('a snapshot', () => {
  /** The log begins after 5; member 2 turns out to have nothing. */
  function needy(): CoreMember {
    const start = { base: { index: 5, term: 1 }, hardState: { term: 1, commit: 5 } };
    const member = leader(start);
    return member;
  }

  it('goes to a peer that needs compacted entries, if it was heard of lately', () => {
    const member = needy();
    member.receive(rejected(route(member, 2), 5, [0, 0]));
    assert.deepEqual(
      member.take('snapshot').map(({ to, snapshot }) => [to, snapshot.index]),
      [[2, 5]],
    );
    const { state, pendingSnapshot, next } = peer(member, 2);
    assert.deepEqual([state, pendingSnapshot, next], ['snapshot', 5, 6]);
  });

  it('does not go to a peer that was not, until it gives a sign of life', () => {
    const member = leader({ checkQuorum: true });
    member.receive(accepted(route(member, 2), 1));
    member.receive(accepted(route(member, 3), 1));
    member.ticks(10);
    member.raft.propose([bytes('a')]);
    member.run();
    member.receive(accepted(route(member, 3), 2));
    member.log.compact(logIndex(2));
    member.raft.reportUnreachable(memberId(2));
    member.raft.propose([bytes('b')]);
    member.run();
    assert.equal(peer(member, 2).active, false);
    assert.deepEqual(member.take('snapshot'), []);
    member.receive(heartbeatResponse(route(member, 2)));
    assert.equal(member.take('snapshot').length, 1);
  });

  it('is followed by nothing but heartbeats until it is acknowledged', () => {
    const member = needy();
    member.receive(rejected(route(member, 2), 5, [0, 0]));
    member.take();
    member.raft.propose([bytes('a')]);
    member.ticks(1);
    member.run();
    assert.deepEqual(
      member
        .take()
        .filter(({ to }) => to === 2)
        .map(({ kind }) => kind),
      ['heartbeat'],
    );
    member.receive(accepted(route(member, 2), 5));
    assert.equal(peer(member, 2).state, 'replicate');
    const [sent] = member.take('append').filter(({ to }) => to === 2);
    assert.deepEqual([sent?.index, sent?.entries.length], [5, 2]);
  });

  it('is over as soon as the peer has caught up with the log, from wherever', () => {
    const member = needy();
    member.raft.propose([bytes('a'), bytes('b')]);
    member.run();
    member.receive(accepted(route(member, 3), 8));
    member.receive(rejected(route(member, 2), 5, [0, 0]));
    assert.equal(peer(member, 2).pendingSnapshot, 8, 'the newest one is sent');
    member.take();
    member.receive(accepted(route(member, 2), 3));
    assert.equal(peer(member, 2).state, 'snapshot', 'entry 4 is still needed');
    assert.deepEqual(member.take('snapshot'), [], 'and on its way');
    member.receive(accepted(route(member, 2), 5));
    assert.equal(peer(member, 2).state, 'replicate');
  });

  it('whose sending failed is probed for after the next sign of life, from where it was', () => {
    const member = needy();
    member.receive(rejected(route(member, 2), 5, [0, 0]));
    member.raft.reportSnapshot(memberId(2), false);
    const { state, next, paused, pendingSnapshot } = peer(member, 2);
    assert.deepEqual([state, next, paused, pendingSnapshot], ['probe', 1, true, 0]);
  });

  it('that was sent is probed behind after the next sign of life', () => {
    const member = needy();
    member.receive(rejected(route(member, 2), 5, [0, 0]));
    member.raft.reportSnapshot(memberId(2), true);
    const { state, next, paused } = peer(member, 2);
    assert.deepEqual([state, next, paused], ['probe', 6, true]);
    member.take();
    member.receive(heartbeatResponse(route(member, 2)));
    assert.deepEqual(
      member.take('append').map(({ index }) => index),
      [5],
    );
  });

  it('is not sent while storage has none to give', () => {
    const member = needy();
    member.log.served = undefined;
    member.receive(rejected(route(member, 2), 5, [0, 0]));
    assert.deepEqual(member.take('snapshot'), []);
    assert.equal(peer(member, 2).state, 'probe');
  });
});

describe('a leader that checks its quorum', () => {
  it('steps down in its term when it has heard of no majority for an election timeout', () => {
    const member = leader({ checkQuorum: true });
    member.receive(heartbeatResponse(route(member, 2)));
    member.ticks(10);
    assert.equal(member.status.role, 'leader');
    member.ticks(10);
    const { role, term, leader: known } = member.status;
    assert.deepEqual([role, term, known], ['follower', 1, 0]);
  });

  it('does so after its first one too, if no member answers it', () => {
    const member = leader({ checkQuorum: true });
    member.ticks(10);
    assert.equal(member.status.role, 'follower');
  });

  it('stays while a majority answers; learners are none', () => {
    const member = leader({ checkQuorum: true, confState: confState([1, 2, 3], { learners: members(4) }) });
    for (let round = 0; round < 3; round += 1) {
      member.receive(heartbeatResponse(route(member, 2)));
      member.ticks(10);
      assert.equal(member.status.role, 'leader');
    }
    member.receive(heartbeatResponse(route(member, 4)));
    member.ticks(10);
    assert.equal(member.status.role, 'follower');
  });

  it('does not otherwise', () => {
    const member = leader();
    member.ticks(100);
    assert.equal(member.status.role, 'leader');
  });
});

describe('a cluster', () => {
  it('brings a member back that was away, over conflicting entries and compacted ones', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    const first = cluster.elect(1);
    cluster.isolate(1);
    first.raft.propose([bytes('lost'), bytes('lost too')]);
    cluster.settle();
    const second = cluster.elect(2);
    for (const data of ['a', 'b', 'c']) {
      second.raft.propose([bytes(data)]);
      cluster.settle();
    }
    cluster.heal();
    second.ticks(1);
    cluster.settle();
    second.ticks(1);
    cluster.settle();
    assert.deepEqual(first.applied, second.applied);
    assert.equal(first.status.role, 'follower');
    cluster.isolate(3);
    second.raft.propose([bytes('d')]);
    cluster.settle();
    second.log.compact(logIndex(5));
    cluster.heal();
    second.raft.reportUnreachable(memberId(3));
    second.ticks(1);
    cluster.settle();
    assert.equal(cluster.member(3).status.applied, second.status.applied);
  });
});
