/** Everyone in one simulation: masters, agents, the storm, and what they share; put together from a profile. */
import { ConsensusChecks } from '#cluster-test/simulation/checks/consensus-checks.js';
import { History } from '#cluster-test/simulation/checks/history.js';
import { LeaseUse } from '#cluster-test/simulation/checks/lease-use.js';
import { LiveHands } from '#cluster-test/simulation/checks/live-hands.js';
import { PlanChecks } from '#cluster-test/simulation/checks/plan-checks.js';
import { RareBranches } from '#cluster-test/simulation/checks/rare-branches.js';
import type { Profile } from '#cluster-test/simulation/faults/profile.js';
import { Storm } from '#cluster-test/simulation/faults/storm.js';
import { SimulatedAgent } from '#cluster-test/simulation/world/simulated-agent.js';
import {
  type MasterAtWork,
  type MasterCopy,
  type MasterSurroundings,
  peerOf,
  SimulatedMaster,
} from '#cluster-test/simulation/world/simulated-master.js';
import { SimulatedNetwork } from '#cluster-test/simulation/world/simulated-network.js';
import { Machine, type World } from '#cluster-test/simulation/world/world.js';
import { type PreviousState, survivorIn, writeFirstState } from '#master/recovery.js';
import { incarnationOf } from '#replica/bootstrap/incarnation.js';

/** How long an operator waits at least before the adoption is ended, ms. */
const lateAnswersMs = 30_000;
/** Between the end of a master's process and its next start by the supervisor, ms. */
const restartMs = { min: 100, spread: 3000 };

/** `lives`: of the cluster that it is a copy of. */
export type ClusterCopy = {
  readonly masters: ReadonlyMap<SimulatedMaster, MasterCopy>;
  readonly consensus: ConsensusChecks;
  readonly plan: PlanChecks;
  readonly lives: number;
};

export class Cluster {
  readonly world: World;
  readonly profile: Profile;
  readonly network: SimulatedNetwork;
  /** Both of the cluster that there is: another one begins with others. */
  consensus: ConsensusChecks;
  plan: PlanChecks;
  clusterId = 'simulated';
  /** How often it began anew, and when it did so last. */
  lives = 0;
  /** Known of a cluster that began anew. */
  incarnation: string | undefined;
  begunAnewMs = 0;
  readonly history: History;
  readonly hands: LiveHands;
  readonly use: LeaseUse;
  readonly masters: SimulatedMaster[] = [];
  readonly agents: readonly SimulatedAgent[];
  /** Hosts that are copies of others, state directory and all; the oldest first. */
  readonly clones: SimulatedAgent[] = [];
  #clones = 0;
  readonly storm: Storm;
  /** Hears of machines that come later. */
  onAdded: (master: SimulatedMaster) => void = () => {};
  readonly #surroundings: MasterSurroundings;
  readonly #founders: readonly string[];

