import assert from 'node:assert/strict';
import { ProposeError } from '#replica/ports/replicated-log.js';
import { openSnapshotsMax } from '#replica/requests/open-snapshots.js';
import { TestCluster } from '#replica/testing/test-cluster.js';

function isOverloaded(error: unknown): boolean {
  return (
    error instanceof ProposeError &&
    error.code === 'overloaded' &&
    /16 snapshots of the state are open/.test(error.message)
  );
}

describe('snapshots that a program opens', () => {
  it('are so many at a time, those included that are being opened, and each counts until it is closed', async () => {
    const cluster = await TestCluster.start({ names: ['a'] });
    const { replica, store } = await cluster.leader();
    const open = () => replica.openSnapshot({ fresh: false });
    const opening = Array.from({ length: openSnapshotsMax }, open);
    await assert.rejects(open(), isOverloaded);
    const sources = await cluster.time.until(Promise.all(opening), 5000);
    await assert.rejects(open(), isOverloaded);
    const [first] = sources;
    await first?.close();
    await first?.close();
    const another = await cluster.time.until(open(), 5000);
    await assert.rejects(open(), isOverloaded);
    for (const source of [...sources.slice(1), another]) await source.close();
    assert.equal(store.openSnapshots, 0);
  });

  it('count no more when they could not be opened', async () => {
    const cluster = await TestCluster.start({ names: ['a', 'b', 'c'] });
    const leader = await cluster.leader();
    for (const member of cluster.members) if (member !== leader) cluster.crash(member);
    const failed = Array.from({ length: openSnapshotsMax }, () => leader.replica.openSnapshot({ fresh: true }));
    const outcomes = await cluster.time.until(Promise.allSettled(failed), 10_000);
    assert.ok(outcomes.every(({ status }) => status === 'rejected'));
    const source = await cluster.time.until(leader.replica.openSnapshot({ fresh: false }), 5000);
    await source.close();
  });
});
