/** All masters killed at once, and how soon after their return every agent is heard again: real processes, real connections. */
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { MasterClient } from '#api/master-client.js';
import { operatorService } from '#api/services.js';
import { benchConfig } from '#cluster-test/bench/plan.js';
import { AgentCrowd } from '#cluster-test/process/agent-crowd.js';
import { until } from '#cluster-test/process/condition.js';
import { showOnFailure } from '#cluster-test/process/fixture.js';
import { Masters } from '#cluster-test/process/masters.js';

const agents = 200;
const startBoundMs = 60_000;
/** Long enough for a back-off without a cap to have grown long. */
const awayMs = 8_000;
/**
 * From the last of as many agents that start once there is a leader, as fast as the machine is, to the last of those that
 * were there before. Three seconds is what agents, the followers' batches and the leader's rounds take at most.
 */
const heardBoundMs = 8_000;

describe('all masters killed at once, and started again', function () {
  this.timeout(180_000);
  let masters: Masters;
  let crowd: AgentCrowd;

  before(async () => {
    masters = await Masters.start({ count: 3, config: benchConfig() });
    crowd = new AgentCrowd(agents, masters.addresses);
  });
  after(async () => {
    await crowd?.[Symbol.asyncDispose]();
    await masters?.[Symbol.asyncDispose]();
  });
  afterEach(function () {
    showOnFailure(this, masters?.masters);
  });

  function atWork({ agents: all }: AgentCrowd): true {
    const idle = all.filter(
      ({ keepAlive, watch }) => keepAlive.counts.answered === 0 || !watch.counts.connected,
    ).length;
    assert.equal(idle, 0, `${idle} of ${all.length} are not at work`);
    return true;
  }

  /** Agents that the leader, by its own account, has heard. */
  async function heard(client: MasterClient): Promise<number> {
    const answer = await client.call(operatorService.listAgents, { pageSize: 1_000 }, { idempotent: true });
    return answer.agents.filter(({ presence }) => presence?.lastHeard).length;
  }

  it('hear every agent within seconds of having a leader, as if it had just started', async () => {
    await until('all agents at work', startBoundMs, () => atWork(crowd));
    await Promise.all(masters.masters.map(({ child }) => child.kill()));
    await delay(awayMs);
    assert.ok(crowd.agents.every(({ keepAlive }) => keepAlive.counts.lastError !== ''));
    for (const master of masters.masters) masters.restart(master);
    const leader = await masters.leader(startBoundMs);
    await using fresh = new AgentCrowd(agents, masters.addresses, undefined, agents);
    await until('all fresh agents at work', startBoundMs, () => atWork(fresh));
    const client = new MasterClient({ masters: [leader.api] });
    try {
      await until('every agent heard', heardBoundMs, async () => {
        assert.equal(await heard(client), 2 * agents);
        return true;
      });
    } finally {
      client.close();
    }
    await until('every watch open again', heardBoundMs, () => {
      const closed = crowd.agents.filter(({ watch }) => !watch.counts.connected).length;
      assert.equal(closed, 0, `${closed} watches are not open`);
      return true;
    });
  });
});
