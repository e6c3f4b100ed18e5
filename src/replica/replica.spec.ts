import assert from 'node:assert/strict';
import { TestCluster } from '#replica/testing/test-cluster.js';

describe('replica', () => {
  it('alone: founds its cluster, commits and answers', async () => {
    const cluster = await TestCluster.start({ names: ['a'] });
    const a = cluster.member('a');
    const applied = await cluster.commit(a, 'one');
    assert.equal(applied.output, '1: one');
    assert.equal(a.replica.status().role, 'leader');
  });

  it('that is stopped while it begins to listen founds nothing, and its start ends', async () => {
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
