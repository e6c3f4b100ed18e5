import assert from 'node:assert/strict';
import { TestHubs } from '#master/testing/test-hub.js';
import { TestWatcher } from '#master/testing/test-watcher.js';

describe('a snapshot', () => {
  it('comes in chunks within the limit, and stands for one revision while changes go on', async () => {
    const test = new TestHubs({ chunkBytesMax: 10_000 });
    test.registerMany(1_500);
    const watcher = new TestWatcher();
    test.watch(watcher);
    // The first slice is made; the rest comes after these.
    test.leave(3);
    test.leave(1_499);
    test.register(5, 2);
    test.register(1_400, 2);
    test.register(2_000);
    await test.settle();
    watcher.assertSameAs(test.at(0).machine);
    const chunks = watcher.messages.filter(({ snapshotChunk }) => snapshotChunk);
    assert.ok(chunks.length > 10);
    assert.ok(watcher.bytes.every(({ length }) => length <= 10_000));
    assert.equal(
      watcher.messages[0]?.snapshotBegin?.revision,
      watcher.messages[chunks.length + 1]?.snapshotEnd?.revision,
    );
  });

  it('is made anew when the network changed while it was made', async () => {
    const test = new TestHubs();
    test.registerMany(1_200);
    const watcher = new TestWatcher();
    test.watch(watcher);
    test.propose({ kind: 'update-overlay', name: 'dcos', enabled: false });
    await test.settle();
    watcher.assertSameAs(test.at(0).machine, { repeated: true });
  });

  it('is made anew once there is a network: one without is of no use to agents', async () => {
    const test = new TestHubs({ settings: 'none' });
    const { watcher: early } = await test.watching();
    assert.deepEqual([early.snapshots, early.network], [1, undefined]);
    test.configure();
    test.register(1);
    const { watcher } = await test.watching();
    watcher.assertSameAs(test.at(0).machine);
    const [, chunk] = watcher.messages;
    assert.ok(chunk?.snapshotChunk?.network, 'the network is in the snapshot itself');
    assert.equal(watcher.snapshots, 1);
  });

  it('is made anew when the state was replaced while it was made', async () => {
    const test = new TestHubs({ members: 2 });
    const { member, machine } = test.at(1);
    test.registerMany(1_200);
    member.lags = true;
    test.leave(1);
    const watcher = new TestWatcher();
    test.watch(watcher, { at: 1 });
    await test.install({ from: 0, to: 1 });
    await test.settle();
    watcher.assertSameAs(machine);
  });

  it('is made in one go when too much changes meanwhile', async () => {
    const test = new TestHubs({ ringCountMax: 3 });
    test.registerMany(1_200);
    let next = 1_200;
    const change = (): void => {
      for (let more = 0; more < 4; more++) test.register(next++);
      if (next < 1_400) test.time.after(0, change);
    };
    test.time.after(0, change);
    const { watcher } = await test.watching();
    const begun = watcher.messages[0]?.snapshotBegin?.revision ?? 0;
    assert.ok(begun < 1_300, `made at revision ${begun}, while the changes went on`);
    watcher.assertSameAs(test.at(0).machine);
  });

  it('is shared, and followed by the events since, while these are few', async () => {
    const test = new TestHubs();
    test.registerMany(100);
    const { watcher: first } = await test.watching();
    test.register(100);
    const { watcher: second } = await test.watching();
    assert.equal(second.bytes[1], first.bytes[1]);
    assert.equal(second.snapshots, 1);
    second.assertSameAs(test.at(0).machine);
  });

  it('is made anew when the events since are many', async () => {
    const test = new TestHubs();
    test.register(0);
    const { watcher: first } = await test.watching();
    for (let number = 1; number < 400; number++) test.register(number);
    const { watcher: second } = await test.watching();
    assert.notEqual(second.bytes[1], first.bytes[1]);
    second.assertSameAs(test.at(0).machine);
  });
});
