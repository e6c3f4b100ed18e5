/** The disk of one master fills up under load: of a follower, then of the leader. */
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
import { until } from '#cluster-test/process/condition.js';
import { showOnFailure } from '#cluster-test/process/fixture.js';
import { requires } from '#cluster-test/requirement.js';

const mebibyte = 1024 * 1024;
/** Above the 64 MiB that a master wants free, and its ballast of 16 MiB. A tmpfs takes memory only for what is on it. */
const diskBytes = 160 * mebibyte;
const answersDuring = 100;
const spaceWarning = /MiB free on the file system of .* are needed/;

describe('masters whose disk is full', function () {
  this.timeout(specBoundMs);
  let cluster: FaultCluster | undefined;

  before(async function () {
    requires(this, ...faultTools);
    cluster = await FaultCluster.start({ seed: faultSeed('full disk'), diskBytes });
  });
  beforeEach(() => running().resume());
  afterEach(function () {
    showOnFailure(
      this,
      (cluster?.masters ?? []).map(({ name, host }) => [name, host.child] as const),
    );
  });
  after(() => cluster?.remove());

  function running(): FaultCluster {
    assert.ok(cluster !== undefined);
    return cluster;
  }

  /**
   * Fills the disk of `master` and waits for what comes first: a write fails and it ends, saying why; or, while it
   * leads, its look at the disk, once a second, finds too little, and it refuses to propose anything.
   */
  async function fill(master: FaultMaster): Promise<'ended' | 'refuses'> {
    const { child } = master.host;
    await running().flow(answersDuring);
    running().disk(master).fill(0);
    const outcome = await until(`${master.name} to end or to warn`, settleBoundMs, async () => {
      if (!child.running) return 'ended';
      const { leads, warnings } = await running().state(master);
      return leads && warnings.some((warning) => spaceWarning.test(warning)) ? 'refuses' : undefined;
    });
    if (outcome === 'refuses') return outcome;
    const { code } = await child.exited;
    assert.ok(code !== null && code !== 0, `it ended with ${code}`);
    assert.match(child.output, /No space left while the store in .* Free some space/);
    await running().leader(running().others(master));
    await running().flow(answersDuring);
    return outcome;
  }

  function free(master: FaultMaster): void {
    running().disk(master).free();
    if (!master.host.child.running) running().restart(master);
  }

  it('of a follower: it ends and says why, and comes back once there is space', async () => {
    const leader = await running().leader();
    const [follower] = running().others(leader);
    assert.ok(follower !== undefined);
    assert.equal(await fill(follower), 'ended');
    free(follower);
    await verdict(running(), 'disk of a follower full', 1);
  });

  it('of the leader: nothing that was acknowledged is lost, and all goes on once there is space', async () => {
    const leader = await running().leader();
    const outcome = await fill(leader);
    free(leader);
    await verdict(running(), `disk of the leader full (it ${outcome})`, 1);
  });
});
