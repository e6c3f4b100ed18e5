/**
 * Three masters and two storm clients, each in a network namespace of its own on one bridge. A spec reads a master's
 * state through a client alone, as any other caller does.
 */
import { join } from 'node:path';
import { benchConfig } from '#cluster-test/bench/plan.js';
import { Disk } from '#cluster-test/faults/disk.js';
import type { LinkEnd } from '#cluster-test/faults/links.js';
import { StormClient } from '#cluster-test/faults/storm-client.js';
import type { MasterState, ReadAnswer, StormAnswers, StormCommand } from '#cluster-test/faults/storm-protocol.js';
import type { Netns } from '#cluster-test/host/netns.js';
import { type MasterHost, Scene } from '#cluster-test/host/scene.js';
import { Child } from '#cluster-test/process/child.js';
import { until } from '#cluster-test/process/condition.js';
import type { ReplicaView } from '#cluster-test/process/replica-view.js';
import { command, type Requirement, root } from '#cluster-test/requirement.js';

export const faultTools: readonly Requirement[] = [
  root,
  ...['ip', 'nsenter', 'iptables', 'curl', 'mount'].map(command),
];

/** Until a master leads, on a machine that does much else. */
export const leaderBoundMs = 30_000;
/** Until a master that is asked to do something has done it. */
export const settleBoundMs = 60_000;
/** For one test, on a machine that does much else; they take 5 to 20 seconds each. */
export const specBoundMs = 180_000;

const masterIps = ['10.88.0.1', '10.88.0.2', '10.88.0.3'];
const clientIps = ['10.88.0.101', '10.88.0.102'];
/** Agent numbers of one client; the second has the next so many. All of them are fewer than the subnets that there are. */
const agentsPerClient = 30_000;
const workers = 4;
/** Between two calls of a worker, unless the storm must last longer than its agents would at that pace. */
const pauseMinMs = 20;

export type FaultMaster = LinkEnd & { readonly host: MasterHost; readonly name: string; readonly api: string };

export type Totals = {
  readonly acknowledged: number;
  readonly repeated: number;
  readonly reads: number;
  readonly wrong: readonly string[];
};

export type FaultClusterOptions = {
  readonly flags?: readonly string[];
  /** So large a disk for the data of each master, that can be made full; default: the machine's. */
  readonly diskBytes?: number;
  /** How long there must be agents that have not registered yet, in ms; default: for a spec of a few minutes. */
  readonly stormMs?: number;
  readonly seed: number;
};

export class FaultCluster {
  readonly scene = new Scene();
  readonly clients: StormClient[] = [];
  readonly #seed: number;
  readonly #disks = new Map<string, Disk>();
  masters: readonly FaultMaster[] = [];
  /** Acknowledgements that a verdict has counted. */
  judged = 0;

  private constructor(seed: number) {
    this.#seed = seed;
  }

  /** Starts masters and clients, and the storm. */
  static async start({ flags = [], diskBytes, stormMs = 0, seed }: FaultClusterOptions): Promise<FaultCluster> {
    const cluster = new FaultCluster(seed);
    try {
      if (diskBytes !== undefined) cluster.#mountDisks(diskBytes);
      await cluster.scene.startMasters(masterIps, benchConfig(), flags);
      cluster.masters = cluster.scene.masters.map((host, at) => {
        const ip = masterIps[at] ?? '';
        return { host, name: host.name, netns: host.netns, ip, api: `${ip}:7070` };
      });
      await cluster.#startStorm(Math.max(pauseMinMs, Math.ceil((stormMs * workers) / agentsPerClient)));
    } catch (error) {
      for (const { name, child } of cluster.scene.masters) console.error(`--- ${name} said:\n${child.output}`);
      await cluster.remove();
      throw error;
    }
    return cluster;
  }

  /** Where each client writes down what was acknowledged to it. */
  get logFiles(): string[] {
    return clientIps.map((_, at) => join(this.scene.folder, `acknowledged-${at}.jsonl`));
  }

  /** A host that runs no master and no storm. */
  host(role: string, ip: string): Netns {
    return this.scene.host(role, ip);
  }

  disk({ name }: FaultMaster): Disk {
    const disk = this.#disks.get(name);
    if (disk === undefined) throw new Error(`${name} has no disk of its own`);
    return disk;
  }

  others(master: FaultMaster): FaultMaster[] {
    return this.masters.filter((other) => other !== master);
  }

  get running(): FaultMaster[] {
    return this.masters.filter(({ host }) => host.child.running);
  }

  state({ api }: FaultMaster): Promise<MasterState> {
    return this.#askFirst({ kind: 'status', address: api });
  }

  view({ api }: FaultMaster): Promise<ReplicaView> {
    return this.#askFirst({ kind: 'view', address: api });
  }

