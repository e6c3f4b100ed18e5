/** All masters killed at once, and how soon after their return every agent is heard again: real processes, real connections. */
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { MasterClient } from '#api/master-client.js';
import { operatorService } from '#api/services.js';
import { benchConfig } from '#cluster-test/bench/plan.js';
import { AgentCrowd } from '#cluster-test/process/agent-crowd.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { showOnFailure } from '#cluster-test/process/fixture.js';
import { Masters } from '#cluster-test/process/masters.js';

const agents = 200;
const startBoundMs = 60_000;
/** Long enough that who waits ever longer for masters that are away would wait for long by now. */
const awayMs = 8_000;
/**
 * From a leader to the last agent heard. Three seconds is what the agents, the followers' batches and the leader's rounds
 * take at most; the rest is for the processes of a loaded machine.
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
    showOnFailure(
      this,
      (masters?.masters ?? []).map(({ name, child }) => [name, child] as const),
    );
  });

  /** Agents that the leader, by its own account, has heard. */
  async function heard(client: MasterClient): Promise<number> {
    const answer = await client.call(operatorService.listAgents, { pageSize: 1_000 }, { idempotent: true });
    return answer.agents.filter(({ presence }) => presence?.lastHeard).length;
  }

  it('hear every agent within seconds of having a leader', async () => {
    await until('all agents at work', startBoundMs, () =>
      holds(crowd.agents.every(({ keepAlive, watch }) => keepAlive.counts.answered > 0 && watch.counts.connected)),
    );
    await Promise.all(masters.masters.map(({ child }) => child.kill()));
    await delay(awayMs);
    assert.ok(crowd.agents.every(({ keepAlive }) => keepAlive.counts.lastError !== ''));
    for (const master of masters.masters) masters.restart(master);
    const leader = await masters.leader(startBoundMs);
    const client = new MasterClient({ masters: [leader.api] });
    try {
      await until('every agent heard', heardBoundMs, async () => holds((await heard(client)) === agents));
    } finally {
      client.close();
    }
    await until('every watch open again', heardBoundMs, () =>
      holds(crowd.agents.every(({ watch }) => watch.counts.connected)),
    );
  });
});
