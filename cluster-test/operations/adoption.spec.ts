/**
 * docs/operations/backup.md as agents live it: real agents that keep running while their cluster dies and begins anew.
 * They get back what they hold without a restart, and no other agent gets anything until the operator ends the
 * adoption.
 */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { benchConfig } from '#cluster-test/bench/plan.js';
import { command, endAdoption, operate } from '#cluster-test/operations/operator.js';
import { type AgentProcess, Agents } from '#cluster-test/process/agents.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { showOnFailure } from '#cluster-test/process/fixture.js';
import { type MasterProcess, Masters } from '#cluster-test/process/masters.js';

/** What `/status` of an agent tells, as far as it matters here. */
type Status = {
  readonly registration: { readonly state: string; readonly error?: string };
  readonly lease: {
    readonly cluster_id: string;
    readonly epoch: number;
    readonly valid: boolean;
    readonly source: string;
    readonly vxlan: { readonly vtepIp: string; readonly vtepMac: string };
    readonly overlays: readonly { readonly name: string; readonly subnet: string }[];
  } | null;
  readonly watch: { readonly cluster_id: string; readonly peers: number };
};

const jump = 2 ** 32;
/** A newcomer that is refused asks again after 20 s at most. */
const boundMs = 40_000;

describe('agents that run on while their cluster begins anew', function () {
  this.timeout(150_000);
  let masters: Masters;
  let agents: Agents;

  beforeEach(async () => {
    agents = new Agents();
    masters = await Masters.start({ count: 3, config: benchConfig() });
  });
  afterEach(async function () {
    showOnFailure(this, masters?.masters, agents?.agents);
    await agents[Symbol.asyncDispose]();
    await masters[Symbol.asyncDispose]();
  });

  it('get back what they hold from a backup older than some of them', async () => {
    const file = join(masters.folder, 'plan.snapshot');
    await boot('a1', 'a2', 'a5');
    const [down] = agents.agents.splice(2, 1);
    await down?.child.kill();
    await operate(masters, 'snapshot', 'save', file);
    // The backup knows nothing of these, and it believes that a3's addresses are free.
    await boot('a3', 'a4');
    const before = await account();
    await Promise.all(masters.masters.map(({ child }) => child.kill()));
    const [m1] = masters.masters;
    assert.ok(m1);
    for (const { dataDir } of masters.masters) rmSync(dataDir, { recursive: true });
    const restored = await command('snapshot', 'restore', file, '--data-dir', m1.dataDir, '--cluster-id', 'again');
    assert.equal(restored.code, 0, restored.output);
    await goesOn(m1, before, /On record: 5 agents\. Not back yet: 1:\n {2}a5\n/);
  });

  it('get back what they hold from one survivor', async () => {
    await boot('a1', 'a2', 'a3');
    const before = await account();
    const leader = await masters.leader();
    const survivor = masters.masters.find((master) => master !== leader);
    assert.ok(survivor);
    await Promise.all(masters.masters.map(({ child }) => child.kill()));
    const recovered = await command(
      ...['snapshot', 'recover', '--data-dir', survivor.dataDir, '--cluster-id', 'again', '--yes-i-lost-the-quorum'],
    );
    assert.equal(recovered.code, 0, recovered.output);
    await goesOn(survivor, before, /On record: 3 agents\. Not back yet: none\.\n/);
  });

  async function boot(...ids: readonly string[]): Promise<void> {
    for (const id of ids) await agents.ready(await start(id));
  }

  function start(id: string): Promise<AgentProcess> {
    const addresses = masters.masters.map(({ api }) => api);
    return agents.start({ id, nodeIp: `10.0.0.${Number(id.slice(1))}`, masters: addresses });
  }

  async function status(agent: AgentProcess): Promise<Status> {
    // Its shape is the agent's own, held by its specs.
    return (await agents.get(agent, '/status')) as Status;
  }

  /** What each agent holds, and in which process. */
  async function account(): Promise<ReadonlyMap<string, unknown>> {
    const all = agents.agents.map(async (agent) => {
      const { lease } = await status(agent);
      assert.ok(lease);
      const { vxlan, overlays } = lease;
      return [agent.id, { pid: agent.child.pid, running: agent.child.running, vxlan, overlays }] as const;
    });
    return new Map(await Promise.all(all));
  }

  /** From the start of the new cluster's one master to the end of its adoption. */
  async function goesOn(master: MasterProcess, before: ReadonlyMap<string, unknown>, missing: RegExp): Promise<void> {
    masters.restart(master, ['--cluster-id', 'again']);
    await masters.ready([master]);
    const old = [...agents.agents];
    for (const agent of old) {
      await until(`${agent.id} is back`, boundMs, async () => {
        const { lease, watch } = await status(agent);
        return holds(lease?.cluster_id === 'again' && watch.cluster_id === 'again' && watch.peers >= old.length - 1);
      });
      const { lease } = await status(agent);
      assert.ok(lease !== null && lease.epoch > jump, `epoch ${lease?.epoch}`);
      assert.deepEqual([lease.valid, lease.source], [true, 'masters']);
    }
    assert.deepEqual(await account(), before);
    const adoption = await operate(masters, 'adoption');
    assert.match(adoption, /^On: only held blocks are leased\.\n/);
    assert.match(adoption, missing);

    const newcomer = await start('a9');
    // Masters that are gone are among those that it asks: that one does not answer is an error, too.
    await until('the newcomer is told to wait', boundMs, async () => {
      assert.match((await status(newcomer)).registration.error ?? '', /in adoption: .*wait.*sublet adoption end/);
      return true;
    });
    assert.equal((await fetch(`http://${newcomer.http}/readyz`)).status, 503);
    await endAdoption(masters);
    await agents.ready(newcomer);
    const after = await account();
    for (const [id, holding] of before) assert.deepEqual(after.get(id), holding);
    const { lease } = await status(newcomer);
    for (const agent of old) {
      const held = (await status(agent)).lease;
      assert.notEqual(held?.vxlan.vtepIp, lease?.vxlan.vtepIp);
      assert.notEqual(held?.overlays[0]?.subnet, lease?.overlays[0]?.subnet);
      // No agent's tunnel went down on the way.
      assert.doesNotMatch(agent.child.output, /the lease has ended/);
    }
  }
});
