import assert from 'node:assert/strict';
import { encodeConfChange } from '#raft/confchange/conf-change.js';
import { type Entry, logIndex, memberId, term } from '#raft/log/entry.js';
import type { LogPosition } from '#raft/log/raft-log.js';
import {
  accepted,
  append,
  CoreCluster,
  CoreMember,
  confChange,
  confState,
  entries,
  heartbeat,
  members,
  rejected,
  type Start,
  simply,
  snapshotMessage,
  voteRequest,
  voteResponse,
} from '#raft/testing/core-member.js';

/** Member 1 of three, a candidate in term 1 whose own vote is stable. */
function candidate(start: Start = {}): CoreMember {
  const member = new CoreMember(1, start);
  member.raft.campaign();
  member.run();
  member.take();
  return member;
}

/** How `member` answers: granted or rejected, and in which term. */
function answerTo(member: CoreMember, request: Parameters<CoreMember['receive']>[0]): readonly [string, number] {
  member.receive(request);
  const [answer] = member.outbox.splice(0);
  assert.ok(answer !== undefined && (answer.kind === 'vote-response' || answer.kind === 'pre-vote-response'));
  return [answer.reject ? 'rejected' : 'granted', answer.term];
}

function position(index: number, ofTerm: number): LogPosition {
  return { index: logIndex(index), term: term(ofTerm) };
}

describe('a vote', () => {
  const follower = () => new CoreMember(1, { entries: entries([1, 1, 2]), hardState: { term: 2, commit: 0 } });

  it('goes to a candidate whose log is at least as complete: by last term, then by last index', () => {
    const asked = (last: readonly [number, number]) =>
      answerTo(follower(), voteRequest('vote', { from: 2, to: 1, term: 3 }, last))[0];
    assert.equal(asked([3, 2]), 'granted');
    assert.equal(asked([4, 2]), 'granted');
    assert.equal(asked([1, 3]), 'granted', 'a later last term outweighs any length');
    assert.equal(asked([2, 2]), 'rejected');
    assert.equal(asked([9, 1]), 'rejected', 'no length outweighs an earlier last term');
  });

  it('is given once per term, again only to the same candidate, and survives a restart', () => {
    const member = follower();
    assert.equal(answerTo(member, voteRequest('vote', { from: 2, to: 1, term: 3 }, [3, 2]))[0], 'granted');
    assert.equal(answerTo(member, voteRequest('vote', { from: 3, to: 1, term: 3 }, [3, 2]))[0], 'rejected');
    assert.equal(answerTo(member, voteRequest('vote', { from: 2, to: 1, term: 3 }, [3, 2]))[0], 'granted');
    member.restart();
    assert.equal(answerTo(member, voteRequest('vote', { from: 3, to: 1, term: 3 }, [3, 2]))[0], 'rejected');
    assert.equal(answerTo(member, voteRequest('vote', { from: 3, to: 1, term: 4 }, [3, 2]))[0], 'granted');
  });

  it('is not given in a term whose leader is known', () => {
    const member = follower();
    member.receive(heartbeat({ from: 2, to: 1, term: 3 }));
    member.take();
    assert.equal(answerTo(member, voteRequest('vote', { from: 3, to: 1, term: 3 }, [3, 2]))[0], 'rejected');
  });

  it('that is granted restarts the election timer, one that is rejected does not', () => {
    const member = follower();
    member.ticks(9);
    member.receive(voteRequest('vote', { from: 2, to: 1, term: 2 }, [1, 1]));
    member.ticks(1);
    assert.equal(member.status.role, 'candidate');
    const other = follower();
    other.ticks(9);
    other.receive(voteRequest('vote', { from: 2, to: 1, term: 2 }, [3, 2]));
    other.ticks(9);
    assert.equal(other.status.role, 'follower');
    other.ticks(1);
    assert.equal(other.status.role, 'candidate');
  });

  it('is given by learners too', () => {
    const learner = new CoreMember(4, { confState: confState([1, 2, 3], { learners: members(4) }) });
    assert.equal(answerTo(learner, voteRequest('vote', { from: 2, to: 4, term: 1 }))[0], 'granted');
  });

  it('is refused by a candidate and a leader of the same term', () => {
    const member = candidate();
    assert.equal(answerTo(member, voteRequest('vote', { from: 2, to: 1, term: 1 }))[0], 'rejected');
    const leader = new CoreCluster([1, 2, 3]).elect(1);
    assert.equal(answerTo(leader, voteRequest('vote', { from: 2, to: 1, term: 1 }, [1, 1]))[0], 'rejected');
  });
});