  constructor(world: World, profile: Profile) {
    this.world = world;
    this.profile = profile;
    this.network = new SimulatedNetwork(world);
    this.consensus = new ConsensusChecks(world);
    this.plan = new PlanChecks(world);
    this.history = new History(world, this.plan);
    this.hands = new LiveHands(world);
    this.use = new LeaseUse(world, () => this.leader);
    const rare = new RareBranches(world, () => this.consensus);
    this.network.onSend = (name, message) => {
      this.consensus.sent(name, message);
      rare.sent(name, message);
    };
    this.network.onHeard = (from, to, session) => this.#checkHeard(from, to, session);
    this.network.onArrival = (name, message) => rare.arrived(name, message);
    this.#founders = Array.from({ length: profile.masters }, (_, at) => `m${at + 1}`);
    const { timing, limits } = profile;
    this.#surroundings = {
      network: this.network,
      shared: () => this,
      settings: { timing, limits, asksOthers: profile.faults.has('restored-twice') },
      founders: this.#founders.map((name) => ({ name, peer: peerOf(name) })),
      others: (name) => this.masters.flatMap((master) => (master.name === name ? [] : [master.peer])),
      masterAt: (peer) => this.masters.find((master) => master.peer === peer),
    };
    for (const name of this.#founders) this.addMaster(name);
    const masters = () => this.masters;
    const { network, hands, use } = this;
    const parts = { network, masters, hands, use, witness: this.history };
    this.agents = Array.from({ length: profile.agents }, (_, at) => {
      const machine = new Machine(world, `h${at + 1}`, this.#rate());
      return new SimulatedAgent(machine, `a${at + 1}`, `10.0.0.${at + 1}`, parts);
    });
    const meanMs = Math.ceil(profile.timing.heartbeatMs * profile.stormPace);
    this.storm = new Storm({ network: this.network, masters, history: this.history, clients: profile.storm, meanMs });
  }

  start(): void {
    for (const master of this.masters) master.start();
    for (const agent of this.agents) agent.start();
    this.storm.start();
    this.#supervise();
  }

  /**
   * A copy of the host with its agent's state: at the same node address, at one of its own, or there with the process as it
   * runs (`running`). It is not started yet.
   */
  clone(original: SimulatedAgent, kind: 'same-address' | 'other-address' | 'running'): SimulatedAgent {
    this.#clones += 1;
    this.world.count(`hosts cloned: ${kind}`);
    const { network, use, history: witness } = this;
    const machine = new Machine(this.world, `${original.machine.name}c${this.#clones}`, this.#rate());
    const nodeIp = kind === 'same-address' ? original.nodeIp : `10.0.1.${this.#clones % 250}`;
    const parts = { network, masters: () => this.masters, hands: undefined, use, witness };
    const clone = new SimulatedAgent(machine, original.agentId, nodeIp, parts);
    clone.store = original.copyStore();
    if (kind === 'running') clone.copiedRunId = original.runId;
    this.clones.push(clone);
    return clone;
  }

  /** A machine for one more master, which is not started yet. */
  addMaster(name: string): SimulatedMaster {
    const master = new SimulatedMaster(new Machine(this.world, name, this.#rate()), this.#surroundings);
    this.masters.push(master);
    this.onAdded(master);
    return master;
  }

  /** Those whose process is up and takes part in the cluster. */
  get atWork(): readonly MasterAtWork[] {
    return this.masters.flatMap(({ work, apart }) => (work?.started === true && apart === undefined ? [work] : []));
  }

  /** The one that may serve, of the highest term. */
  get leader(): SimulatedMaster | undefined {
    let best: { readonly master: SimulatedMaster; readonly term: number } | undefined;
    for (const master of this.masters) {
      if (master.work?.started !== true || master.process?.paused === true || master.apart !== undefined) continue;
      const { leaderReady, role, term } = master.work.replica.status();
      if (!leaderReady || role !== 'leader') continue;
      if (best === undefined || term > best.term) best = { master, term };
    }
    return best?.master;
  }

  /**
   * All masters are lost but one, and that one's store begins a new cluster (`sublet snapshot recover`). All others
   * start with an empty disk, once an operator has it join; but each of `rivals` begins a cluster of the same id with
   * the same plan, as after a restore on several machines.
   */
  async beginAnew(survivor: SimulatedMaster, rivals: readonly SimulatedMaster[] = []): Promise<void> {
    this.lives += 1;
    this.begunAnewMs = this.world.time.now();
    this.world.count('clusters that began anew');
    this.world.trace('all lost but', 0, () => survivor.name);
    for (const master of this.masters) master.lose('its cluster is lost');
    this.history.lost();
    this.network.lost();
    const read = () => survivor.withStore('recovery', (store) => survivorIn(store, survivor.name));
    const { legacy } = await read();
    const copies = new Map<SimulatedMaster, PreviousState>();
    for (const rival of rivals) copies.set(rival, (await read()).legacy);
    const { onLeader } = this.consensus;
    this.clusterId = `simulated-${this.lives}`;
    this.consensus = new ConsensusChecks(this.world);
    this.consensus.onLeader = onLeader;
    this.plan = new PlanChecks(this.world);
    for (const master of this.masters) {
      master.replaceDisk();
      master.joins = true;
    }
    this.incarnation = await this.#restore(survivor, legacy, this.plan);
    for (const [rival, copy] of copies) {
      const { clusterId } = this;
      const plan = new PlanChecks(this.world);
      rival.beginsApart({ clusterId, consensus: new ConsensusChecks(this.world), plan });
      this.history.apart.set(await this.#restore(rival, copy, plan), plan);
      this.world.count('mark: another incarnation began');
      rival.start();
    }
    this.history.begunAnew(this.plan);
    survivor.start();
  }

  /** Writes the plan of a lost cluster to an empty disk. Returns which incarnation of the new cluster it makes. */
  async #restore(master: SimulatedMaster, legacy: PreviousState, plan: PlanChecks): Promise<string> {
    const { name, peer, machine } = master;
    const reborn = { name, peer, clusterId: this.clusterId };
    const [storeId, { index }] = await master.withStore('new life', async (store) => [
      store.identity.storeId,
      await writeFirstState(store, legacy, reborn, machine.wallNow()),
    ]);
    plan.carriedOver(legacy.ipam, index, legacy.term + 1);
    return incarnationOf([{ name, storeId }]);
  }

  /** All masters and what is known of them, at one moment. */
  copy(): ClusterCopy {
    const masters = new Map(this.masters.map((master) => [master, master.copy()]));
    return { masters, consensus: this.consensus.fork(), plan: this.plan.fork(), lives: this.lives };
  }

  /**
   * All masters are stopped, their disks are put back to copies of one moment, and they start again; but `away`, which stays
   * as it is, and does not run.
   */
  putBack({ masters, consensus, plan }: ClusterCopy, away?: SimulatedMaster): void {
    this.world.count(away === undefined ? 'clusters put back' : 'majorities put back');
    this.world.trace('all put back', plan.lastIndex);
    this.begunAnewMs = this.world.time.now();
    for (const master of this.masters) master.lose(master === away ? 'it is away' : 'its cluster is put back');
    away?.staysBehind({ clusterId: this.clusterId, consensus: this.consensus, plan: this.plan });
    const sessions = new Map(this.masters.map((master) => [master, master.disk.session?.nonce]));
    this.network.stopped();
    this.consensus = consensus;
    this.plan = plan;
    this.history.wentBack(plan);
    this.hands.wentBack(this.history.life);
    this.use.wentBack();
    for (const master of this.masters) {
      if (master === away) continue;
      master.putBackWithAll(masters.get(master), away === undefined ? undefined : sessions.get(master));
    }
  }

  /** In adoption: whether no host is left that may carry what the plan does not know. */
  get allCameBack(): boolean {
    const unknown = this.agents.some((agent) => {
      const { lease } = agent.store;
      const other = lease?.lease.clusterId !== this.clusterId || this.holdsOfOther(agent);
      return lease !== undefined && (other || agent.leaseLife < this.hands.life);
    });
    // What the lost cluster has answered may be on its way still.
    return !unknown && this.world.time.now() - this.begunAnewMs > lateAnswersMs;
  }

  /** Whether what the host runs on is of another incarnation of the cluster. */
  holdsOfOther({ store: { lease } }: SimulatedAgent): boolean {
    if (lease === undefined || this.incarnation === undefined) return false;
    return lease.lease.clusterId === this.clusterId && lease.lease.incarnation !== this.incarnation;
  }

  #checkHeard(from: string, to: string, session: string | undefined): void {
    const [sender, receiver] = [from, to].map((name) => this.masters.find((master) => master.name === name));
    if (sender === undefined || receiver === undefined) return;
    // A store that is no member's any more is refused by the gate in front of the peer port, whatever is known of it.
    const { members } = receiver.work?.replica.status().membership ?? { members: [] };
    if (!members.some(({ storeId }) => storeId === sender.disk.session?.storeId)) return;
    const heard = receiver.hears(sender, session);
    this.world.check(heard, 'a store that was put back is not heard', () => `${to} has taken a message of ${from}`);
  }

  /** Everything that is checked from time to time, because it looks at all there is. */
  full(): void {
    this.consensus.full();
    this.hands.full();
    for (const { work, apart } of this.masters) {
      if (work?.started !== true) continue;
      const { machine, replica, process } = work;
      const { appliedIndex } = replica.status();
      const { plan } = apart ?? this;
      plan.full(process.name, machine.real.ipam, machine.real.time, appliedIndex);
    }
  }

  /** Starts again what has ended and may come back. */
  #supervise(): void {
    const random = this.world.random('supervisor');
    const { electionMs } = this.profile.timing;
    this.world.time.after(restartMs.min + random.below(restartMs.spread), () => {
      for (const master of this.masters) {
        const again = master.down?.kind === 'crashed' || master.down?.kind === 'failed';
        if (master.process?.alive === false && again && !master.disk.full) master.start();
      }
      for (const agent of [...this.agents, ...this.clones]) {
        if (!agent.running && random.below(electionMs * 20) < electionMs) agent.start();
      }
      this.#supervise();
    });
  }

  #rate(): number {
    return this.profile.faults.has('clock-rate') ? (900 + this.world.random('clock rates').below(201)) / 1000 : 1;
  }
}
