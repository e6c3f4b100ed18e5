/** Real masters and agents on loopback, and the faults of them that alerts are for. */
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Firing } from '#cluster-test/alerts/promtool.js';
import { fetched, type ScrapeTarget } from '#cluster-test/alerts/recording.js';
import { Disk } from '#cluster-test/faults/disk.js';
import { testFolder } from '#cluster-test/host/test-folder.js';
import { falsify } from '#cluster-test/operations/falsify.js';
import { operate } from '#cluster-test/operations/operator.js';
import { AgentCrowd } from '#cluster-test/process/agent-crowd.js';
import { type AgentProcess, Agents } from '#cluster-test/process/agents.js';
import { Child } from '#cluster-test/process/child.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { type MasterProcess, Masters } from '#cluster-test/process/masters.js';

/** A fault, and what an operator does about it. Both resolve once they show in the metrics. */
export type AlertFault = {
  readonly title: string;
  /** What fires, and nothing else. Known once the fault is there. */
  readonly fires: () => readonly Firing[];
  readonly bringAbout: () => Promise<void>;
  readonly mend: () => Promise<void>;
  /** Where not all of the site are scraped. */
  readonly targets?: () => readonly ScrapeTarget[];
};

const mebibyte = 1024 * 1024;
/** Above the 64 MiB that a master wants free, and its ballast of 16 MiB. A tmpfs takes memory only for what is on it. */
const diskBytes = 160 * mebibyte;
const belowFloorBytes = 40 * mebibyte;
const overlay = 'dcos';
/** More than the alert takes. */
const transfers = 5;
/** Masters compare their plans every 30 s, and an agent is silent after 30 s; on a machine that does much else. */
const boundMs = 120_000;

export class AlertSite implements AsyncDisposable {
  readonly masters: Masters;
  readonly agents: Agents;
  readonly #down: AgentProcess;
  readonly #first: AgentProcess;
  readonly #disk: Disk;
  readonly #removeFolder: () => void;
  #crowd: AgentCrowd | undefined;

  private constructor(
    masters: Masters,
    agents: Agents,
    [first, down]: readonly [AgentProcess, AgentProcess],
    disk: Disk,
    removeFolder: () => void,
  ) {
    this.masters = masters;
    this.agents = agents;
    this.#first = first;
    this.#down = down;
    this.#disk = disk;
    this.#removeFolder = removeFolder;
  }

  /** Three masters and two agents, which hold half of the overlay. */
  static async start(): Promise<AlertSite> {
    const { folder, remove } = testFolder('alerts');
    const config = join(folder, 'master.json');
    writeFileSync(
      config,
      JSON.stringify({ network: { overlays: [{ name: overlay, subnet: '9.0.0.0/26', prefix: 28 }] } }),
    );
    const disk = new Disk(join(folder, 'm3'), diskBytes);
    const masters = await Masters.start({ count: 3, config, folder });
    const agents = new Agents();
    const start = (id: string, nodeIp: string) => agents.start({ id, nodeIp, masters: masters.addresses });
    const pair = await Promise.all([start('h1', '10.0.0.1'), start('h2', '10.0.0.2')]);
    await Promise.all(pair.map((agent) => agents.ready(agent)));
    return new AlertSite(masters, agents, pair, disk, remove);
  }

  /** All of the site. */
  get targets(): readonly ScrapeTarget[] {
    return [
      ...this.masters.masters.map(({ http }) => fetched('sublet-master', http)),
      ...this.agents.agents.map(({ http }) => fetched('sublet-agent', http)),
    ];
  }

  diskNearlyFull(): AlertFault {
    const [, , third] = this.masters.masters;
    assert.ok(third);
    const { http } = third;
    return {
      title: 'the disk of a master is below its floor',
      fires: () => [{ alertname: 'SubletDiskNearlyFull', instance: http }],
      bringAbout: async () => {
        this.#disk.fill(belowFloorBytes);
        await shows(http, /^sublet_storage_space_problem 1$/m);
      },
      mend: async () => {
        this.#disk.free();
        await shows(http, /^sublet_storage_space_problem 0$/m);
      },
    };
  }