describe('an election', () => {
  it('is won with a majority, the own vote among it once that is stable', () => {
    const member = new CoreMember(1, { asyncStorageWrites: true });
    member.raft.campaign();
    member.work();
    member.raft.step(voteResponse('vote-response', { from: 2, to: 1, term: 1 }));
    assert.equal(member.status.role, 'candidate', 'its own vote is not stable yet');
    member.persist();
    assert.equal(member.status.role, 'leader');
  });

  it('is not won by one voter answering twice, and its first answer counts', () => {
    const five = { confState: confState([1, 2, 3, 4, 5]) };
    const member = candidate(five);
    member.receive(voteResponse('vote-response', { from: 2, to: 1, term: 1 }, true));
    member.receive(voteResponse('vote-response', { from: 2, to: 1, term: 1 }));
    member.receive(voteResponse('vote-response', { from: 3, to: 1, term: 1 }));
    assert.equal(member.status.role, 'candidate');
    member.receive(voteResponse('vote-response', { from: 4, to: 1, term: 1 }));
    assert.equal(member.status.role, 'leader');
  });

  it('is not won with the votes of learners', () => {
    const member = candidate({ confState: confState([1, 2, 3], { learners: members(4, 5) }) });
    member.receive(voteResponse('vote-response', { from: 4, to: 1, term: 1 }));
    member.receive(voteResponse('vote-response', { from: 5, to: 1, term: 1 }));
    assert.equal(member.status.role, 'candidate');
  });

  it('that is lost makes the candidate a follower of its term, knowing no leader', () => {
    const member = candidate();
    member.receive(voteResponse('vote-response', { from: 2, to: 1, term: 1 }, true));
    assert.equal(member.status.role, 'candidate');
    member.receive(voteResponse('vote-response', { from: 3, to: 1, term: 1 }, true));
    const { role, term, leader } = member.status;
    assert.deepEqual([role, term, leader], ['follower', 1, 0]);
  });

  it('needs both halves of a joint configuration', () => {
    const member = candidate({ confState: confState([1, 2, 3], { votersOutgoing: members(1, 4, 5) }) });
    member.receive(voteResponse('vote-response', { from: 2, to: 1, term: 1 }));
    member.receive(voteResponse('vote-response', { from: 3, to: 1, term: 1 }));
    assert.equal(member.status.role, 'candidate');
    member.receive(voteResponse('vote-response', { from: 5, to: 1, term: 1 }));
    assert.equal(member.status.role, 'leader');
  });

  it('asks the voters of both halves, and no other member', () => {
    const state = confState([1, 2], { votersOutgoing: members(1, 3), learners: members(4) });
    const member = new CoreMember(1, { confState: state });
    member.raft.campaign();
    member.run();
    assert.deepEqual(
      member.take('vote').map(({ to }) => to),
      [2, 3],
    );
  });

  it('ends for a candidate that hears of the winner, which keeps its vote', () => {
    const member = candidate();
    member.receive(append({ from: 2, to: 1, term: 1 }, { terms: [1] }));
    const { role, leader, vote, lastIndex } = member.status;
    assert.deepEqual([role, leader, vote, lastIndex], ['follower', 2, 1, 1]);
  });

  it('begins with an empty entry of the own term, sent to all at once', () => {
    const member = candidate();
    member.receive(voteResponse('vote-response', { from: 2, to: 1, term: 1 }));
    const sent = member.take('append');
    assert.deepEqual(
      sent.map(({ to, entries: [entry] }) => [to, entry?.term, entry?.index, entry?.data.length]),
      [
        [2, 1, 1, 0],
        [3, 1, 1, 0],
      ],
    );
  });
});

