import assert from 'node:assert/strict';
import type { PeerMessage } from '#raft/message.js';
import { TestCluster, type TestMember } from '#replica/testing/test-cluster.js';

/** A cluster whose `candidate` was just asked to take over, and whose disk hangs with the write of its own vote. */
async function hangingCandidate(): Promise<{
  readonly cluster: TestCluster;
  readonly leader: TestMember;
  readonly candidate: TestMember;
  readonly sent: PeerMessage[];
}> {
  const cluster = await TestCluster.start();
  const leader = await cluster.leader();
  await cluster.commit(leader, 'one');
  await cluster.time.runFor(2000);
  const candidate = cluster.follower();
  const { memberId } = candidate.disk;
  candidate.disk.fate = ({ hardState }) =>
    hardState?.vote === memberId ? { kind: 'hang' } : { kind: 'ok', afterMs: 1 };
  const sent: PeerMessage[] = [];
  const { onSend } = cluster.hub;
  cluster.hub.onSend = (message) => {
    onSend(message);
    if (message.from === memberId) sent.push(message);
  };
  leader.replica.transferLeadership(memberId);
  await cluster.time.runFor(100);
  return { cluster, leader, candidate, sent };
}

describe('a candidate', () => {
  it('asks for votes when its own is on its disk, not sooner', async () => {
    const { cluster, candidate, sent } = await hangingCandidate();
    assert.equal(candidate.replica.status().role, 'candidate');
    assert.deepEqual(
      sent.filter(({ kind }) => kind === 'vote'),
      [],
    );
    candidate.disk.release();
    await cluster.time.runUntil(() => cluster.ready === candidate, 100, 'its election');
    assert.equal(sent.filter(({ kind }) => kind === 'vote').length, 2);
    assert.deepEqual(cluster.promises.violations, []);
  });

  it('that crashes before has no part in that term: it could lead it twice, with another log', async () => {
    const { cluster, candidate, sent } = await hangingCandidate();
    const { term } = candidate.replica.status();
    cluster.crash(candidate);
    candidate.disk.fate = () => ({ kind: 'ok', afterMs: 1 });
    cluster.boot(candidate);
    await cluster.commit(await cluster.leader(), 'two');
    await cluster.converged();
    const led = sent.filter((message) => message.kind === 'append' && message.term <= term);
    assert.deepEqual(led, []);
    assert.deepEqual(cluster.promises.violations, []);
  });
});
