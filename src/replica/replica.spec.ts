import assert from 'node:assert/strict';
import { TestCluster, type TestClusterOptions } from '#replica/testing/test-cluster.js';

describe('replica', () => {
  it('alone: bootstraps its cluster, commits and answers', async () => {
    const cluster = await TestCluster.start({ names: ['a'] });
    const a = cluster.member('a');
    const applied = await cluster.commit(a, 'one');
    assert.equal(applied.output, '1: one');
    assert.equal(a.replica.status().role, 'leader');
  });

  it('is not made with a timing, a limit or a name that is out of range', () => {
    const made = (options: TestClusterOptions, name = 'a') => {
      const cluster = new TestCluster({ names: [name], ...options });
      cluster.boot(cluster.member(name));
    };
    assert.throws(() => made({ timing: { heartbeatMs: 100, electionMs: 100 } }), /election timeout 100ms is too short/);
    assert.throws(() => made({ limits: { snapshotSendsMax: 0 } }), /limits\.snapshotSendsMax is 0: 1 at least/);
    assert.throws(() => made({}, 'A'), /member name "A"/);
  });

  it('that is stopped while it begins to listen bootstraps nothing, and its start ends', async () => {
    const cluster = new TestCluster({ names: ['a', 'b'] });
    const a = cluster.member('a');
    cluster.boot(a);
    await a.replica.stop();
    await cluster.time.until(a.process?.started ?? Promise.reject(new Error('no process')), 1000);
    cluster.boot(cluster.member('b'));
    await cluster.time.runFor(5000);
    assert.equal(a.disk.content.applied, undefined);
    assert.deepEqual(a.events, []);
  });

  it('that is stopped while it loads its state uses its store no more', async () => {
    const cluster = await TestCluster.start({ names: ['a'] });
    const a = cluster.member('a');
    await cluster.commit(a, 'one');
    await cluster.time.runFor(2000);
    cluster.restart(a);
    const { store, started } = a.process ?? assert.fail();
    const records = store.records.bind(store);
    let reading = false;
    store.records = async function* () {
      reading = true;
      await cluster.time.sleep(700);
      yield* records();
      reading = false;
    };
    await cluster.time.runUntil(() => reading, 1000);
    await cluster.time.until(a.replica.stop(), 1000);
    assert.equal(reading, false);
    await started;
    await cluster.time.runFor(3000);
    assert.deepEqual(a.replica.status().role, 'follower');
  });

  it('that waits for its founders is stopped at once, whichever does not answer', async () => {
    const cluster = new TestCluster({ names: ['a', 'b'] });
    const [a, b] = cluster.members;
    if (a === undefined || b === undefined) throw new Error('two members');
    cluster.boot(a);
    cluster.boot(b);
    cluster.pause(b, 60_000);
    cluster.hub.cut(b.peer, a.peer);
    await cluster.time.runFor(150);
    const beginMs = cluster.time.now();
    await cluster.time.until(a.replica.stop(), 1000);
    assert.equal(cluster.time.now(), beginMs);
  });

  it('that is stopped leaves nothing armed: right after its bootstrap, and when it is about to go', async () => {
    const cluster = new TestCluster();
    for (const member of cluster.members) cluster.boot(member);
    const [first] = cluster.members;
    if (first === undefined) throw new Error('three members');
    await cluster.time.runUntil(() => first.replica.status().commitIndex > 0, 5000, 'its bootstrap');
    assert.equal(first.replica.status().term, 1, 'it waits for the others to be connected');
    const young = first.process?.timers ?? assert.fail();
    await cluster.time.until(first.replica.stop(), 1000);
    assert.equal(young.size, 0);
    cluster.restart(first);
    const leader = await cluster.leader();
    const removed = cluster.follower();
    const { timers } = removed.process ?? assert.fail();
    await cluster.converged();
    const { memberId } = removed.disk;
    if (memberId === undefined) throw new Error('a member');
    await cluster.time.until(leader.replica.changeMembership({ kind: 'remove', member: memberId }), 5000);
    const known = (): boolean => removed.replica.status().membership.members.length === 2;
    await cluster.time.runUntil(known, 500, 'it knows that it was removed');
    await cluster.time.until(removed.replica.stop(), 1000);
    assert.ok(!removed.events.some(({ kind }) => kind === 'removed'), 'it had not gone by itself');
    assert.equal(timers.size, 0);
  });

  it('three: what the leader answers is applied on all', async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const answers = await cluster.time.until(
      Promise.all(['one', 'two', 'three'].map((text) => cluster.propose(leader, text))),
      1000,
    );
    assert.deepEqual(
      answers.map(({ output }) => output),
      ['1: one', '2: two', '3: three'],
    );
    await cluster.converged();
    for (const { ledger } of cluster.members) assert.equal(ledger.text, '1 one\n2 two\n3 three');
  });
});
