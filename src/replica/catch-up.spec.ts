import assert from 'node:assert/strict';
import { logIndex } from '#raft/log/entry.js';
import { defaultReplicaLimits } from '#replica/replica-options.js';
import { callerOf } from '#replica/testing/peer-place.js';
import { TestCluster, type TestMember } from '#replica/testing/test-cluster.js';

/** A log that is compacted soon. */
const compaction = { entriesKept: 20, entriesKeptForPeersMax: 1000, compactionStep: 5 };
const limits = { ...defaultReplicaLimits, compaction, flushAfterMs: 200 };

/** Proposes one command after the other until `stop`. */
function steadily(cluster: TestCluster): { stop(): Promise<readonly string[]> } {
  let on = true;
  const acknowledged: string[] = [];
  const run = async () => {
    for (let at = 0; on; at += 1) {
      const leader = cluster.ready;
      if (leader !== undefined) {
        const text = `steady ${at}`;
        await cluster.propose(leader, text).then(
          () => acknowledged.push(text),
          () => {},
        );
      }
      await cluster.time.sleep(5);
    }
    return acknowledged;
  };
  const done = run();
  return {
    stop: () => {
      on = false;
      return cluster.time.until(done, 20_000);
    },
  };
}

async function fill(cluster: TestCluster, count: number): Promise<void> {
  const leader = await cluster.leader();
  for (let at = 0; at < count; at += 10) {
    const batch = Array.from({ length: 10 }, (_, nth) => cluster.propose(leader, `filler ${at + nth}`));
    await cluster.time.until(Promise.all(batch), 2000);
  }
}

/** A cluster whose log has left `away` behind. */
async function leaveBehind(away: TestMember, cluster: TestCluster, count: number): Promise<TestMember> {
  cluster.crash(away);
  const leader = await cluster.leader();
  await fill(cluster, count);
  await cluster.time.runFor(2000);
  assert.ok(leader.replica.status().firstIndex > away.disk.content.entries.length + 5, 'the log was compacted');
  return leader;
}

function sameText(cluster: TestCluster): void {
  const [first] = cluster.members;
  for (const { ledger } of cluster.members) assert.equal(ledger.text, first?.ledger.text);
}

