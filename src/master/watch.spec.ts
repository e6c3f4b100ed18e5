import assert from 'node:assert/strict';
import { parseStatusError } from '#ipam/registration-fields.js';
import { peerMessage } from '#master/services/plan-message.js';
import { TestHubs } from '#master/testing/test-hub.js';
import { TestWatcher, watcherText } from '#master/testing/test-watcher.js';
import { sublet } from '#proto/sublet.js';
import { ProposeError } from '#replica/ports/replicated-log.js';

const { Peer } = sublet.v1;

describe('a watch', () => {
  it('begins with the whole plan, and goes on with every change', async () => {
    const test = new TestHubs();
    test.register(1);
    const { watcher } = await test.watching();
    assert.equal(watcher.snapshots, 1);
    watcher.assertSameAs(test.at(0).machine);
    test.register(2);
    test.leave(1);
    await test.settle();
    assert.equal(watcher.snapshots, 1);
    assert.equal(watcher.revision, 5);
    assert.equal(watcher.branch, test.at(0).machine.ipam.branchAt(5));
    watcher.assertSameAs(test.at(0).machine);
  });

  it('begins with an empty plan where there is none yet', async () => {
    const test = new TestHubs();
    const { watcher } = await test.watching();
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
    await test.settle();
    stop();
    test.elect(1);
    test.register(2);
    test.register(3);
    const { watcher: second } = await test.watching({ from: first, at: 2 });
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
    await test.settle();
    assert.equal(watcher.snapshots, 1);
    watcher.assertSameAs(test.at(0).machine);
  });

  it('too far behind begins with a snapshot', async () => {
    const test = new TestHubs({ ringCountMax: 10 });
    const { watcher, stop } = await test.watching();
    stop();
    test.registerMany(11);
    const { watcher: justBehind } = await test.watching({ from: watcher });
    assert.equal(justBehind.snapshots, 1);
    justBehind.assertSameAs(test.at(0).machine);
  });

  it('exactly at the end of what is kept needs no snapshot', async () => {
    const test = new TestHubs({ ringCountMax: 10 });
    const { watcher, stop } = await test.watching();
    stop();
    test.registerMany(10);
    const { watcher: resumed } = await test.watching({ from: watcher });
    assert.equal(resumed.snapshots, 0);
    resumed.assertSameAs(test.at(0).machine);
  });

  it('is bounded in bytes, too', async () => {
    const test = new TestHubs({ ringBytesMax: 10_000 });
    const { watcher, stop } = await test.watching();
    stop();
    test.registerMany(100);
    assert.ok(test.at(0).ring.bytes <= 10_000);
    const { watcher: resumed } = await test.watching({ from: watcher });
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
    const { watcher: ahead } = await test.watching();
    const resumed = TestWatcher.resume(ahead);
    test.watch(resumed, { at: 1 });
    await test.time.runFor(30_000);
    assert.equal(resumed.messages.length, 0);
    lagging.lags = false;
    test.register(4);
    await test.settle();
    assert.equal(resumed.snapshots, 0);
    resumed.assertSameAs(test.at(1).machine);
  });

  it('ahead of a master that can not learn the end of the log is ended as unavailable', async () => {
    const test = new TestHubs();
    test.at(0).member.trouble = { error: new ProposeError('timeout', 'no quorum'), lost: false };
    const watcher = new TestWatcher();
    watcher.clusterId = 'test';
    watcher.revision = 1_000;
    test.watch(watcher);
    await test.time.runFor(62_000);
    assert.equal(watcher.ended?.reason, 'unavailable');
    assert.match(watcher.ended?.message ?? '', /from_revision 1000 is ahead of this master, which has applied 2/);
    assert.equal(test.at(0).hub.size, 0);
    assert.deepEqual(test.untrue, []);
  });

  it('beyond the end of the log begins with a snapshot, and the leader gets a report', async () => {
    const test = new TestHubs({ members: 2 });
    test.register(1);
    const watcher = new TestWatcher();
    watcher.clusterId = 'test';
    watcher.forgets = true;
    watcher.revision = 1_000;
    watcher.branch = '0.1.0123456789ab';
    test.watch(watcher, { at: 1 });
    await test.settle();
    assert.equal(watcher.snapshots, 1);
    assert.deepEqual(test.untrue, ['1000 0.1.0123456789ab']);
    test.register(2);
    await test.settle();
    watcher.assertSameAs(test.at(1).machine);
  });

  it('row 75: of a caller that only reads begins with a snapshot, too, and is not reported to the leader', async () => {
    const test = new TestHubs();
    test.register(1);
    for (const revision of [1, 1_000]) {
      const watcher = new TestWatcher();
      Object.assign(watcher, { clusterId: 'test', revision, branch: '0.1.0123456789ab', forgets: true });
      test.watch(watcher, { testifies: false });
      await test.settle();
      assert.equal(watcher.snapshots, 1);
      watcher.assertSameAs(test.at(0).machine);
    }
    assert.deepEqual(test.untrue, []);
  });

  it('that names no branch, or one that the history does not have there, begins with a snapshot', async () => {
    const test = new TestHubs();
    test.register(1);
    const { watcher: first, stop } = await test.watching();
    stop();
    test.elect(0);
    test.register(2);
    for (const [branch, untrue] of [
      ['', []],
      ['nonsense', ['3 nonsense']],
      ['0.1.0123456789ab', ['3 0.1.0123456789ab']],
      [test.at(0).machine.ipam.branchAt(4), [`3 ${test.at(0).machine.ipam.branchAt(4)}`]],
    ] as const) {
      test.untrue.length = 0;
      const watcher = TestWatcher.resume(first);
      watcher.branch = branch;
      test.watch(watcher);
      await test.settle();
      assert.equal(watcher.snapshots, 1, branch);
      assert.deepEqual(test.untrue, untrue);
      watcher.assertSameAs(test.at(0).machine);
    }
    // The branch that it got is of this history still.
    const { watcher: resumed } = await test.watching({ from: first });
    assert.equal(resumed.snapshots, 0);
    resumed.assertSameAs(test.at(0).machine);
  });

  it('ahead of a lagging master with a lost branch gets a snapshot once that has caught up', async () => {
    const test = new TestHubs({ members: 2 });
    test.at(1).member.lags = true;
    test.registerMany(3);
    const watcher = new TestWatcher();
    Object.assign(watcher, { clusterId: 'test', revision: 4, branch: '0.1.0123456789ab', forgets: true });
    test.watch(watcher, { at: 1 });
    await test.settle();
    test.at(1).member.lags = false;
    test.register(4);
    await test.settle();
    assert.equal(watcher.snapshots, 1);
    watcher.assertSameAs(test.at(1).machine);
  });

  it('goes on with a snapshot when the state was replaced under it', async () => {
    const test = new TestHubs({ members: 2 });
    const { member, machine } = test.at(1);
    const { watcher } = await test.watching({ at: 1 });
    member.lags = true;
    test.register(1);
    test.register(2);
    await test.install({ from: 0, to: 1 });
    await test.settle();
    assert.equal(watcher.snapshots, 2);
    watcher.assertSameAs(machine);
  });

  it('gets its progress now and then, once, when there is no event', async () => {
    const test = new TestHubs();
    const { watcher } = await test.watching();
    test.pass();
    test.pass();
    await test.time.runFor(11_000);
    assert.equal(watcher.progresses, 1);
    assert.equal(watcher.revision, 4);
    assert.equal(watcher.branch, test.at(0).machine.ipam.branchAt(4));
    await test.time.runFor(120_000);
    assert.equal(watcher.progresses, 1);
    assert.equal(test.at(0).hub.size, 1);
  });

  it('for peers only leaves out what concerns no peer, and gets its progress instead', async () => {
    const test = new TestHubs();
    test.register(1);
    const [all, peers] = [new TestWatcher(), new TestWatcher()];
    test.watch(all);
    test.watch(peers, { view: 'peers' });
    await test.settle();
    const { agentId, epoch } = test.at(0).machine.ipam.agentsAfter(undefined, 1)[0] ?? assert.fail();
    const overlays = [{ overlay: 'dcos', status: 'ok', error: parseStatusError('') }] as const;
    test.propose({ kind: 'report-status', agentId, epoch, overlays });
    await test.time.runFor(11_000);
    assert.equal(all.batches, 1);
    assert.equal(peers.batches, 0);
    assert.equal(peers.revision, 4);
    test.register(2);
    await test.settle();
    assert.equal(peers.batches, 1);
  });

  it('in the short form brings the same peers for 20 bytes each in a snapshot, and 60 in a change', async () => {
    const test = new TestHubs();
    test.registerMany(1_000);
    const watcher = new TestWatcher();
    test.watch(watcher, { view: 'short' });
    await test.settle();
    const { ipam } = test.at(0).machine;
    const peers = (): Map<string, string> => {
      const agents = ipam.agentsAfter(undefined, ipam.agentCount + 1);
      return new Map(
        agents.map((agent) => [`${agent.agentId}`, watcherText(Peer.encode(peerMessage(agent)).finish())]),
      );
    };
    assert.deepEqual(watcher.agents, peers());
    const [agent] = ipam.agentsAfter(undefined, 1);
    assert.equal(agent && peerMessage({ ...agent, reachable: false }).unreachable, true);
    const snapshotBytes = watcher.bytes.reduce((sum, { length }) => sum + length, 0);
    assert.ok(snapshotBytes <= 20 * 1_000, `${snapshotBytes} bytes`);

    for (let number = 1_000; number < 1_010; number += 1) test.register(number);
    test.leave(3);
    const before = watcher.bytes.length;
    await test.settle();
    assert.deepEqual(watcher.agents, peers());
    const [batch, ...more] = watcher.bytes.slice(before);
    assert.equal(more.length, 0);
    assert.ok((batch?.length ?? 0) <= 60 * 11, `${batch?.length} bytes`);
  });

  it('in the short form brings many changes for 20 bytes each, and a few uncompressed', async () => {
    const test = new TestHubs();
    const { watcher } = await test.watching({ view: 'short' });
    test.registerMany(200);
    await test.settle();
    assert.ok((watcher.bytes.at(-1)?.length ?? 0) <= 20 * 200, `${watcher.bytes.at(-1)?.length} bytes`);
    assert.equal(watcher.batches, 1);
    assert.equal(watcher.agents.size, 200);
    assert.equal(watcher.messages.at(-1)?.deflatedChanges?.revision, test.at(0).machine.ipam.revision);
    test.register(200);
    await test.settle();
    assert.ok(watcher.messages.at(-1)?.changes);
    assert.equal(watcher.agents.size, 201);
  });

  it('that has read a snapshot gets what came meanwhile with the others', async () => {
    const test = new TestHubs();
    test.register(0);
    const { watcher } = await test.watching();
    test.register(1);
    const late = new TestWatcher();
    test.watch(late);
    await test.time.runFor(2);
    assert.equal(late.snapshots, 1);
    test.register(2);
    await test.settle();
    assert.deepEqual([watcher.batches, late.snapshots, late.batches], [1, 1, 1]);
    assert.equal(late.bytes.at(-1), watcher.bytes.at(-1));
  });

  it('waits for the more company, the more changes come, and not for a single one', async () => {
    const test = new TestHubs();
    const watchers = Array.from({ length: 250 }, () => new TestWatcher());
    for (const watcher of watchers) test.watch(watcher);
    await test.settle();
    const [one] = watchers;
    const change = (number: number): void => test.register(number);
    change(0);
    await test.time.runFor(10);
    assert.equal(one?.batches, 1);
    // One each ms: rounds of 5 changes after 5 ms, of 25 after 25 ms, and of 100, which is the longest wait.
    for (let number = 1; number <= 1_000; number += 1) {
      change(number);
      await test.time.runFor(1);
    }
    assert.ok((one?.batches ?? 0) <= 20, `${one?.batches} batches`);
    await test.settle();
    const before = one?.batches ?? 0;
    change(2_000);
    await test.time.runFor(10);
    assert.equal(one?.batches, before + 1);
  });

  it('never splits a revision, however small its batches', async () => {
    const test = new TestHubs({ batchBytesMax: 1 });
    const watcher = new TestWatcher();
    test.watch(watcher);
    test.registerMany(5);
    await test.settle();
    const agentIds = test
      .at(0)
      .machine.ipam.agentsAfter(undefined, 5)
      .map(({ agentId }) => agentId);
    test.propose({ kind: 'release', agentIds, force: true, holders: [] });
    test.register(7);
    await test.settle();
    const sizes = watcher.messages.flatMap(({ changes }) => (changes ? [changes.changes?.length] : []));
    assert.deepEqual(sizes.slice(-2), [5, 1]);
    watcher.assertSameAs(test.at(0).machine);
  });

  it('encodes an event once, whatever the number of watchers', async () => {
    const test = new TestHubs();
    const watchers = Array.from({ length: 20 }, () => new TestWatcher());
    for (const watcher of watchers) test.watch(watcher);
    await test.settle();
    test.register(1);
    test.register(2);
    await test.settle();
    const sent = new Set(watchers.map(({ bytes }) => bytes.at(-1)));
    assert.equal(sent.size, 1, 'all were sent the very same buffer');
    const begun = new Set(watchers.map(({ bytes }) => bytes[1]));
    assert.equal(begun.size, 1, 'the snapshot, too');
  });

  it('gathers what comes together into one message', async () => {
    const test = new TestHubs();
    const { watcher } = await test.watching();
    test.registerMany(50);
    await test.settle();
    assert.equal(watcher.batches, 1);
  });

  it('among many misses nothing that comes while the others are served', async () => {
    const test = new TestHubs();
    const watchers = Array.from({ length: 600 }, () => new TestWatcher());
    for (const watcher of watchers) test.watch(watcher);
    await test.settle();
    test.register(1);
    // The round begins 12 ms later; this is due right after its first 500 are served.
    test.time.after(12, () => test.register(2));
    await test.settle();
    assert.deepEqual(new Set(watchers.map(({ revision }) => revision)), new Set([4]));
    assert.ok(watchers.some(({ batches }) => batches === 2));
    assert.ok(watchers.some(({ batches }) => batches === 1));
  });

  it('that ends is forgotten', async () => {
    const test = new TestHubs();
    const { watcher, stop } = await test.watching();
    stop();
    test.register(1);
    await test.settle();
    assert.equal(watcher.agents.size, 0);
    assert.equal(test.at(0).hub.size, 0);
  });
});
