import assert from 'node:assert/strict';
import fc from 'fast-check';
import { TestHubs } from '#master/testing/test-hub.js';
import { TestWatcher } from '#master/testing/test-watcher.js';

const longEnoughMs = 2_000;

describe('a watch', () => {
  it('begins with the whole plan, and goes on with every change', async () => {
    const test = new TestHubs();
    test.register(1);
    const watcher = new TestWatcher();
    test.watch(watcher);
    await test.time.runFor(longEnoughMs);
    assert.equal(watcher.snapshots, 1);
    watcher.assertSameAs(test.at(0).machine);
    test.register(2);
    test.leave(1);
    await test.time.runFor(longEnoughMs);
    assert.equal(watcher.snapshots, 1);
    assert.equal(watcher.revision, 4);
    watcher.assertSameAs(test.at(0).machine);
  });

  it('begins with an empty plan where there is none yet', async () => {
    const test = new TestHubs();
    const watcher = new TestWatcher();
    test.watch(watcher);
    await test.time.runFor(longEnoughMs);
    assert.deepEqual(
      watcher.messages.map((message) => Object.keys(message)[0]),
      ['snapshotBegin', 'snapshotChunk', 'snapshotEnd'],
    );
    watcher.assertSameAs(test.at(0).machine);
  });

  it('resumes from its revision at another master, without a gap, a repetition or a snapshot', async () => {
    const test = new TestHubs({ members: 3 });
    const first = new TestWatcher();
    const stop = test.watch(first, { at: 0 });
    test.register(1);
    await test.time.runFor(longEnoughMs);
    stop();
    test.cluster.elect(1);
    test.register(2);
    test.register(3);
    const second = TestWatcher.resume(first);
    test.watch(second, { at: 2 });
    await test.time.runFor(longEnoughMs);
    assert.equal(second.snapshots, 0);
    assert.deepEqual(
      second.messages.flatMap(({ changes }) => changes?.changes?.map((each) => each.agentChanged?.agentId) ?? []),
      ['agent-2', 'agent-3'],
    );
    second.assertSameAs(test.at(2).machine);
  });

  it('of another cluster begins with a snapshot, whatever its revision', async () => {
    const test = new TestHubs();
    test.register(1);
    const watcher = new TestWatcher();
    watcher.clusterId = 'other';
    watcher.revision = 2 ** 40;
    test.watch(watcher);
    await test.time.runFor(longEnoughMs);
    assert.equal(watcher.snapshots, 1);
    watcher.assertSameAs(test.at(0).machine);
  });

  it('too far behind begins with a snapshot', async () => {
    const test = new TestHubs({ ringCountMax: 10 });
    const watcher = new TestWatcher();
    const stop = test.watch(watcher);
    await test.time.runFor(longEnoughMs);
    stop();
    for (let number = 0; number < 11; number++) test.register(number);
    const justBehind = TestWatcher.resume(watcher);
    test.watch(justBehind);
    await test.time.runFor(longEnoughMs);
    assert.equal(justBehind.snapshots, 1);
    justBehind.assertSameAs(test.at(0).machine);
  });

  it('exactly at the end of what is kept needs no snapshot', async () => {
    const test = new TestHubs({ ringCountMax: 10 });
    const watcher = new TestWatcher();
    const stop = test.watch(watcher);
    await test.time.runFor(longEnoughMs);
    stop();
    for (let number = 0; number < 10; number++) test.register(number);
    const resumed = TestWatcher.resume(watcher);
    test.watch(resumed);
    await test.time.runFor(longEnoughMs);
    assert.equal(resumed.snapshots, 0);
    resumed.assertSameAs(test.at(0).machine);
  });

  it('is bounded in bytes, too', async () => {
    const test = new TestHubs({ ringBytesMax: 10_000 });
    const watcher = new TestWatcher();
    const stop = test.watch(watcher);
    await test.time.runFor(longEnoughMs);
    stop();
    for (let number = 0; number < 100; number++) test.register(number);
    assert.ok(test.at(0).ring.bytes <= 10_000);
    const resumed = TestWatcher.resume(watcher);
    test.watch(resumed);
    await test.time.runFor(longEnoughMs);
    assert.equal(resumed.snapshots, 1);
    resumed.assertSameAs(test.at(0).machine);
  });

  it('ahead of a lagging master waits, and never rewinds', async () => {
    const test = new TestHubs({ members: 2 });
    const lagging = test.at(1).member;
    test.register(1);
    lagging.lags = true;
    test.register(2);
    test.register(3);
    const ahead = new TestWatcher();
    test.watch(ahead, { at: 0 });
    await test.time.runFor(longEnoughMs);
    const resumed = TestWatcher.resume(ahead);
    test.watch(resumed, { at: 1 });
    await test.time.runFor(30_000);
    assert.equal(resumed.messages.length, 0);
    lagging.lags = false;
    test.register(4);
    await test.time.runFor(longEnoughMs);
    assert.equal(resumed.snapshots, 0);
    resumed.assertSameAs(test.at(1).machine);
  });

  it('ahead of a master that does not catch up is told to go elsewhere', async () => {
    const test = new TestHubs();
    const watcher = new TestWatcher();
    watcher.clusterId = 'test';
    watcher.revision = 1_000;
    test.watch(watcher);
    await test.time.runFor(62_000);
    assert.equal(watcher.ended?.reason, 'unavailable');
    assert.match(watcher.ended?.message ?? '', /from_revision 1000 is ahead of this master, which has applied 1/);
    assert.equal(test.at(0).hub.size, 0);
  });

  it('goes on with a snapshot when the state was replaced under it', async () => {
    const test = new TestHubs({ members: 2 });
    const { member, machine } = test.at(1);
    const watcher = new TestWatcher();
    test.watch(watcher, { at: 1 });
    await test.time.runFor(longEnoughMs);
    member.lags = true;
    test.register(1);
    test.register(2);
    await member.install(
      test
        .at(0)
        .machine.ipam.records()
        .map(([key, value]) => ({ key, value })),
    );
    await test.time.runFor(longEnoughMs);
    assert.equal(watcher.snapshots, 2);
    watcher.assertSameAs(machine);
  });

  it('is told of progress now and then, once, when nothing else was to be told', async () => {
    const test = new TestHubs();
    const watcher = new TestWatcher();
    test.watch(watcher);
    await test.time.runFor(longEnoughMs);
    test.pass();
    test.pass();
    await test.time.runFor(11_000);
    assert.equal(watcher.progresses, 1);
    assert.equal(watcher.revision, 3);
    await test.time.runFor(120_000);
    assert.equal(watcher.progresses, 1);
    assert.equal(test.at(0).hub.size, 1);
  });

  it('for peers only leaves out what concerns no peer, and is told of progress instead', async () => {
    const test = new TestHubs();
    test.register(1);
    const [all, peers] = [new TestWatcher(), new TestWatcher()];
    test.watch(all);
    test.watch(peers, { peersOnly: true });
    await test.time.runFor(longEnoughMs);
    const { agentId, epoch } = test.at(0).machine.ipam.agentsAfter(undefined, 1)[0] ?? assert.fail();
    test.propose({ kind: 'report-status', agentId, epoch, overlays: [{ overlay: 'dcos', status: 'ok', error: '' }] });
    await test.time.runFor(11_000);
    assert.equal(all.messages.filter(({ changes }) => changes).length, 1);
    assert.equal(peers.messages.filter(({ changes }) => changes).length, 0);
    assert.equal(peers.revision, 3);
    test.register(2);
    await test.time.runFor(longEnoughMs);
    assert.equal(peers.messages.filter(({ changes }) => changes).length, 1);
  });

  it('never splits a revision, however small its batches', async () => {
    const test = new TestHubs({ batchBytesMax: 1 });
    const watcher = new TestWatcher();
    test.watch(watcher);
    for (let number = 0; number < 5; number++) test.register(number);
    await test.time.runFor(longEnoughMs);
    const agentIds = test
      .at(0)
      .machine.ipam.agentsAfter(undefined, 5)
      .map(({ agentId }) => agentId);
    test.propose({ kind: 'release', agentIds, force: true, holders: [] });
    test.register(7);
    await test.time.runFor(longEnoughMs);
    const sizes = watcher.messages.flatMap(({ changes }) => (changes ? [changes.changes?.length] : []));
    assert.deepEqual(sizes.slice(-2), [5, 1]);
    watcher.assertSameAs(test.at(0).machine);
  });

  it('encodes an event once, whatever the number of watchers', async () => {
    const test = new TestHubs();
    const watchers = Array.from({ length: 20 }, () => new TestWatcher());
    for (const watcher of watchers) test.watch(watcher);
    await test.time.runFor(longEnoughMs);
    test.register(1);
    test.register(2);
    await test.time.runFor(longEnoughMs);
    const sent = new Set(watchers.map(({ bytes }) => bytes.at(-1)));
    assert.equal(sent.size, 1, 'all were sent the very same buffer');
    const begun = new Set(watchers.map(({ bytes }) => bytes[1]));
    assert.equal(begun.size, 1, 'the snapshot, too');
  });

  it('gathers what comes together into one message', async () => {
    const test = new TestHubs();
    const watcher = new TestWatcher();
    test.watch(watcher);
    await test.time.runFor(longEnoughMs);
    for (let number = 0; number < 50; number++) test.register(number);
    await test.time.runFor(longEnoughMs);
    assert.equal(watcher.messages.filter(({ changes }) => changes).length, 1);
  });

  it('among many misses nothing that comes while the others are served', async () => {
    const test = new TestHubs();
    const watchers = Array.from({ length: 600 }, () => new TestWatcher());
    for (const watcher of watchers) test.watch(watcher);
    await test.time.runFor(longEnoughMs);
    test.register(1);
    // Due right after the first 500 are served.
    test.time.after(30, () => test.register(2));
    await test.time.runFor(longEnoughMs);
    assert.deepEqual(new Set(watchers.map(({ revision }) => revision)), new Set([3]));
    assert.ok(watchers.some(({ messages }) => messages.filter(({ changes }) => changes).length === 2));
    assert.ok(watchers.some(({ messages }) => messages.filter(({ changes }) => changes).length === 1));
  });

  it('that ends is forgotten', async () => {
    const test = new TestHubs();
    const watcher = new TestWatcher();
    const stop = test.watch(watcher);
    await test.time.runFor(longEnoughMs);
    stop();
    test.register(1);
    await test.time.runFor(longEnoughMs);
    assert.equal(watcher.agents.size, 0);
    assert.equal(test.at(0).hub.size, 0);
  });
});

