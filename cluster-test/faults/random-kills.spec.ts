/**
 * kill -9 at random under a steady storm: one master, the leader, two, all three, killed again while they start. It
 * lasts 6 s; 30 s with SUBLET_TEST_ALL=1; and SUBLET_FAULT_SOAK_MINUTES, where that is set.
 */
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { FaultCluster, type FaultMaster, faultTools, specBoundMs } from '#cluster-test/faults/fault-cluster.js';
import { faultSeed } from '#cluster-test/faults/seed.js';
import { verdict } from '#cluster-test/faults/verdict.js';
import { showOnFailure } from '#cluster-test/process/fixture.js';
import { requires } from '#cluster-test/requirement.js';
import { SeededRandom } from '#replica/testing/seeded-random.js';

/** The longest that a killed master stays away, and that is waited before the next is killed. */
const awayMaxMs = 1_000;
/** Between rounds, so that each one meets a cluster at work. */
const answersBetween = 20;
const roundsMax = 100_000;

const soakMinutes = Number(process.env.SUBLET_FAULT_SOAK_MINUTES ?? 0);
const stormMs = soakMinutes > 0 ? soakMinutes * 60_000 : process.env.SUBLET_TEST_ALL === '1' ? 30_000 : 6_000;

describe('masters that are killed at random', function () {
  this.timeout(stormMs + specBoundMs);
  let cluster: FaultCluster | undefined;
  let random: SeededRandom | undefined;

  before(async function () {
    requires(this, ...faultTools);
    const seed = faultSeed('random kills');
    random = new SeededRandom(seed);
    cluster = await FaultCluster.start({ seed, stormMs });
  });
  afterEach(function () {
    showOnFailure(this, cluster?.scene.masters);
  });
  after(() => cluster?.remove());

  async function victims(of: FaultCluster, chance: SeededRandom): Promise<FaultMaster[]> {
    const first = chance.below(3);
    const inTurn = [...of.masters.slice(first), ...of.masters.slice(0, first)];
    const kinds = [() => inTurn.slice(0, 1), () => inTurn.slice(0, 2), () => inTurn];
    const kind = chance.below(kinds.length + 1);
    return kinds[kind]?.() ?? [await of.leader()];
  }

  it('lose nothing', async () => {
    assert.ok(cluster !== undefined && random !== undefined);
    const end = performance.now() + stormMs;
    let kills = 0;
    for (let round = 0; round < roundsMax && performance.now() < end; round++) {
      await cluster.flow(answersBetween);
      await delay(random.below(awayMaxMs));
      const dead = await victims(cluster, random);
      await Promise.all(dead.map((master) => cluster?.kill(master)));
      kills += dead.length;
      for (const master of dead) {
        await delay(random.below(awayMaxMs));
        cluster.restart(master);
      }
      const [again] = dead;
      if (again !== undefined && random.chance(0.2)) {
        await delay(random.below(awayMaxMs));
        await cluster.kill(again);
        cluster.restart(again);
        kills += 1;
      }
    }
    assert.ok(kills > 0);
    await verdict(cluster, 'kill -9 at random', kills);
  });
});
