import assert from 'node:assert/strict';
import { PacedRounds } from '#master/leases/paced-rounds.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';

/** Rounds that take until the spec lets them end, and note when they began and with what. */
function testRounds(waitingMax = 100) {
  const time = new VirtualTime();
  const begun: { readonly atMs: number; readonly items: readonly string[]; readonly end: () => void }[] = [];
  const rounds = new PacedRounds<string, string>({
    clock: time,
    intervalMs: 1_000,
    waitingMax,
    round: (items) =>
      new Promise((resolve) => {
        begun.push({ atMs: time.now(), items, end: () => resolve(items.map((item) => `${item}!`)) });
      }),
  });
  return { time, begun, rounds };
}

describe('paced rounds', () => {
  it('begin a second apart at least, each with all that came since the last', async () => {
    const { time, begun, rounds } = testRounds();
    void rounds.add('a');
    await time.runFor(10);
    begun[0]?.end();
    void rounds.add('b');
    await time.runFor(500);
    void rounds.add('c');
    await time.runFor(1_000);
    assert.deepEqual(
      begun.map(({ atMs, items }) => ({ atMs, items })),
      [
        { atMs: 0, items: ['a'] },
        { atMs: 1_000, items: ['b', 'c'] },
      ],
    );
  });

  it('run one at a time, however long one takes', async () => {
    const { time, begun, rounds } = testRounds();
    void rounds.add('a');
    await time.runFor(10);
    void rounds.add('b');
    await time.runFor(5_000);
    assert.equal(begun.length, 1);
    begun[0]?.end();
    await time.runFor(1);
    assert.equal(begun.length, 2);
  });

  it('give each item its own outcome', async () => {
    const { time, begun, rounds } = testRounds();
    const outcomes = Promise.all([rounds.add('a'), rounds.add('b')]);
    await time.runFor(10);
    begun[0]?.end();
    assert.deepEqual(await outcomes, ['a!', 'b!']);
  });

  it('refuse what is more than may wait', async () => {
    const { rounds } = testRounds(2);
    void rounds.add('a');
    void rounds.add('b');
    await assert.rejects(rounds.add('c'), /2 keep-alives wait already/);
  });

  it('reject all that wait when they are stopped', async () => {
    const { time, begun, rounds } = testRounds();
    const waiting = assert.rejects(rounds.add('a'), /is stopping/);
    rounds.stop();
    await waiting;
    await time.runFor(2_000);
    assert.equal(begun.length, 0);
    await assert.rejects(rounds.add('b'), /is stopping/);
  });
});