describe('a slow watcher', () => {
  it('has one message under way, and gets what it missed in one when it reads on', async () => {
    const test = new TestHubs();
    const watcher = new TestWatcher();
    test.watch(watcher);
    await test.time.runFor(longEnoughMs);
    watcher.reads = false;
    for (let number = 0; number < 30; number++) {
      test.register(number);
      await test.time.runFor(100);
    }
    assert.equal(watcher.messages.filter(({ changes }) => changes).length, 1);
    watcher.readOn();
    await test.time.runFor(longEnoughMs);
    assert.equal(watcher.messages.filter(({ changes }) => changes).length, 2);
    watcher.assertSameAs(test.at(0).machine);
  });

  it('gets a snapshot when what it missed is not kept any more', async () => {
    const test = new TestHubs({ ringCountMax: 10 });
    const watcher = new TestWatcher();
    test.watch(watcher);
    await test.time.runFor(longEnoughMs);
    watcher.reads = false;
    for (let number = 0; number < 30; number++) {
      test.register(number);
      await test.time.runFor(100);
    }
    watcher.readOn();
    await test.time.runFor(longEnoughMs);
    assert.equal(watcher.snapshots, 2);
    watcher.assertSameAs(test.at(0).machine);
  });

  it('that reads nothing is let go', async () => {
    const test = new TestHubs();
    const watcher = new TestWatcher();
    test.watch(watcher);
    await test.time.runFor(longEnoughMs);
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
      await test.time.runFor(longEnoughMs);
      test.register(next++);
      await test.time.runFor(longEnoughMs);
      watcher.reads = false;
      test.register(next++);
      await test.time.runFor(longEnoughMs);
      for (let more = 0; more < 6; more++) test.register(next++);
      watcher.readOn();
    }
    await test.time.runFor(longEnoughMs);
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

  it('that is never done with a snapshot is let go', async () => {
    const test = new TestHubs({ ringCountMax: 3 });
    for (let number = 0; number < 20; number++) test.register(number);
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

describe('a snapshot', () => {
  it('comes in chunks within the limit, and stands for one revision while changes go on', async () => {
    const test = new TestHubs({ chunkBytesMax: 10_000 });
    for (let number = 0; number < 1_500; number++) test.register(number);
    const watcher = new TestWatcher();
    test.watch(watcher);
    // The first slice is made; the rest comes after these.
    test.leave(3);
    test.leave(1_499);
    test.register(5, 2);
    test.register(1_400, 2);
    test.register(2_000);
    await test.time.runFor(longEnoughMs);
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
    for (let number = 0; number < 1_200; number++) test.register(number);
    const watcher = new TestWatcher();
    test.watch(watcher);
    test.propose({ kind: 'update-overlay', name: 'dcos', enabled: false });
    await test.time.runFor(longEnoughMs);
    watcher.assertSameAs(test.at(0).machine, { repeated: true });
  });

  it('is made anew when the state was replaced while it was made', async () => {
    const test = new TestHubs({ members: 2 });
    const { member, machine } = test.at(1);
    for (let number = 0; number < 1_200; number++) test.register(number);
    member.lags = true;
    test.leave(1);
    const watcher = new TestWatcher();
    test.watch(watcher, { at: 1 });
    await member.install(
      test
        .at(0)
        .machine.ipam.records()
        .map(([key, value]) => ({ key, value })),
    );
    await test.time.runFor(longEnoughMs);
    watcher.assertSameAs(machine);
  });

  it('is made in one go when too much changes meanwhile', async () => {
    const test = new TestHubs({ ringCountMax: 3 });
    for (let number = 0; number < 1_200; number++) test.register(number);
    let next = 1_200;
    const change = (): void => {
      for (let more = 0; more < 4; more++) test.register(next++);
      if (next < 1_400) test.time.after(0, change);
    };
    test.time.after(0, change);
    const watcher = new TestWatcher();
    test.watch(watcher);
    await test.time.runFor(longEnoughMs);
    const begun = watcher.messages[0]?.snapshotBegin?.revision ?? 0;
    assert.ok(begun < 1_300, `made at revision ${begun}, while the changes went on`);
    watcher.assertSameAs(test.at(0).machine);
  });

  it('is shared, and followed by the events since, while these are few', async () => {
    const test = new TestHubs();
    for (let number = 0; number < 100; number++) test.register(number);
    const first = new TestWatcher();
    test.watch(first);
    await test.time.runFor(longEnoughMs);
    test.register(100);
    const second = new TestWatcher();
    test.watch(second);
    await test.time.runFor(longEnoughMs);
    assert.equal(second.bytes[1], first.bytes[1]);
    assert.equal(second.snapshots, 1);
    second.assertSameAs(test.at(0).machine);
  });

  it('is made anew when the events since are many', async () => {
    const test = new TestHubs();
    test.register(0);
    const first = new TestWatcher();
    test.watch(first);
    await test.time.runFor(longEnoughMs);
    for (let number = 1; number < 400; number++) test.register(number);
    const second = new TestWatcher();
    test.watch(second);
    await test.time.runFor(longEnoughMs);
    assert.notEqual(second.bytes[1], first.bytes[1]);
    second.assertSameAs(test.at(0).machine);
  });
});

describe('watchers and changes in any order', () => {
  type Step =
    | { readonly kind: 'register' | 'again' | 'leave'; readonly number: number }
    | { readonly kind: 'pass' | 'watch' | 'stop' | 'move' | 'toggle' | 'stall' | 'read' | 'network' }
    | { readonly kind: 'wait'; readonly ms: number };
  const number = fc.nat({ max: 20 });
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constantFrom('register', 'again', 'leave'), number }) },
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constantFrom('pass', 'watch', 'stop', 'move', 'toggle', 'stall', 'read', 'network'),
      }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('wait'), ms: fc.nat({ max: 3_000 }) }) },
  );

  it('leave every watcher with the plan as it is', async function () {
    this.timeout(60_000);
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 60 }),
        fc.integer({ min: 2, max: 30 }),
        async (steps, ringCountMax) => {
          const test = new TestHubs({ members: 2, ringCountMax, batchBytesMax: 600, chunkBytesMax: 1_000 });
          const watching: { watcher: TestWatcher; at: number; stop: () => void }[] = [];
          let enabled = true;
          const act = async (what: Step): Promise<void> => {
            const last = watching.at(-1);
            switch (what.kind) {
              case 'register':
                return test.register(what.number);
              case 'again':
                return test.register(what.number, 2 + test.cluster.commands.length);
              case 'leave':
                return test.leave(what.number);
              case 'pass':
                return test.pass();
              case 'network':
                enabled = !enabled;
                return test.propose({ kind: 'update-overlay', name: 'dcos', enabled });
              case 'watch': {
                const watcher = new TestWatcher();
                watching.push({ watcher, at: 0, stop: test.watch(watcher, { at: 0 }) });
                return;
              }
              case 'stop':
                watching.pop()?.stop();
                return;
              case 'move': {
                if (last === undefined) return;
                last.stop();
                watching.pop();
                const watcher = TestWatcher.resume(last.watcher);
                const at = 1 - last.at;
                watching.push({ watcher, at, stop: test.watch(watcher, { at }) });
                return;
              }
              case 'toggle': {
                const { member } = test.at(1);
                member.lags = !member.lags;
                test.cluster.spread();
                return;
              }
              case 'stall':
                if (last !== undefined) last.watcher.reads = false;
                return;
              case 'read':
                return last?.watcher.readOn();
              case 'wait':
                return test.time.runFor(what.ms);
            }
          };
          for (const each of steps) await act(each);
          test.at(1).member.lags = false;
          test.pass();
          for (const { watcher } of watching) watcher.readOn();
          await test.time.runFor(15_000);
          for (const { watcher, at } of watching) {
            if (watcher.ended !== undefined) assert.equal(watcher.ended.reason, 'too-slow');
            else watcher.assertSameAs(test.at(at).machine);
          }
          assert.deepEqual(test.reported, []);
        },
      ),
      { numRuns: 150 },
    );
  });
});
