import assert from 'node:assert/strict';
import { ProposeError } from '#replica/ports/replicated-log.js';
import { scarce } from '#replica/testing/memory-log-store.js';
import { TestCluster } from '#replica/testing/test-cluster.js';

describe('group commit', () => {
  it('makes one write, and one append per peer, of all commands that came while a write was in flight', async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    await cluster.time.runFor(2000);
    for (const { disk } of cluster.members) disk.fate = () => ({ kind: 'ok', afterMs: 20 });
    const writes = leader.disk.writes.length;
    const first = cluster.propose(leader, 'first');
    await cluster.time.runFor(5);
    const appends: number[] = [];
    const { onSend } = cluster.hub;
    cluster.hub.onSend = (message) => {
      onSend(message);
      if (message.kind === 'append' && message.entries.length > 0) appends.push(message.entries.length);
    };
    const rest = Array.from({ length: 50 }, (_, at) => cluster.propose(leader, `${at}`));
    await cluster.time.until(Promise.all([first, ...rest]), 200);
    const made = leader.disk.writes.slice(writes).map(({ entries = [] }) => entries.length);
    assert.deepEqual(made, [1, 50]);
    assert.deepEqual(appends, [50, 50]);
    assert.deepEqual(cluster.promises.violations, []);
  });

  it('sends the commit to the followers along with the next entries: two messages per change and follower, not four', async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    await cluster.time.runFor(2000);
    const kinds: string[] = [];
    const { onSend } = cluster.hub;
    cluster.hub.onSend = (message) => {
      onSend(message);
      if (message.kind.startsWith('append')) kinds.push(message.kind);
    };
    for (let change = 0; change < 10; change++) await cluster.commit(leader, `${change}`);
    assert.equal(kinds.filter((kind) => kind === 'append').length, 20);
    await cluster.time.runFor(10);
    assert.equal(kinds.filter((kind) => kind === 'append').length, 22, 'and of the last by itself');
    for (const { ledger } of cluster.members) assert.equal(ledger.lines.length, 10);
  });

  it('sends entries to the peers in parallel with its own write: one write later all is answered', async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    await cluster.time.runFor(2000);
    for (const { disk } of cluster.members) disk.fate = () => ({ kind: 'ok', afterMs: 20 });
    const beginMs = cluster.time.now();
    await cluster.commit(leader, 'x');
    const tookMs = cluster.time.now() - beginMs;
    // One hop there, the write, one hop back; in sequence with the own write it would be 42.
    assert.ok(tookMs >= 20 && tookMs <= 22.5, `${tookMs} ms`);
  });

  it('begins to write what came before it applies what is committed', async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const follower = cluster.members.find((member) => member !== leader);
    assert.ok(follower !== undefined);
    await cluster.time.runFor(2000);
    const appliedAtWrite: number[] = [];
    follower.disk.fate = () => {
      appliedAtWrite.push(follower.ledger.lines.length);
      return { kind: 'ok', afterMs: 1 };
    };
    await cluster.commit(leader, 'first');
    await cluster.commit(leader, 'second');
    await cluster.time.runFor(100);
    // The second append brings along that the first is committed.
    assert.deepEqual(appliedAtWrite.slice(0, 2), [0, 0]);
    assert.equal(follower.ledger.lines.length, 2);
  });

  it('stores what was applied with a later log write, and when nothing follows within a second', async () => {
    const cluster = await TestCluster.start({ names: ['a'] });
    const [a] = cluster.members;
    if (a === undefined) throw new Error('no member');
    await cluster.time.runFor(3000);
    const before = a.disk.writes.length;
    await cluster.commit(a, 'one');
    await cluster.commit(a, 'two');
    assert.equal(a.disk.writes.length - before, 2);
    assert.equal(a.disk.writes.at(-1)?.applied?.meta.index, a.replica.status().appliedIndex - 1);
    await cluster.time.runFor(1500);
    assert.equal(a.disk.writes.length - before, 3);
    assert.equal(a.disk.content.applied?.index, a.replica.status().appliedIndex);
    await cluster.time.runFor(10_000);
    assert.equal(a.disk.writes.length - before, 3, 'an idle log writes nothing');
  });

  it('refuses what exceeds its bounds, and says so', async () => {
    const proposals = {
      commandBytesMax: 100,
      queuedMax: 10,
      queuedBytesMax: 500,
      perBatchMax: 4,
      bytesPerBatchMax: 400,
    };
    const cluster = await TestCluster.start({
      names: ['a'],
      limits: { proposals: { ...proposals, underWayMax: 100 } },
    });
    const [a] = cluster.members;
    if (a === undefined) throw new Error('no member');
    await assert.rejects(
      cluster.propose(a, 'x'.repeat(101)),
      (error) =>
        error instanceof ProposeError && error.code === 'too-large' && /101 bytes, 100 at most/.test(error.message),
    );
    const outcomes = Array.from({ length: 30 }, (_, at) =>
      cluster.propose(a, `${at}`).then(
        () => 'ok',
        (error: unknown) => (error instanceof ProposeError ? error.code : 'other'),
      ),
    );
    const settled = await cluster.time.until(Promise.all(outcomes), 1000);
    assert.equal(settled.filter((outcome) => outcome === 'ok').length, 10);
    assert.equal(settled.filter((outcome) => outcome === 'overloaded').length, 20);
    a.disk.space = scarce(3 * 1024 * 1024);
    await assert.rejects(
      cluster.propose(a, 'y'),
      (error) =>
        error instanceof ProposeError &&
        error.code === 'no-space' &&
        /a: 3\.0 MiB free, 80\.0 MiB needed/.test(error.message),
    );
  });
});
