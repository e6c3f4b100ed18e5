/**
 * A master bootstraps a cluster alone, others join, and then its disk is lost and it is started with the flags of its first
 * start. With the others up it bootstraps nothing; with all of them down it bootstraps a second incarnation of the cluster. No
 * agent gets an address that another agent holds. With real masters and agents.
 */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { benchConfig } from '#cluster-test/bench/plan.js';
import { operate } from '#cluster-test/operations/operator.js';
import { type AgentProcess, Agents } from '#cluster-test/process/agents.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { showOnFailure } from '#cluster-test/process/fixture.js';
import { type MasterProcess, Masters } from '#cluster-test/process/masters.js';

type Status = {
  readonly registration: { readonly state: string; readonly error?: string };
  readonly lease: { readonly epoch: number; readonly valid: boolean; readonly source: string } | null;
};

const boundMs = 20_000;

describe('the founder of a cluster of one, with a lost disk', function () {
  this.timeout(120_000);
  let masters: Masters;
  let agents: Agents;
  let m1: MasterProcess;
  let others: readonly MasterProcess[];

  beforeEach(async () => {
    agents = new Agents();
    masters = await Masters.start({ count: 1, config: benchConfig() });
    const [founder] = masters.masters;
    assert.ok(founder);
    m1 = founder;
    const m2 = await masters.join('m2');
    const m3 = await masters.join('m3');
    for (const { name, peer, child } of [m2, m3]) {
      await until(`${name} waits`, boundMs, () => holds(/has no member/.test(child.output)));
      await operate(masters, 'members', 'add', `${name}=${peer}`);
      await until(`${name} votes`, boundMs, async () => {
        await operate(masters, 'members', 'promote', name);
        return true;
      });
    }
    others = [m2, m3];
    await masters.ready();
  });
  afterEach(async function () {
    showOnFailure(this, masters?.masters, agents?.agents);
    await agents[Symbol.asyncDispose]();
    await masters[Symbol.asyncDispose]();
  });

  function loseDisk(): void {
    rmSync(m1.dataDir, { recursive: true });
  }

  /** The exit code of a master that ends by itself. */
  async function endOf({ name, child }: MasterProcess): Promise<number | null> {
    await until(`${name} ends`, boundMs, () => holds(!child.running));
    return (await child.exited).code;
  }

  async function status(agent: AgentProcess): Promise<Status> {
    // Its shape is the agent's own, held by its specs.
    return (await agents.get(agent, '/status')) as Status;
  }

  it('bootstraps nothing while the others are there: they call it, and it ends and says how to come back', async () => {
    await m1.child.kill();
    loseDisk();
    masters.restart(m1);
    assert.equal(await endOf(m1), 70);
    assert.match(m1.child.output, /m[23] at .* knows m1 with store .*: its data was lost.*members remove m1.*--join/s);
    assert.doesNotMatch(m1.child.output, /exists: m1/);
  });

  it('bootstraps a cluster that no agent of the first takes for its own, and ends when the others are back', async () => {
    const agent = await agents.start({ id: 'a1', nodeIp: '10.0.0.1', masters: masters.addresses });
    await agents.ready(agent);
    const before = (await status(agent)).lease;
    await Promise.all(masters.masters.map(({ child }) => child.kill()));
    loseDisk();
    masters.restart(m1);
    await masters.ready([m1]);
    const { incarnation } = await masters.status(m1);
    assert.match(incarnation, /^[0-9a-f]{16}$/);

    await agent.child.kill();
    agents.restart(agent);
    const { lease, registration } = await until('the agent is told', boundMs, async () => {
      const told = await status(agent).catch(() => undefined);
      return /two clusters have this id/.test(told?.registration.error ?? '') ? told : undefined;
    });
    assert.match(registration.error ?? '', new RegExp(`this master is of incarnation ${incarnation}`));
    assert.deepEqual([lease?.epoch, lease?.valid, lease?.source], [before?.epoch, true, 'cache']);
    assert.equal(Number((await masters.status(m1)).agents?.total), 0);

    for (const master of others) masters.restart(master);
    await masters.ready(others);
    assert.equal(await endOf(m1), 71);
    assert.match(m1.child.output, /cluster test exists already .* with m1 as a member.*its former data was lost/);
    await until('the agent is back', boundMs, async () => holds((await status(agent)).lease?.source === 'masters'));
    assert.equal((await status(agent)).lease?.epoch, before?.epoch);
  });
});
