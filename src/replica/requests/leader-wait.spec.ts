import assert from 'node:assert/strict';
import { ProposeError } from '#replica/ports/replicated-log.js';
import { TestCluster } from '#replica/testing/test-cluster.js';

describe('waiting for a leader', () => {
  it('ends with the leader on every member, and on the leader not before it may serve', async () => {
    const cluster = new TestCluster();
    for (const member of cluster.members) cluster.boot(member);
    await cluster.time.until(Promise.all(cluster.members.map(({ process }) => process?.started)), 5000);
    const waits = cluster.members.map(async (member) => {
      const { name } = await member.replica.leader(10_000);
      // Proposed without another look.
      if (name === member.name) await cluster.propose(member, 'one');
      return name;
    });
    const names = await cluster.time.until(Promise.all(waits), 15_000);
    assert.equal(new Set(names).size, 1);
    const [again] = cluster.members.map(({ replica }) => replica.leader(0));
    assert.equal((await again)?.name, names[0], 'there is one already');
  });

  it('gives up after its time', async () => {
    const cluster = await TestCluster.start();
    const [a, b, c] = cluster.members;
    if (a === undefined || b === undefined || c === undefined) throw new Error('three members');
    cluster.crash(b);
    cluster.crash(c);
    await cluster.time.runFor(5000);
    const outcome = a.replica.leader(3000).catch((error: unknown) => error);
    const error = await cluster.time.until(outcome, 3001);
    assert.ok(error instanceof ProposeError && error.code === 'timeout', String(error));
  });

  for (const [where, bootstrapped] of [
    ['waits for its founders', false],
    ['takes part', true],
  ] as const) {
    it(`ends at once when the member stops that ${where}, and nothing is left armed`, async () => {
      const cluster = new TestCluster();
      const [a] = cluster.members;
      if (a === undefined) throw new Error('three members');
      for (const member of bootstrapped ? cluster.members : [a]) cluster.boot(member);
      if (bootstrapped) await cluster.leader();
      for (const member of cluster.members) if (member !== a) cluster.crash(member);
      await cluster.time.runFor(5000);
      const { timers } = a.process ?? assert.fail();
      const outcome = a.replica.leader(60_000).catch((error: unknown) => error);
      const beginMs = cluster.time.now();
      await cluster.time.until(a.replica.stop(), 5000);
      for (const told of [outcome, a.replica.leader(60_000).catch((error: unknown) => error)]) {
        const error = await cluster.time.until(told, 1000);
        assert.ok(error instanceof ProposeError && error.code === 'stopped', String(error));
      }
      assert.ok(cluster.time.now() - beginMs < 1000, `${cluster.time.now() - beginMs} ms`);
      assert.equal(timers.size, 0, 'timers that keep the process');
    });
  }
});
