import assert from 'node:assert/strict';
import { TestHubs } from '#master/testing/test-hub.js';
import { TestWatcher } from '#master/testing/test-watcher.js';

describe('a slow watcher', () => {
  it('has one message under way, and gets what it missed in one when it reads on', async () => {
    const test = new TestHubs();
    const { watcher } = await test.watching();
    watcher.reads = false;
    for (let number = 0; number < 30; number++) {
      test.register(number);
      await test.time.runFor(100);
    }
    assert.equal(watcher.batches, 1);
    watcher.readOn();
    await test.settle();
    assert.equal(watcher.batches, 2);
    watcher.assertSameAs(test.at(0).machine);
  });

  it('gets a snapshot when what it missed is not kept any more', async () => {
    const test = new TestHubs({ ringCountMax: 10 });
    const { watcher } = await test.watching();
    watcher.reads = false;
    for (let number = 0; number < 30; number++) {
      test.register(number);
      await test.time.runFor(100);
    }
    watcher.readOn();
    await test.settle();
    assert.equal(watcher.snapshots, 2);
    watcher.assertSameAs(test.at(0).machine);
  });

  it('that reads nothing is closed', async () => {
    const test = new TestHubs();
    const { watcher } = await test.watching();
    watcher.reads = false;
    test.register(1);
    await test.time.runFor(20_000);
    assert.equal(test.at(0).hub.size, 1);
    await test.time.runFor(12_000);
    assert.equal(watcher.ended?.reason, 'too-slow');
    assert.equal(test.at(0).hub.size, 0);
  });

  it('may need a snapshot any number of times, if it gets along in between', async () => {
    const test = new TestHubs({ ringCountMax: 5 });
    const watcher = new TestWatcher();
    test.watch(watcher);
    let next = 0;
    for (let round = 0; round < 6; round++) {
      await test.settle();
      test.register(next++);
      await test.settle();
      watcher.reads = false;
      test.register(next++);
      await test.settle();
      for (let more = 0; more < 6; more++) test.register(next++);
      watcher.readOn();
    }
    await test.settle();
    assert.equal(watcher.snapshots, 7);
    watcher.assertSameAs(test.at(0).machine);
  });

  it('makes room when too many others hold snapshots of their own', async () => {
    const test = new TestHubs({ ringCountMax: 3 });
    const watchers: TestWatcher[] = [];
    for (let round = 0; round < 4; round++) {
      for (let number = 0; number < 4; number++) test.register(round * 4 + number);
      const watcher = new TestWatcher();
      watcher.reads = false;
      watchers.push(watcher);
      test.watch(watcher);
      await test.time.runFor(1_000);
    }
    assert.deepEqual(
      watchers.map(({ ended }) => ended?.reason),
      ['too-slow', undefined, undefined, undefined],
    );
  });

  it('that is never done with a snapshot is closed', async () => {
    const test = new TestHubs({ ringCountMax: 3 });
    test.registerMany(20);
    const watcher = new TestWatcher();
    watcher.reads = false;
    test.watch(watcher);
    let next = 20;
    for (let round = 0; round < 30 && watcher.ended === undefined; round++) {
      for (let more = 0; more < 5; more++) test.register(next++);
      await test.time.runFor(1_000);
      watcher.readOn();
      watcher.reads = false;
    }
    assert.equal(watcher.ended?.reason, 'too-slow');
    assert.match(watcher.ended?.message ?? '', /after 3 snapshots/);
  });
});