  /** A linearizable read from one master, that waits for its answer for long. */
  read({ api }: FaultMaster, agentId: string): Promise<ReadAnswer> {
    return this.#askFirst({ kind: 'read', address: api, agentId });
  }

  /** The master, of these, that leads by its own account, once there is one: that of the highest term. */
  leader(among: readonly FaultMaster[] = this.masters, boundMs = leaderBoundMs): Promise<FaultMaster> {
    return until('a leader', boundMs, async () => {
      const states = await this.states(among);
      const leading = states.filter(({ state }) => state.leads).sort((a, b) => b.state.term - a.state.term);
      return leading[0]?.master;
    });
  }

  /** Of those that answer. */
  async states(
    among: readonly FaultMaster[] = this.masters,
  ): Promise<{ readonly master: FaultMaster; readonly state: MasterState }[]> {
    const all = among
      .filter(({ host }) => host.child.running)
      .map(async (master) => {
        const state = await this.state(master).catch(() => undefined); // One that is cut off or starting can't say.
        return state === undefined ? [] : [{ master, state }];
      });
    return (await Promise.all(all)).flat();
  }

  /** The highest term that any master knows. */
  async term(): Promise<number> {
    return Math.max(0, ...(await this.states()).map(({ state }) => state.term));
  }

  async kill({ host }: FaultMaster): Promise<void> {
    await host.child.kill();
  }

  restart({ host }: FaultMaster): void {
    if (host.child.running) throw new Error(`${host.name} still runs`);
    host.child = new Child(host.args, { prefix: host.netns.enter });
  }

  async pause(): Promise<void> {
    await Promise.all(this.clients.map((client) => client.ask({ kind: 'pause' })));
  }

  async resume(): Promise<void> {
    await Promise.all(this.clients.map((client) => client.ask({ kind: 'resume' })));
  }

  async totals(kind: 'counts' | 'ask-all-again' = 'counts'): Promise<Totals> {
    const counts = await Promise.all(this.clients.map((client) => client.ask({ kind })));
    const sum = (of: (one: StormAnswers['counts']) => number): number => counts.reduce((all, one) => all + of(one), 0);
    return {
      acknowledged: sum((one) => one.acknowledged),
      repeated: sum((one) => one.repeated),
      reads: sum((one) => one.reads),
      wrong: counts.flatMap(({ wrong }) => wrong),
    };
  }

  /** Waits until the storm has been answered `answers` times more, of which each client has one at least. */
  async flow(answers: number, boundMs = settleBoundMs): Promise<void> {
    const count = async (): Promise<number[]> =>
      Promise.all(
        this.clients.map(async (client) => {
          const { acknowledged, repeated } = await client.ask({ kind: 'counts' });
          return acknowledged + repeated;
        }),
      );
    const before = await count();
    await until(`${answers} more answers to the storm`, boundMs, async () => {
      const gained = (await count()).map((now, at) => now - (before[at] ?? 0));
      const all = gained.reduce((sum, one) => sum + one, 0);
      return all >= answers && gained.every((one) => one > 0) ? true : undefined;
    });
  }

  async newestAgent(): Promise<{ readonly agentId: string; readonly revision: number }> {
    const counts = await Promise.all(this.clients.map((client) => client.ask({ kind: 'counts' })));
    const [newest] = counts.sort((a, b) => b.revision - a.revision);
    return { agentId: newest?.newestAgent ?? '', revision: newest?.revision ?? 0 };
  }

  /** Ends every process and takes every host away. */
  async remove(): Promise<void> {
    await Promise.all(this.clients.map((client) => client.kill()));
    await this.scene.stopMasters();
    for (const disk of this.#disks.values()) disk.remove();
    await this.scene.remove();
  }

  #mountDisks(bytes: number): void {
    masterIps.forEach((_, at) => {
      this.#disks.set(`m${at + 1}`, new Disk(join(this.scene.folder, `m${at + 1}`), bytes));
    });
  }

  async #startStorm(pauseMs: number): Promise<void> {
    const masters = this.masters.map(({ api }) => api);
    clientIps.forEach((ip, at) => {
      this.clients.push(new StormClient(this.host(`client${at}`, ip)));
    });
    await Promise.all(
      this.clients.map((client, at) => {
        const logFile = this.logFiles[at] ?? '';
        const plan = { masters, first: at * agentsPerClient, agentsMax: agentsPerClient, workers, pauseMs };
        return client.ask({ kind: 'go', plan: { ...plan, seed: this.#seed + at, logFile } });
      }),
    );
  }

  #askFirst<Command extends StormCommand>(command: Command): Promise<StormAnswers[Command['kind']]> {
    const [first] = this.clients;
    if (first === undefined) throw new Error('no clients yet');
    return first.ask(command);
  }
}
