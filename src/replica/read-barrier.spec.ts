import assert from 'node:assert/strict';
import { ProposeError } from '#replica/ports/replicated-log.js';
import { TestCluster } from '#replica/testing/test-cluster.js';

function code(error: unknown): string {
  return error instanceof ProposeError ? error.code : String(error);
}

function peers(cluster: TestCluster): string[] {
  return cluster.members.map(({ peer }) => peer);
}

describe('read barrier', () => {
  it('on any member gives a point behind everything acknowledged before', async () => {
    const cluster = await TestCluster.start();
    cluster.hub.delayMs = 5;
    const leader = await cluster.leader();
    await cluster.time.runFor(500);
    for (let round = 0; round < 10; round += 1) {
      const { index } = await cluster.commit(leader, `${round}`);
      for (const member of cluster.members) {
        const at = await cluster.time.until(member.replica.readBarrier(), 1000);
        assert.ok(at >= index);
        assert.ok(member.ledger.records.size >= round + 1);
      }
    }
  });

  it('of many callers costs one round, and one more for those that came during it', async () => {
    const cluster = await TestCluster.start();
    cluster.hub.delayMs = 5;
    const leader = await cluster.leader();
    await cluster.time.runFor(500);
    const rounds = new Set<number>();
    cluster.hub.onSend = (message) => {
      if (message.kind === 'heartbeat' && message.context > 0) rounds.add(message.context);
    };
    const first = Array.from({ length: 100 }, () => leader.replica.readBarrier());
    await cluster.time.runFor(2);
    const second = Array.from({ length: 100 }, () => leader.replica.readBarrier());
    await cluster.time.until(Promise.all([...first, ...second]), 100);
    assert.equal(rounds.size, 2);
  });

  it('is not answered from a round that began before the call', async () => {
    const cluster = await TestCluster.start();
    cluster.hub.delayMs = 20;
    const leader = await cluster.leader();
    await cluster.time.runFor(500);
    const first = leader.replica.readBarrier();
    await cluster.time.runFor(25);
    const beginMs = cluster.time.now();
    const second = leader.replica.readBarrier();
    await cluster.time.until(first, 100);
    await cluster.time.until(second, 100);
    assert.ok(cluster.time.now() - beginMs >= 40, `${cluster.time.now() - beginMs} ms, one round is 40`);
  });

  it('is not answered by a leader that others have replaced', async () => {
    const cluster = await TestCluster.start();
    const old = await cluster.leader();
    cluster.hub.isolate(old.peer, peers(cluster));
    const answer = old.replica.readBarrier().then(() => 'answered', code);
    assert.equal(await cluster.time.until(answer, 10_000), 'timeout');
    await assert.rejects(old.replica.readBarrier(), (error) => code(error) === 'not-leader');
  });

  it('survives a change of leader and lost messages: it is asked again', async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const asker = cluster.follower();
    await cluster.commit(leader, 'one');
    cluster.crash(leader);
    const answer = asker.replica.readBarrier();
    await cluster.time.until(answer, 5000);
    assert.equal(asker.ledger.text, '1 one');
  });

  it('is not answered by an answer to the process before, which was on its way still', async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const asker = cluster.follower();
    await cluster.commit(leader, 'one');
    await cluster.converged();
    // The link to the asker is slow, in order as ever: a heartbeat, and then the answer, meet its next process.
    let told = false;
    cluster.hub.onSend = ({ kind, from, to }) => {
      const slow = from === leader.disk.memberId && to === asker.disk.memberId;
      if (slow && kind === 'read-index-response') told = true;
      const delayMs = kind === 'heartbeat' ? 300 : 500;
      cluster.hub.delayMs = slow && (kind === 'heartbeat' || kind === 'read-index-response') ? delayMs : 1;
    };
    await cluster.time.runFor(350);
    asker.replica.readBarrier().catch(() => {});
    await cluster.time.runUntil(() => told, 1000, 'the answer');
    cluster.restart(asker);
    const { index } = await cluster.commit(leader, 'two');
    await cluster.time.runUntil(() => asker.replica.status().leader !== undefined, 1000, 'a heartbeat');
    await cluster.time.runFor(2);
    assert.ok((await cluster.time.until(asker.replica.readBarrier(), 5000)) >= index);
  });

  it('of one member alone needs no peer', async () => {
    const cluster = await TestCluster.start({ names: ['a'] });
    const [a] = cluster.members;
    if (a === undefined) throw new Error('no member');
    await cluster.time.until(a.replica.readBarrier(), 1);
  });
});