describe('a campaign', () => {
  it('starts when the drawn timeout has passed without a word of a leader', () => {
    const member = new CoreMember(1, { random: (below) => below - 1 });
    member.ticks(18);
    member.raft.step(heartbeat({ from: 2, to: 1, term: 1 }));
    member.ticks(18);
    assert.equal(member.status.role, 'follower');
    member.ticks(1);
    assert.equal(member.status.role, 'candidate');
  });

  it('starts so many election timeouts later with patience, and a vote is given in time', () => {
    const patient = (ticks: number): CoreMember => {
      const member = new CoreMember(1, { random: () => 0 });
      for (let done = 0; done < ticks; done += 1) member.raft.delay(3);
      return member;
    };
    assert.equal(patient(39).status.role, 'follower');
    assert.equal(patient(40).status.role, 'candidate');
    assert.equal(answerTo(patient(10), voteRequest('vote', { from: 3, to: 1, term: 9 }))[0], 'granted');
    const member = patient(39);
    member.ticks(1);
    assert.equal(member.status.role, 'candidate', 'it has waited long enough once there is no reason to');
  });

  it('gives the others an election timeout from when its own vote is stable: they are asked only then', () => {
    const member = new CoreMember(1, { asyncStorageWrites: true, random: () => 0 });
    member.raft.campaign();
    member.work();
    member.ticks(9);
    member.persist();
    member.work();
    member.ticks(9);
    assert.equal(member.status.term, 1);
    member.ticks(1);
    assert.equal(member.status.term, 2);
  });

  it('draws a new timeout for every term', () => {
    let drawn = 0;
    const member = new CoreMember(1, { random: (below) => (drawn++ % 2 === 0 ? 0 : below - 1) });
    member.ticks(10);
    assert.equal(member.status.term, 1);
    member.ticks(18);
    assert.equal(member.status.term, 1, 'the second draw was the longest');
    member.ticks(1);
    assert.equal(member.status.term, 2);
  });

  it('is not for learners, nor for those outside of the configuration', () => {
    for (const member of [
      new CoreMember(4, { confState: confState([1, 2, 3], { learners: members(4) }) }),
      new CoreMember(5),
      new CoreMember(6, { confState: confState([]) }),
    ]) {
      member.ticks(100);
      member.raft.campaign();
      assert.deepEqual([member.status.role, member.status.term], ['follower', 0]);
    }
  });

  it('waits while a committed configuration change is not applied', () => {
    const data = encodeConfChange(confChange([['add-voter', 4]]), 'conf-change-v2');
    const stored: readonly Entry[] = entries([1, 1, 1]).map((entry) =>
      entry.index === 2 ? { ...entry, type: 'conf-change-v2', data } : entry,
    );
    const start = { entries: stored, hardState: { term: 1, commit: 2 }, asyncStorageWrites: true };
    const member = new CoreMember(1, start);
    member.ticks(10);
    member.raft.campaign();
    member.raft.step(simply('timeout-now', { from: 2, to: 1, term: 1 }));
    assert.equal(member.status.term, 1);
    member.run();
    member.raft.campaign();
    assert.equal(member.status.role, 'candidate');
    const uncommitted = new CoreMember(1, { ...start, hardState: { term: 1, commit: 1 } });
    uncommitted.raft.campaign();
    assert.equal(uncommitted.status.role, 'candidate', 'an uncommitted change may never come into force');
  });

  it('waits while a received snapshot is not stable', () => {
    const member = new CoreMember(1, { asyncStorageWrites: true });
    member.raft.step(snapshotMessage({ from: 2, to: 1, term: 1 }, [9, 1], confState([1, 2, 3])));
    member.raft.campaign();
    assert.equal(member.status.role, 'follower');
    member.run();
    member.raft.campaign();
    assert.equal(member.status.role, 'candidate');
  });
});