describe('catching up', () => {
  it('is by log when the log goes back far enough, while commands go on', async () => {
    const cluster = await TestCluster.start();
    const away = cluster.follower();
    cluster.crash(away);
    await fill(cluster, 500);
    const steady = steadily(cluster);
    cluster.boot(away);
    await cluster.time.runFor(3000);
    await steady.stop();
    await cluster.converged();
    assert.equal(away.replica.status().snapshotsInstalled, 0);
    sameText(cluster);
  });

  it('is the same for one whose disk hung for long: it has taken in what may wait for the disk, and no more', async () => {
    const writes = { ...defaultReplicaLimits.writes, queuedMax: 50 };
    const cluster = await TestCluster.start({ limits: { ...defaultReplicaLimits, writes } });
    const slow = cluster.follower();
    await cluster.commit(await cluster.leader(), 'one');
    slow.disk.fate = () => ({ kind: 'hang' });
    const steady = steadily(cluster);
    await cluster.time.runFor(20_000);
    let answers = 0;
    const { onSend } = cluster.hub;
    cluster.hub.onSend = (message) => {
      onSend(message);
      if (message.from === slow.disk.memberId && message.kind === 'append-response') answers += 1;
    };
    slow.disk.fate = () => ({ kind: 'ok', afterMs: 1 });
    slow.disk.release();
    await cluster.time.runFor(3);
    // A message of the core answers the appends of one turn, of which there are few; the leader has sent 400 meanwhile.
    assert.ok(answers > 0 && answers <= 3 * writes.queuedMax, `${answers} answers`);
    await steady.stop();
    await cluster.converged();
    sameText(cluster);
  });

  it('is by snapshot and then by log when it does not, while commands go on', async () => {
    const cluster = await TestCluster.start({ limits });
    const away = cluster.follower();
    const leader = await leaveBehind(away, cluster, 300);
    const steady = steadily(cluster);
    cluster.boot(away);
    await cluster.time.runUntil(() => away.replica.status().snapshotsInstalled === 1, 20_000);
    await cluster.time.runFor(1000);
    const acknowledged = await steady.stop();
    assert.ok(acknowledged.length > 50, `${acknowledged.length} commands meanwhile`);
    await cluster.converged();
    sameText(cluster);
    const restored = away.ledger.restores;
    assert.equal(restored, 2, 'once at start, once by the snapshot');
    assert.equal(leader.replica.status().snapshotsSent, 1);
    cluster.restart(away);
    await cluster.converged();
    sameText(cluster);
    assert.deepEqual(cluster.promises.violations, []);
  });

  it('reports a follower that waits for its turn once, not with each heartbeat', async () => {
    const cluster = await TestCluster.start({
      names: ['a', 'b', 'c', 'd', 'e'],
      limits: { ...limits, snapshotSendsMax: 1 },
    });
    const leader = await cluster.leader();
    const away = cluster.members.filter((member) => member !== leader).slice(0, 2);
    for (const member of away) cluster.crash(member);
    await fill(cluster, 400);
    await cluster.time.runFor(2000);
    cluster.hub.chunkMs = 50;
    for (const member of away) cluster.boot(member);
    await cluster.converged(60_000);
    sameText(cluster);
    const kinds = leader.events.map(({ kind }) => kind);
    assert.equal(kinds.filter((kind) => kind === 'snapshot-waits').length, 1);
    assert.ok(!kinds.includes('snapshot-failed'));
  });

  it('starts again cleanly when the receiver is killed in the middle of a snapshot', async () => {
    const cluster = await TestCluster.start({ limits });
    const away = cluster.follower();
    const leader = await leaveBehind(away, cluster, 400);
    cluster.hub.chunkMs = 50;
    for (let kill = 0; kill < 3; kill += 1) {
      const failed = leader.events.filter(({ kind }) => kind === 'snapshot-failed').length;
      cluster.boot(away);
      await cluster.time.runUntil(() => cluster.hub.transfers > 0, 10_000, 'the transfer');
      await cluster.time.runFor(200);
      assert.equal(cluster.hub.transfers, 1, 'still on its way');
      cluster.crash(away);
      await cluster.time.runUntil(
        () => leader.events.filter(({ kind }) => kind === 'snapshot-failed').length > failed,
        5000,
        'the failure',
      );
      await fill(cluster, 20);
    }
    cluster.boot(away);
    await cluster.converged();
    sameText(cluster);
  });

  it('starts again when the sender is killed in the middle of a snapshot', async () => {
    const cluster = await TestCluster.start({ limits });
    const away = cluster.follower();
    const leader = await leaveBehind(away, cluster, 400);
    cluster.hub.chunkMs = 50;
    cluster.boot(away);
    await cluster.time.runUntil(() => cluster.hub.transfers > 0, 10_000, 'the transfer');
    await cluster.time.runFor(200);
    cluster.crash(leader);
    await cluster.leader();
    await cluster.time.runUntil(() => away.replica.status().snapshotsInstalled === 1, 20_000, 'the snapshot');
    cluster.boot(leader);
    await cluster.converged();
    sameText(cluster);
  });

  it('keeps the log that a snapshot on its way will need, however long it takes', async () => {
    const cluster = await TestCluster.start({ limits });
    const away = cluster.follower();
    const leader = await leaveBehind(away, cluster, 300);
    cluster.hub.chunkMs = 400;
    cluster.boot(away);
    await cluster.time.runUntil(() => cluster.hub.transfers > 0, 10_000, 'the transfer');
    const before = leader.replica.status().firstIndex;
    while (cluster.hub.transfers > 0) {
      await fill(cluster, 30);
      await cluster.time.runFor(300);
    }
    assert.ok(leader.replica.status().lastIndex - before > 250, 'enough came to pass the compaction point');
    await cluster.converged();
    assert.equal(away.replica.status().snapshotsInstalled, 1);
    sameText(cluster);
    await fill(cluster, 50);
    await cluster.time.runFor(2000);
    assert.ok(leader.replica.status().lastIndex - leader.replica.status().firstIndex < 50, 'compaction goes on');
  });

  it('finds the log kept for a follower that answers and lags, also right after the leader has counted its quorum', async () => {
    const cluster = await TestCluster.start({ limits });
    const leader = await cluster.leader();
    const slow = cluster.follower();
    slow.disk.fate = () => ({ kind: 'ok', afterMs: 400 });
    const matchIndex = (): number =>
      leader.replica.status().peers.find(({ member }) => member.name === slow.name)?.matchIndex ?? 0;
    const steady = steadily(cluster);
    let lagMost = 0;
    for (let at = 0; at < 500; at += 1) {
      await cluster.time.runFor(10);
      const { firstIndex, lastIndex } = leader.replica.status();
      lagMost = Math.max(lagMost, lastIndex - matchIndex());
      assert.ok(firstIndex <= matchIndex() + 1, `log from ${firstIndex} on, its follower is at ${matchIndex()}`);
    }
    assert.ok(lagMost > 2 * compaction.entriesKept, `${lagMost} entries behind at most`);
    assert.ok(leader.replica.status().firstIndex > 100, 'the log was compacted');
    assert.ok((await steady.stop()).length > 200);
  });

  it('needs no log that grows for ever: compaction goes on while the disks are never idle', async () => {
    const cluster = await TestCluster.start({ limits });
    const leader = await cluster.leader();
    // More than one command in the time of a write.
    const propose = (): void => {
      cluster.propose(leader, 'more').catch(() => {});
      cluster.time.after(0.2, propose);
    };
    propose();
    await cluster.time.runFor(1000);
    for (const { disk, name } of cluster.members) {
      const { entries } = disk.content;
      assert.ok(entries.length < 100, `${name} has ${entries.length} entries`);
    }
    assert.ok(leader.replica.status().lastIndex > 4000);
  });

  it('by snapshot replaces what the follower had applied and not stored yet', async () => {
    const cluster = await TestCluster.start({ limits: { ...limits, flushAfterMs: 60_000 } });
    const cut = cluster.follower();
    await fill(cluster, 50);
    await cluster.time.runFor(150);
    assert.ok((cut.disk.content.applied?.index ?? 0) < cut.replica.status().appliedIndex);
    cluster.hub.isolate(
      cut.peer,
      cluster.members.map(({ peer }) => peer),
    );
    await fill(cluster, 1200);
    await cluster.time.runFor(1000);
    cluster.hub.heal();
    await cluster.time.runUntil(() => cut.replica.status().snapshotsInstalled === 1, 20_000, 'the snapshot');
    await fill(cluster, 50);
    await cluster.converged();
    cluster.restart(cut);
    await cluster.converged();
    sameText(cluster);
  });

  it('ends a newcomer whose disk fails while a snapshot comes in: it would write nothing else', async () => {
    const cluster = await TestCluster.start({ limits });
    const leader = await cluster.leader();
    await fill(cluster, 400);
    const newcomer = cluster.add('d');
    const { name, peer, disk } = newcomer;
    disk.failsStaging = true;
    cluster.boot(newcomer);
    const change = { kind: 'add-learner', name, peer, storeId: disk.storeId } as const;
    await cluster.time.until(leader.replica.changeMembership(change), 5000);
    const ended = () => newcomer.events.some(({ kind }) => kind === 'fatal');
    await cluster.time.runUntil(ended, 10_000, 'its end');
    disk.failsStaging = false;
    cluster.restart(newcomer);
    await cluster.converged();
    sameText(cluster);
  });

  it('takes no snapshot that comes as a mere message, without its state, and goes on', async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const follower = cluster.follower();
    await cluster.commit(leader, 'one');
    const { self, membership, term } = leader.replica.status();
    const to = follower.disk.memberId ?? assert.fail();
    const snapshot = { index: logIndex(1000), term, confState: membership.confState };
    const message = { kind: 'snapshot', from: self.id, to, term, snapshot } as const;
    const caller = callerOf(message, membership, self.id, undefined) ?? assert.fail();
    cluster.hub.carry(leader.peer, follower.peer, (node) => node.take(message, caller, assert.fail));
    await cluster.time.runFor(100);
    assert.ok(
      follower.events.some((event) => event.kind === 'message-refused' && /without its state/.test(event.reason)),
    );
    await cluster.commit(leader, 'two');
    await cluster.converged();
    assert.equal(follower.ledger.text, '1 one\n2 two');
  });

  it('closes what it read a snapshot from, whatever became of it', async () => {
    const cluster = await TestCluster.start({ limits });
    const away = cluster.follower();
    const leader = await leaveBehind(away, cluster, 300);
    cluster.boot(away);
    await cluster.converged();
    assert.equal(leader.store.openSnapshots, 0);
  });
});