  overlayNearlyFull(): AlertFault {
    return {
      title: 'agents hold all of an overlay, until it grows',
      fires: () => [{ alertname: 'SubletOverlayNearlyFull', overlay, family: 'ipv4' }],
      bringAbout: async () => {
        this.#crowd = new AgentCrowd(2, this.masters.addresses);
        await this.#everyMaster(/^sublet_blocks\{overlay="dcos",family="ipv4",state="free"\} 0$/m);
      },
      mend: async () => {
        await operate(this.masters, 'overlay', 'grow', overlay, '--subnet', '9.0.0.0/24', '--yes');
        await this.#everyMaster(/^sublet_blocks\{overlay="dcos",family="ipv4",state="free"\} 12$/m);
      },
    };
  }

  agentDown(): AlertFault {
    const down = this.#down;
    return {
      title: 'an agent is killed',
      fires: () => [{ alertname: 'SubletAgentDown', instance: down.http }],
      bringAbout: async () => {
        await down.child.kill();
      },
      mend: async () => {
        this.agents.restart(down);
        await this.agents.ready(down);
      },
    };
  }

  agentNotReady(): AlertFault {
    const agent = this.#first;
    return {
      title: 'the state of an agent is lost while the masters take its former installation for live',
      fires: () => [{ alertname: 'SubletAgentNotReady', instance: agent.http }],
      bringAbout: async () => {
        await agent.child.kill();
        rmSync(agent.stateDir, { recursive: true });
        this.agents.restart(agent);
        await shows(agent.http, /^sublet_agent_refused 1$/m);
        await shows(agent.http, /^sublet_agent_ready 0$/m);
      },
      mend: async () => {
        await agent.child.kill();
        agent.child = new Child([...agent.args, '--takeover']);
        await this.agents.ready(agent);
      },
    };
  }

  agentsSilent(): AlertFault {
    const down = this.agentDown();
    return {
      title: 'an agent is not heard for half a minute',
      fires: () => [{ alertname: 'SubletAgentsSilent' }, ...down.fires()],
      bringAbout: async () => {
        await down.bringAbout();
        await this.#someMaster(/^sublet_agents_presence\{state="silent"\} 1$/m);
      },
      mend: async () => {
        await down.mend();
        await this.#someMaster(/^sublet_agents_presence\{state="silent"\} 0$/m);
      },
    };
  }

  leaseContested(): AlertFault {
    let copy: AgentProcess | undefined;
    const before = this.targets;
    return {
      title: 'a host is a copy of another one',
      targets: () => before,
      fires: () => [{ alertname: 'SubletLeaseContested' }],
      bringAbout: async () => {
        const { id } = this.#first;
        copy = await this.agents.start({
          id,
          nodeIp: '10.0.0.9',
          masters: this.masters.addresses,
          copyOf: this.#first,
        });
        await this.#someMaster(/^sublet_contested_leases 1$/m);
      },
      mend: async () => {
        await copy?.child.kill();
        // A minute after the last attempt.
        await this.#everyMaster(/^sublet_contested_leases 0$/m);
      },
    };
  }

  masterDown(): AlertFault {
    let leader: MasterProcess | undefined;
    let down: MasterProcess | undefined;
    return {
      title: 'a master is killed',
      fires: () => [
        { alertname: 'SubletMasterDown', instance: down?.http ?? '' },
        { alertname: 'SubletLastQuorumMember', instance: leader?.http ?? '' },
      ],
      bringAbout: async () => {
        leader = await this.masters.leader();
        down = this.masters.masters.find((master) => master !== leader);
        await down?.child.kill();
        await shows(leader.http, /^sublet_raft_voters\{state="down"\} 1$/m);
      },
      mend: () => this.#allUp(),
    };
  }

