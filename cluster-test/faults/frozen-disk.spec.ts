/** The file system of the leader is frozen for half a minute: another one leads, and it takes part again when it is thawed. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { benchConfig, notLetOnce, Registrar } from '#cluster-test/bench/plan.js';
import { LoopDisk, loopDiskTools } from '#cluster-test/faults/loop-disk.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { showOnFailure } from '#cluster-test/process/fixture.js';
import { Masters } from '#cluster-test/process/masters.js';
import { requires } from '#cluster-test/requirement.js';

const names = ['m1', 'm2', 'm3'];
/** Above the 64 MiB that a master wants free, and its ballast of 16 MiB. */
const diskBytes = 192 * 1024 * 1024;
const frozenMs = 30_000;
/** An election after the disk was found to hang, on a busy machine. */
const longestWaitMs = 15_000;
const boundMs = 60_000;
const pauseMs = 50;

describe('a leader whose file system is frozen', function () {
  this.timeout(180_000);
  let folder = '';
  let masters: Masters | undefined;
  const disks = new Map<string, LoopDisk>();

  before(async function () {
    requires(this, ...loopDiskTools);
    folder = mkdtempSync(join(tmpdir(), 'sublet-frozen-'));
    for (const name of names) disks.set(name, new LoopDisk(join(folder, name), diskBytes));
    masters = await Masters.start({ count: names.length, config: benchConfig(), folder });
  });
  afterEach(function () {
    showOnFailure(this, masters?.masters);
  });
  after(async () => {
    for (const disk of disks.values()) disk.thaw();
    await masters?.[Symbol.asyncDispose]();
    for (const disk of disks.values()) disk.remove();
    if (folder !== '') rmSync(folder, { recursive: true, force: true });
  });

  it('hands over, has its clients served meanwhile, and follows when it is thawed', async () => {
    const running = masters ?? assert.fail();
    const leader = await running.leader();
    const disk = disks.get(leader.name) ?? assert.fail();
    const others = running.masters.filter((master) => master !== leader);
    using everywhere = new Registrar(running.masters.map(({ api }) => api));
    const answers = [await everywhere.register(0)];
    let longest = 0;
    disk.freeze();
    const begin = performance.now();
    while (performance.now() - begin < frozenMs) {
      const sent = performance.now();
      // One master after the other, the one with the frozen disk among them.
      answers.push(await everywhere.register(answers.length));
      longest = Math.max(longest, performance.now() - sent);
      await delay(pauseMs);
    }
    console.log(`      ${answers.length} answers while it was frozen, the longest wait ${Math.round(longest)} ms`);
    assert.ok(longest < longestWaitMs, `a registration took ${Math.round(longest)} ms`);
    // The disk did hang, and all of these were stored without it.
    assert.match(leader.child.output, /the disk has not finished a write for \d+/);
    const behind = (await running.status(leader)).appliedIndex;
    const { leader: next } = await running.status(others[0] ?? assert.fail());
    assert.ok(next !== '' && next !== leader.name, `${next} leads`);
    disk.thaw();
    await until('it says that its disk answers', boundMs, () =>
      holds(/the disk answers again/.test(leader.child.output)),
    );
    await running.ready();
    const now = await running.status(others[0] ?? assert.fail());
    await until('it has caught up', boundMs, async () => {
      const { appliedIndex } = await running.status(leader);
      return holds(appliedIndex >= now.appliedIndex && appliedIndex >= behind);
    });
    assert.equal(notLetOnce(answers), 0);
    for (const { name, child } of running.masters) assert.ok(child.running, `${name} has ended`);
  });
});
