import assert from 'node:assert/strict';
import { memberId } from '#raft/log/entry.js';
import { accepted, bytes, CoreCluster, CoreMember, confState, members, simply } from '#raft/testing/core-member.js';

const dropped = { name: 'RaftError', code: 'proposal-dropped' };

describe('a leadership transfer', () => {
  it('to a member that is up to date happens at once', () => {
    const cluster = new CoreCluster([1, 2, 3], { preVote: true, checkQuorum: true });
    cluster.elect(1).raft.transferLeadership(memberId(2));
    cluster.settle();
    assert.equal(cluster.member(2).status.role, 'leader');
    assert.equal(cluster.member(2).status.term, 2);
    assert.equal(cluster.member(1).status.leader, 2);
  });

  it('to a member that lags waits until it has the whole log', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    const leader = cluster.elect(1);
    cluster.isolate(2);
    leader.raft.propose([bytes('a')]);
    cluster.settle();
    cluster.heal();
    leader.raft.reportUnreachable(memberId(2));
    leader.raft.transferLeadership(memberId(2));
    leader.run();
    assert.deepEqual(leader.take('timeout-now'), []);
    assert.equal(leader.outbox.filter(({ kind }) => kind === 'append').length, 1);
    cluster.settle();
    assert.equal(cluster.member(2).status.role, 'leader');
  });

  it('is not completed by the acknowledgement of a part of the log', () => {
    const cluster = new CoreCluster([1, 2, 3], { maxAppendBytes: 1 });
    const leader = cluster.elect(1);
    cluster.isolate(2);
    leader.raft.propose([bytes('a'), bytes('b')]);
    cluster.settle();
    leader.raft.reportUnreachable(memberId(2));
    leader.raft.transferLeadership(memberId(2));
    leader.run();
    leader.receive(accepted({ from: 2, to: 1, term: 1 }, 2));
    assert.deepEqual(leader.take('timeout-now'), []);
    leader.receive(accepted({ from: 2, to: 1, term: 1 }, 3));
    assert.equal(leader.take('timeout-now').length, 1);
  });

  it('stops proposals while it is under way, and for an election timeout at most', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    const leader = cluster.elect(1);
    cluster.lose = ({ kind }) => kind === 'timeout-now';
    leader.ticks(9);
    cluster.settle();
    leader.raft.transferLeadership(memberId(2));
    assert.throws(() => leader.raft.propose([bytes('x')]), dropped);
    leader.ticks(9);
    assert.throws(() => leader.raft.propose([bytes('x')]), dropped, 'the timeout starts with the transfer');
    leader.ticks(1);
    leader.raft.propose([bytes('x')]);
    assert.equal(leader.status.leadTransferee, 0);
  });

  it('asked for on a follower is passed on to the leader', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    cluster.elect(1);
    cluster.member(3).raft.transferLeadership(memberId(2));
    cluster.settle();
    assert.equal(cluster.member(2).status.role, 'leader');
    const lonely = new CoreMember(1);
    lonely.raft.transferLeadership(memberId(2));
    lonely.run();
    assert.deepEqual(lonely.take(), []);
  });

  it('to a learner or a stranger is ignored', () => {
    const start = { confState: confState([1, 2, 3], { learners: members(4) }) };
    const leader = new CoreCluster([1, 2, 3], start).elect(1);
    for (const id of [4, 9]) {
      leader.raft.transferLeadership(memberId(id));
      assert.equal(leader.status.leadTransferee, 0);
    }
    leader.raft.propose([bytes('x')]);
  });

  it('to the leader itself calls off the one under way', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    const leader = cluster.elect(1);
    leader.raft.transferLeadership(memberId(2));
    leader.raft.transferLeadership(memberId(1));
    assert.equal(leader.status.leadTransferee, 0);
    leader.raft.propose([bytes('x')]);
  });

  it('to the same member again changes nothing; to another one replaces it', () => {
    const leader = new CoreCluster([1, 2, 3]).elect(1);
    leader.raft.transferLeadership(memberId(2));
    leader.run();
    assert.equal(leader.take('timeout-now').length, 1);
    leader.ticks(5);
    leader.raft.transferLeadership(memberId(2));
    leader.run();
    assert.equal(leader.take('timeout-now').length, 0);
    leader.ticks(4);
    assert.equal(leader.status.leadTransferee, 2);
    leader.raft.transferLeadership(memberId(3));
    leader.run();
    assert.deepEqual(
      leader.take('timeout-now').map(({ to }) => to),
      [3],
    );
    assert.equal(leader.status.leadTransferee, 3);
  });

  it('the same again does not prolong it', () => {
    const leader = new CoreCluster([1, 2, 3]).elect(1);
    leader.raft.transferLeadership(memberId(2));
    leader.ticks(9);
    leader.raft.transferLeadership(memberId(2));
    leader.ticks(1);
    assert.equal(leader.status.leadTransferee, 0);
  });

  it('is over when the leadership is', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    const leader = cluster.elect(1);
    leader.raft.transferLeadership(memberId(2));
    leader.receive(accepted({ from: 3, to: 1, term: 9 }, 1));
    assert.equal(leader.status.leadTransferee, 0);
  });

  it('is only heeded by a follower that may lead', () => {
    const learner = new CoreMember(4, { confState: confState([1, 2, 3], { learners: members(4) }) });
    learner.receive(simply('timeout-now', { from: 1, to: 4, term: 1 }));
    assert.equal(learner.status.role, 'follower');
    const candidate = new CoreMember(1);
    candidate.raft.campaign();
    candidate.receive(simply('timeout-now', { from: 2, to: 1, term: 1 }));
    assert.equal(candidate.status.term, 1);
  });
});
