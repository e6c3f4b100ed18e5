/** The disks of masters fill up under load: of a follower, of the leader, of all; wholly, or below the floor only. */
import assert from 'node:assert/strict';
import {
  FaultCluster,
  type FaultMaster,
  faultTools,
  settleBoundMs,
  specBoundMs,
} from '#cluster-test/faults/fault-cluster.js';
import { faultSeed } from '#cluster-test/faults/seed.js';
import { verdict } from '#cluster-test/faults/verdict.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { showOnFailure } from '#cluster-test/process/fixture.js';
import { requires } from '#cluster-test/requirement.js';

const mebibyte = 1024 * 1024;
/** Above the 64 MiB that a master wants free, and its ballast of 16 MiB. A tmpfs takes memory only for what is on it. */
const diskBytes = 160 * mebibyte;
/** Below the floor of 64 MiB, and more than is written here. */
const belowFloorBytes = 40 * mebibyte;
const answersDuring = 100;
/** Longer than a master of a busy machine stands still: an election that comes of that is not one of a full disk. */
const timing = ['--election-ms', '2500', '--heartbeat-ms', '100'];
const spaceWarning = /MiB free on the file system of .* are needed/;

describe('masters whose disk is full', function () {
  this.timeout(specBoundMs);
  let cluster: FaultCluster | undefined;

  before(async function () {
    requires(this, ...faultTools);
    cluster = await FaultCluster.start({ seed: faultSeed('full disk'), diskBytes, flags: timing });
  });
  beforeEach(() => running().resume());
  afterEach(function () {
    showOnFailure(this, cluster?.scene.masters);
  });
  after(() => cluster?.remove());

  function running(): FaultCluster {
    assert.ok(cluster !== undefined);
    return cluster;
  }

  /** Fills the disk of `master`: whether it leads or not, a write fails soon, and it ends and says why. */
  async function fillUp(master: FaultMaster): Promise<void> {
    const { child } = master.host;
    await running().flow(answersDuring);
    running().disk(master).fill(0);
    await until(`${master.name} to end`, settleBoundMs, async () => holds(!child.running));
    const { code } = await child.exited;
    assert.ok(code !== null && code !== 0, `it ended with ${code}`);
    assert.match(child.output, /No space left while the store in .* Free some space/);
    await running().leader(running().others(master));
    await running().flow(answersDuring);
    running().disk(master).free();
    running().restart(master);
  }

  async function warned(master: FaultMaster, warning: RegExp): Promise<void> {
    await until(`${master.name} to warn of ${warning}`, settleBoundMs, async () => {
      const { warnings } = await running().state(master);
      return holds(warnings.some((one) => warning.test(one)));
    });
  }

  it('of a follower: it ends and says why, and comes back once there is space', async () => {
    const leader = await running().leader();
    const [follower] = running().others(leader);
    assert.ok(follower !== undefined);
    await fillUp(follower);
    await verdict(running(), 'disk of a follower full', 1);
  });

  it('of the leader: nothing that was acknowledged is lost, and all goes on once there is space', async () => {
    await fillUp(await running().leader());
    await verdict(running(), 'disk of the leader full', 1);
  });

  it('of the leader, nearly: it hands over to one with space before a write fails, and registrations go on', async () => {
    const leader = await running().leader();
    const term = await running().term();
    await running().flow(answersDuring);
    running().disk(leader).fill(belowFloorBytes);
    const next = await running().leader(running().others(leader), settleBoundMs);
    assert.ok(leader.host.child.running);
    assert.match(leader.host.child.output, /the disk is nearly full: .*leadership is handed over to member \d/);
    assert.equal(await running().term(), term + 1, 'one handover, and no election besides');
    await running().flow(answersDuring);
    await warned(leader, spaceWarning);
    await warned(next, new RegExp(`the disk of ${leader.name} is nearly full: \\d+\\.\\d MiB free, 80.0 MiB needed`));
    running().disk(leader).free();
    await until('the warnings to end', settleBoundMs, async () => {
      const states = await running().states();
      return holds(states.every(({ state }) => state.warnings.every((one) => !/nearly full/.test(one))));
    });
    await verdict(running(), 'disk of the leader nearly full (it handed over)', 1);
  });

  it('of all, nearly: the leader stays and reports the room of each, and goes on once one has space', async () => {
    const leader = await running().leader();
    const followers = running().others(leader);
    await running().flow(answersDuring);
    for (const follower of followers) running().disk(follower).fill(belowFloorBytes);
    for (const { name } of followers) await warned(leader, new RegExp(`the disk of ${name} is nearly full`));
    const term = await running().term();
    running().disk(leader).fill(belowFloorBytes);
    const account = running().masters.map(({ name }) => `${name}: \\d+\\.\\d MiB free, 80.0 MiB needed`);
    await warned(
      leader,
      new RegExp(`changes are refused: .*\\(${account.join('; ')}\\)\\. Free some space on one of them`),
    );
    const { leads } = await running().state(leader);
    assert.deepEqual([leads, await running().term()], [true, term]);
    const [first] = followers;
    assert.ok(first !== undefined);
    running().disk(first).free();
    await running().flow(answersDuring);
    assert.ok((await running().state(first)).leads, 'the one with space leads');
    for (const master of running().masters) running().disk(master).free();
    await verdict(running(), 'disks of all nearly full', 3);
  });
});
