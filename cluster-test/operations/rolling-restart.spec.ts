/** SIGTERM hands over first, so a rolling restart costs no acknowledged registration and no election timeout. */
import assert from 'node:assert/strict';
import { benchConfig } from '#cluster-test/bench/plan.js';
import { restartAll } from '#cluster-test/operations/rolling-restart.js';
import { Storm } from '#cluster-test/operations/storm.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { shownMasters } from '#cluster-test/process/masters.js';

/** Long, so that a wait for an election could not be taken for a hand-over on a slow machine. */
const electionMs = 6_000;
/** Less than an election takes: a follower has heard from its leader a heartbeat ago at most. */
const waitMaxMs = 5_000;
const boundMs = 30_000;

describe('a rolling restart', function () {
  this.timeout(180_000);
  const start = shownMasters(this);

  it('of three masters in a storm loses nothing, and waits for no election', async () => {
    const flags = ['--election-ms', String(electionMs), '--heartbeat-ms', '200'];
    await using masters = await start({ count: 3, config: benchConfig(), flags });
    await using storm = new Storm({ addresses: () => masters.addresses, clients: 8, pauseMs: 2 });
    await until('the storm', boundMs, () => holds(storm.acknowledged > 100));
    assert.ok((await restartAll(masters)) >= 1);
    await storm.stop();
    await storm.check(masters.addresses);
    const { acknowledged, longestWaitMs, refusals } = storm;
    console.log(
      `      ${acknowledged} acknowledged, none lost, longest wait ${Math.round(longestWaitMs)} ms, ${refusals} tries made again`,
    );
    assert.ok(longestWaitMs < waitMaxMs, `${longestWaitMs} ms: ${storm.lastRefusal}`);
  });
});