  /** A master may be down before. */
  quorumLost(): AlertFault {
    let down: readonly MasterProcess[] = [];
    return {
      title: 'all masters but one are killed',
      fires: () => [
        { alertname: 'SubletNoLeader' },
        ...down.map(({ http }) => ({ alertname: 'SubletMasterDown', instance: http })),
      ],
      bringAbout: async () => {
        const [left, ...others] = this.masters.masters.toSorted(
          (a, b) => Number(b.child.running) - Number(a.child.running),
        );
        assert.ok(left);
        down = others;
        await Promise.all(others.filter(({ child }) => child.running).map(({ child }) => child.kill()));
        await shows(left.http, /^sublet_raft_has_leader 0$/m);
      },
      mend: () => this.#allUp(),
    };
  }

  leaderChanges(): AlertFault {
    return {
      title: 'the leader changes five times',
      fires: () => [{ alertname: 'SubletLeaderChanges' }],
      bringAbout: async () => {
        const [first] = this.masters.masters;
        assert.ok(first);
        const wanted = leadersOf(await page(first.http)) + transfers;
        for (let count = 0; count < transfers; count++) await operate(this.masters, 'transfer');
        await until('the changes are counted', boundMs, async () => holds(leadersOf(await page(first.http)) >= wanted));
      },
      // The hour goes by.
      mend: async () => {},
    };
  }

  /** Ends with another master in the place of one of those that were there, so that it comes last. */
  async plansDiffer(): Promise<AlertFault> {
    // So that the wrong block is one of the overlay, which no agent holds.
    await operate(this.masters, 'overlay', 'grow', overlay, '--subnet', '9.0.0.0/24', '--yes');
    const leader = await this.masters.leader();
    const corrupt = this.masters.masters.find((master) => master !== leader);
    assert.ok(corrupt);
    const differs = (value: number): Promise<void> =>
      shows(leader.http, new RegExp(`^sublet_state_differs ${value}$`, 'm'));
    return {
      title: 'the plan of a master is changed on its disk',
      // Its comparison found it; the third master looks for itself, and may find the corrupt one gone.
      targets: () => [fetched('sublet-master', leader.http)],
      fires: () => [
        { alertname: 'SubletPlansDiffer', instance: leader.http },
        { alertname: 'SubletLastQuorumMember', instance: leader.http },
      ],
      bringAbout: async () => {
        await corrupt.child.stop();
        await falsify(corrupt.dataDir, this.#first.id, '9.0.0.240');
        this.masters.restart(corrupt);
        await corrupt.child.exited;
        await differs(1);
        await shows(leader.http, /^sublet_raft_voters\{state="down"\} 1$/m);
      },
      mend: async () => {
        const { peer, child } = await this.masters.join('m4');
        await until('m4 waits', boundMs, () => holds(/has no member/.test(child.output)));
        await operate(this.masters, 'members', 'replace', corrupt.name, `m4=${peer}`, '--wait', '1m');
        await differs(0);
      },
    };
  }

  async #allUp(): Promise<void> {
    for (const master of this.masters.masters) if (!master.child.running) this.masters.restart(master);
    await this.masters.ready();
    const { http } = await this.masters.leader();
    await shows(http, /^sublet_raft_voters\{state="down"\} 0$/m);
    // Those that were silent while there was no leader.
    await shows(http, /^sublet_agents_presence\{state="silent"\} 0$/m);
  }

  async #everyMaster(line: RegExp): Promise<void> {
    for (const { http, child } of this.masters.masters) if (child.running) await shows(http, line);
  }

  async #someMaster(line: RegExp): Promise<void> {
    await until(`a master shows ${line}`, boundMs, async () => {
      const pages = await Promise.all(this.masters.masters.map(({ http }) => page(http)));
      return holds(pages.some((text) => line.test(text)));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#crowd?.[Symbol.asyncDispose]();
    await this.agents[Symbol.asyncDispose]();
    await this.masters[Symbol.asyncDispose]();
    this.#disk.remove();
    this.#removeFolder();
  }
}

function leadersOf(text: string): number {
  return Number(/^sublet_raft_leader_changes_total (\d+)$/m.exec(text)?.[1]);
}

function page(http: string): Promise<string> {
  return fetched('sublet-master', http).metrics();
}

/** Waits until the page of metrics has the line. */
export async function shows(http: string, line: RegExp): Promise<void> {
  await until(`${http} shows ${line}`, boundMs, async () => holds(line.test(await page(http))));
}