describe('an election across a change of the configuration', () => {
  // Entry 1 leaves the joint configuration of {1, 2} and {2, 3}; member 3 has left with it, and is gone for good.
  const joint = confState([1, 2], { votersOutgoing: members(2, 3) });
  const left = encodeConfChange(confChange([]), 'conf-change-v2');
  const log = (count: number): readonly Entry[] =>
    entries(Array.from({ length: count }, () => 1)).map((entry) =>
      entry.index === 1 ? { ...entry, type: 'conf-change-v2', data: left } : entry,
    );

  /** Member 1 has the longer log; member 2 alone knows that the change is committed. */
  function survivors(start: Start): CoreCluster {
    const hardState = { term: 1, commit: 0 };
    const behind = new CoreMember(1, { ...start, confState: joint, entries: log(3), hardState });
    const committed = { ...hardState, commit: 1 };
    const ahead = new CoreMember(2, { ...start, confState: joint, entries: log(2), hardState: committed });
    return CoreCluster.of([behind, ahead]);
  }

  for (const preVote of [false, true]) {
    for (const first of [1, 2]) {
      it(`comes to a leader though one half is gone: ${preVote ? 'with' : 'without'} pre-votes, ${first} first`, () => {
        const cluster = survivors({ preVote, stepDownOnRemoval: true });
        cluster.settle();
        cluster.member(first).raft.campaign();
        cluster.settle();
        cluster.member(1).raft.campaign();
        cluster.settle();
        assert.equal(cluster.member(1).status.role, 'leader');
        assert.deepEqual(cluster.member(1).status.confState.votersOutgoing, []);
      });
    }
  }

  it('takes a peer’s word for nothing else, and not for another entry', () => {
    const member = new CoreMember(1, { confState: joint, entries: log(3), hardState: { term: 1, commit: 1 } });
    member.receive({ ...voteRequest('vote', { from: 2, to: 1, term: 2 }), committed: position(3, 1) });
    assert.equal(member.status.commit, 1, 'there is no change among the entries');
    const other = new CoreMember(1, { confState: joint, entries: log(3), hardState: { term: 1, commit: 0 } });
    other.receive({ ...voteRequest('vote', { from: 2, to: 1, term: 2 }), committed: position(3, 2) });
    other.receive({ ...voteRequest('vote', { from: 2, to: 1, term: 3 }), committed: position(4, 1) });
    assert.equal(other.status.commit, 0);
    other.receive({ ...voteRequest('vote', { from: 2, to: 1, term: 4 }), committed: position(2, 1) });
    assert.equal(other.status.commit, 2);
  });

  it('takes it as far as the change that is committed, not for one behind it', () => {
    const later = entries([1, 1, 1]).map(
      (entry): Entry => (entry.index === 2 ? { ...entry, type: 'conf-change-v2', data: left } : entry),
    );
    const member = new CoreMember(1, { confState: joint, entries: later, hardState: { term: 1, commit: 0 } });
    member.receive({ ...voteRequest('vote', { from: 2, to: 1, term: 2 }), committed: position(1, 1) });
    assert.equal(member.status.commit, 0);
  });

  it('has one that campaigned learn of the change from a rejection by a higher term, too', () => {
    const member = new CoreMember(1, { confState: joint, entries: log(3), hardState: { term: 1, commit: 0 } });
    member.raft.campaign();
    member.run();
    const answer = voteResponse('vote-response', { from: 2, to: 1, term: 5 }, true);
    member.receive({ ...answer, committed: position(1, 1) });
    assert.deepEqual([member.status.role, member.status.term, member.status.commit], ['follower', 5, 1]);
  });

  it('does not unseat a leader, which counts by itself what is committed', () => {
    const member = new CoreMember(1, { confState: joint, entries: log(3), hardState: { term: 1, commit: 0 } });
    member.raft.campaign();
    member.run();
    for (const from of [2, 3]) member.receive(voteResponse('vote-response', { from, to: 1, term: 2 }));
    member.receive({ ...voteRequest('vote', { from: 3, to: 1, term: 2 }), committed: position(1, 1) });
    assert.deepEqual([member.status.role, member.status.commit], ['leader', 0]);
  });

  it('is broken off by a candidate that learns of a change which it did not count by', () => {
    const member = new CoreMember(1, { confState: joint, entries: log(3), hardState: { term: 1, commit: 0 } });
    member.raft.campaign();
    member.run();
    const answer = voteResponse('vote-response', { from: 2, to: 1, term: 2 });
    member.receive({ ...answer, committed: position(1, 1) });
    assert.deepEqual([member.status.role, member.status.term], ['follower', 2]);
    member.raft.campaign();
    assert.deepEqual([member.status.role, member.status.term], ['candidate', 3]);
  });
});

