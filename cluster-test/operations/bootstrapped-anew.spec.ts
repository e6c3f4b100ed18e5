/**
 * All masters are lost, and a cluster with an empty plan is bootstrapped in their place while agents run. Under another id the
 * agents keep what they run on; under the same id they are refused and run on. In both cases no fresh agent gets any of it. With
 * real masters and agents.
 */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { benchConfig } from '#cluster-test/bench/plan.js';
import { endAdoption } from '#cluster-test/operations/operator.js';
import { type AgentProcess, Agents } from '#cluster-test/process/agents.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { showOnFailure } from '#cluster-test/process/fixture.js';
import { Masters } from '#cluster-test/process/masters.js';

type Status = {
  readonly registration: { readonly state: string; readonly error?: string };
  readonly keep_alive: { readonly last_error: string };
  readonly lease: {
    readonly cluster_id: string;
    readonly valid: boolean;
    readonly source: string;
    readonly vxlan: { readonly vtepIp: string };
    readonly overlays: readonly { readonly subnet: string }[];
  } | null;
};

/** A refused agent asks again after 20 s at most. */
const boundMs = 40_000;

describe('a cluster that is bootstrapped anew while agents run', function () {
  this.timeout(120_000);
  let masters: Masters;
  let agents: Agents;
  let old: readonly AgentProcess[];

  beforeEach(async () => {
    agents = new Agents();
    masters = await Masters.start({ count: 1, config: benchConfig() });
    old = await Promise.all([1, 2, 3].map((n) => start(`a${n}`, n)));
    for (const agent of old) await agents.ready(agent);
  });
  afterEach(async function () {
    showOnFailure(this, masters?.masters, agents?.agents);
    await agents[Symbol.asyncDispose]();
    await masters[Symbol.asyncDispose]();
  });

  function start(id: string, n: number): Promise<AgentProcess> {
    return agents.start({ id, nodeIp: `10.0.0.${n}`, masters: masters.addresses });
  }

  async function status(agent: AgentProcess): Promise<Status> {
    // Its shape is the agent's own, held by its specs.
    return (await agents.get(agent, '/status')) as Status;
  }

  async function holding(agent: AgentProcess): Promise<readonly string[]> {
    const { lease } = await status(agent);
    assert.ok(lease?.valid, agent.id);
    return [lease.vxlan.vtepIp, ...lease.overlays.map(({ subnet }) => subnet)];
  }

  /** The masters are lost with their disks, and one starts with these flags. */
  async function bootstrapAnew(flags: readonly string[]): Promise<void> {
    const [master] = masters.masters;
    assert.ok(master !== undefined);
    await master.child.kill();
    rmSync(master.dataDir, { recursive: true });
    masters.restart(master, flags);
    await masters.ready();
  }

  it('under another id gives them what they run on, and nothing of it to others', async () => {
    const before = await Promise.all(old.map(holding));
    const [, ...others] = old;
    for (const { child } of others) child.signal('SIGSTOP');
    await bootstrapAnew(['--cluster-id', 'second']);
    await until('the first one is back', boundMs, async () => {
      const [first] = old;
      return holds(first !== undefined && (await status(first)).lease?.cluster_id === 'second');
    });
    const fresh = await start('b1', 21);
    await until('a fresh one waits', boundMs, async () => {
      assert.match((await status(fresh)).registration.error ?? '', /in adoption: only held blocks are leased/);
      return true;
    });
    for (const { child } of others) child.signal('SIGCONT');
    for (const agent of old) {
      await until(`${agent.id} is back`, boundMs, async () => {
        const { lease } = await status(agent);
        return holds(lease?.cluster_id === 'second' && lease.source === 'masters');
      });
    }
    assert.deepEqual(await Promise.all(old.map(holding)), before);
    await endAdoption(masters);
    await agents.ready(fresh);
    const taken = before.flat();
    assert.ok((await holding(fresh)).every((block) => !taken.includes(block)));
  });

  it('under the same id refuses them, and grants nothing of what they run on', async () => {
    const before = await Promise.all(old.map(holding));
    await bootstrapAnew([]);
    for (const agent of old) {
      await until(`${agent.id} is refused`, boundMs, async () => {
        // It hears so of its keep-alive, or of its registration where the master did not know its own incarnation yet.
        const { registration, keep_alive } = await status(agent);
        assert.match(`${registration.error} ${keep_alive.last_error}`, /two clusters have this id/);
        return true;
      });
    }
    const fresh = await start('b1', 21);
    await until('a fresh one waits', boundMs, async () => {
      assert.match((await status(fresh)).registration.error ?? '', /in adoption: only held blocks are leased/);
      return true;
    });
    assert.deepEqual(await Promise.all(old.map(holding)), before);
  });
});