describe('a pre-vote', () => {
  const preVote = { preVote: true };

  it('changes neither term nor vote nor timer, on either side', () => {
    const member = new CoreMember(1, preVote);
    member.ticks(10);
    member.work();
    assert.deepEqual([member.status.role, member.status.term, member.status.vote], ['pre-candidate', 0, 0]);
    assert.deepEqual(
      member.take('pre-vote').map(({ to, term }) => [to, term]),
      [
        [2, 1],
        [3, 1],
      ],
    );
    const voter = new CoreMember(2, preVote);
    voter.ticks(9);
    assert.deepEqual(answerTo(voter, voteRequest('pre-vote', { from: 1, to: 2, term: 1 })), ['granted', 1]);
    assert.deepEqual([voter.status.term, voter.status.vote], [0, 0]);
    voter.ticks(1);
    assert.equal(voter.status.role, 'pre-candidate');
  });

  it('that is won starts the election at once', () => {
    const member = candidate(preVote);
    member.receive(voteResponse('pre-vote-response', { from: 2, to: 1, term: 1 }));
    assert.deepEqual([member.status.role, member.status.term], ['candidate', 1]);
    assert.equal(member.take('vote').length, 2);
  });

  it('that is lost leaves the term as it was', () => {
    const member = candidate(preVote);
    member.receive(voteResponse('pre-vote-response', { from: 2, to: 1, term: 0 }, true));
    member.receive(voteResponse('pre-vote-response', { from: 3, to: 1, term: 0 }, true));
    assert.deepEqual([member.status.role, member.status.term], ['follower', 0]);
  });

  it('is not counted as a vote, nor a vote as a pre-vote', () => {
    const member = candidate(preVote);
    member.receive(voteResponse('vote-response', { from: 2, to: 1, term: 0 }));
    assert.equal(member.status.role, 'pre-candidate');
    const second = candidate();
    second.receive(voteResponse('pre-vote-response', { from: 2, to: 1, term: 1 }));
    assert.equal(second.status.role, 'candidate');
  });

  it('that is rejected in a higher term brings the pre-candidate up to it', () => {
    const member = candidate(preVote);
    member.receive(voteResponse('pre-vote-response', { from: 2, to: 1, term: 7 }, true));
    assert.deepEqual([member.status.role, member.status.term], ['follower', 7]);
  });

  it('of a lower term is rejected, with the own term', () => {
    const member = new CoreMember(1, { ...preVote, hardState: { term: 5, commit: 0 } });
    assert.deepEqual(answerTo(member, voteRequest('pre-vote', { from: 2, to: 1, term: 3 })), ['rejected', 5]);
  });

  it('of a higher term is granted even by one that has voted, or knows a leader', () => {
    const member = new CoreMember(1, { hardState: { term: 5, vote: 3, commit: 0 } });
    member.receive(heartbeat({ from: 3, to: 1, term: 5 }));
    member.take();
    assert.deepEqual(answerTo(member, voteRequest('pre-vote', { from: 2, to: 1, term: 6 })), ['granted', 6]);
    assert.equal(member.status.leader, 3);
  });

  it('of the own term is not granted by one that has voted for another, or knows a leader', () => {
    const voted = new CoreMember(1, { hardState: { term: 5, vote: 3, commit: 0 } });
    assert.deepEqual(answerTo(voted, voteRequest('pre-vote', { from: 2, to: 1, term: 5 })), ['rejected', 5]);
    const led = new CoreMember(1, { hardState: { term: 5, commit: 0 } });
    led.receive(heartbeat({ from: 3, to: 1, term: 5 }));
    led.take();
    assert.deepEqual(answerTo(led, voteRequest('pre-vote', { from: 2, to: 1, term: 5 })), ['rejected', 5]);
  });

  it('that gets no answer is repeated after an election timeout, not at every tick', () => {
    const member = new CoreMember(1, preVote);
    member.ticks(10);
    member.run();
    assert.equal(member.take('pre-vote').length, 2);
    member.ticks(9);
    member.run();
    assert.equal(member.take('pre-vote').length, 0);
    member.ticks(1);
    member.run();
    assert.equal(member.take('pre-vote').length, 2);
  });

  it('is not needed for a campaign that the leader asked for', () => {
    const member = new CoreMember(1, preVote);
    member.receive(simply('timeout-now', { from: 2, to: 1, term: 1 }));
    assert.deepEqual([member.status.role, member.status.term], ['candidate', 2]);
    assert.ok(member.take('vote').every(({ transfer }) => transfer));
  });
});

describe('a member in touch with its leader, where quorums are checked', () => {
  function inTouch(): CoreMember {
    const member = new CoreMember(1, { checkQuorum: true });
    member.receive(heartbeat({ from: 2, to: 1, term: 1 }));
    member.take();
    return member;
  }

  it('ignores candidates until an election timeout has passed', () => {
    const member = inTouch();
    member.raft.setElectionTimeout(20);
    member.ticks(9);
    for (const kind of ['vote', 'pre-vote'] as const) {
      member.receive(voteRequest(kind, { from: 3, to: 1, term: 9 }));
      assert.deepEqual([member.take(), member.status.term], [[], 1]);
    }
    member.ticks(1);
    assert.equal(answerTo(member, voteRequest('vote', { from: 3, to: 1, term: 9 }))[0], 'granted');
  });

  it('votes at once if the leader asked for the campaign, or was forgotten', () => {
    assert.equal(answerTo(inTouch(), voteRequest('vote', { from: 3, to: 1, term: 2 }, [0, 0], true))[0], 'granted');
    const forgetful = inTouch();
    forgetful.raft.forgetLeader();
    assert.equal(answerTo(forgetful, voteRequest('vote', { from: 3, to: 1, term: 2 }))[0], 'granted');
  });

  it('as the leader itself is not deposed by a candidate either', () => {
    const cluster = new CoreCluster([1, 2, 3], { checkQuorum: true });
    const leader = cluster.elect(1);
    leader.receive(voteRequest('vote', { from: 3, to: 1, term: 9 }, [9, 9]));
    assert.deepEqual([leader.status.role, leader.status.term], ['leader', 1]);
  });

  it('does so only where quorums are checked', () => {
    const member = new CoreMember(1);
    member.receive(heartbeat({ from: 2, to: 1, term: 1 }));
    member.take();
    assert.equal(answerTo(member, voteRequest('vote', { from: 3, to: 1, term: 2 }))[0], 'granted');
  });
});

describe('forgetting the leader', () => {
  it('allows a follower to vote in the same term, keeping its own vote and term', () => {
    const member = new CoreMember(1);
    member.receive(heartbeat({ from: 2, to: 1, term: 1 }));
    member.take();
    member.raft.forgetLeader();
    assert.equal(member.status.leader, 0);
    assert.equal(answerTo(member, voteRequest('vote', { from: 3, to: 1, term: 1 }))[0], 'granted');
    member.receive(heartbeat({ from: 2, to: 1, term: 1 }));
    assert.equal(member.status.leader, 2);
  });

  it('does nothing on a leader, or where reads rely on the lease', () => {
    const leader = new CoreCluster([1, 2, 3]).elect(1);
    leader.raft.forgetLeader();
    assert.equal(leader.status.leader, 1);
    const member = new CoreMember(1, { checkQuorum: true, readOnly: 'lease-based' });
    member.receive(heartbeat({ from: 2, to: 1, term: 1 }));
    member.raft.forgetLeader();
    assert.equal(member.status.leader, 2);
  });
});

describe('a message of another term', () => {
  it('that is higher makes any member a follower, of the sender only if it must be the leader', () => {
    const leader = () => new CoreCluster([1, 2, 3]).elect(1);
    const stateAfter = (message: Parameters<CoreMember['receive']>[0]) => {
      const member = leader();
      member.raft.step(message);
      const { role, term, leader: known } = member.status;
      return [role, term, known];
    };
    assert.deepEqual(stateAfter(append({ from: 2, to: 1, term: 2 })), ['follower', 2, 2]);
    assert.deepEqual(stateAfter(heartbeat({ from: 2, to: 1, term: 2 })), ['follower', 2, 2]);
    assert.deepEqual(stateAfter(snapshotMessage({ from: 2, to: 1, term: 2 }, [5, 1], confState([1, 2]))), [
      'follower',
      2,
      2,
    ]);
    assert.deepEqual(stateAfter(accepted({ from: 2, to: 1, term: 2 }, 1)), ['follower', 2, 0]);
    assert.deepEqual(stateAfter(voteRequest('vote', { from: 2, to: 1, term: 2 })), ['follower', 2, 0]);
    assert.deepEqual(stateAfter(voteRequest('pre-vote', { from: 2, to: 1, term: 2 })), ['leader', 1, 1]);
  });

  it('that is lower changes nothing', () => {
    const member = new CoreMember(1, { hardState: { term: 5, commit: 0 } });
    for (const message of [
      append({ from: 2, to: 1, term: 4 }, { terms: [4] }),
      heartbeat({ from: 2, to: 1, term: 4 }),
      snapshotMessage({ from: 2, to: 1, term: 4 }, [5, 1], confState([1, 2])),
      voteRequest('vote', { from: 2, to: 1, term: 4 }, [9, 4]),
      simply('timeout-now', { from: 2, to: 1, term: 4 }),
    ]) {
      member.receive(message);
    }
    const { term, leader, lastIndex, role } = member.status;
    assert.deepEqual([term, leader, lastIndex, role, member.take()], [5, 0, 0, 'follower', []]);
  });

  it('that is lower, of an outdated leader, is answered where votes would not depose it', () => {
    for (const start of [{ preVote: true }, { checkQuorum: true }]) {
      const member = new CoreMember(1, { ...start, hardState: { term: 5, commit: 0 } });
      for (const message of [append({ from: 2, to: 1, term: 4 }), heartbeat({ from: 2, to: 1, term: 4 })]) {
        member.receive(message);
        assert.deepEqual(
          member.take('append-response').map(({ to, term, index }) => [to, term, index]),
          [[2, 5, 0]],
        );
      }
    }
  });

  it('of an earlier leadership moves nothing at the leader', () => {
    const cluster = new CoreCluster([1, 2, 3], { hardState: { term: 4, commit: 0 } });
    cluster.lose = ({ kind }) => kind === 'append';
    const leader = cluster.elect(1);
    leader.receive(accepted({ from: 2, to: 1, term: 4 }, 1));
    leader.receive(rejected({ from: 3, to: 1, term: 4 }, 0, [0, 0]));
    assert.equal(leader.status.progress.get(memberId(2))?.match, 0);
    assert.equal(leader.status.commit, 0);
  });
});
