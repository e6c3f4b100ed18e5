/**
 * Trouble, kind by kind. Each kind that the profile has on comes again and again, at times of its own chance, and undoes
 * itself after a while; `heal` ends all of it.
 */

import { ClusterFaults } from '#cluster-test/simulation/faults/cluster-faults.js';
import type { Operator } from '#cluster-test/simulation/faults/operator.js';
import type { FaultKind } from '#cluster-test/simulation/faults/profile.js';
import { StoreFaults } from '#cluster-test/simulation/faults/store-faults.js';
import type { Cluster } from '#cluster-test/simulation/world/cluster.js';
import type { SimulatedAgent } from '#cluster-test/simulation/world/simulated-agent.js';
import type { WriteFate } from '#cluster-test/simulation/world/simulated-disk.js';
import type { SimulatedMaster } from '#cluster-test/simulation/world/simulated-master.js';
import { fairWeather } from '#cluster-test/simulation/world/simulated-network.js';
import type { SeededRandom } from '#replica/testing/seeded-random.js';

/** What a kind does when its time has come. */
type Deed = (random: SeededRandom) => void;

export class Faults {
  readonly #cluster: Cluster;
  readonly #operator: Operator;
  #healed = false;
  readonly #stores: StoreFaults;
  readonly #clusters: ClusterFaults;

  constructor(cluster: Cluster, operator: Operator) {
    this.#cluster = cluster;
    this.#operator = operator;
    this.#stores = new StoreFaults(cluster, operator);
    this.#clusters = new ClusterFaults(cluster, operator, this.#stores);
  }

  start(): void {
    const { profile, network } = this.#cluster;
    network.weather = profile.weather;
    for (const master of this.#cluster.masters) this.#giveFate(master);
    this.#cluster.onAdded = (master) => this.#giveFate(master);
    // Clocks that are never set differ from the beginning.
    const clocks = this.#cluster.world.random('wall clocks');
    if (profile.faults.has('wall-clock')) {
      for (const { machine } of this.#cluster.masters) machine.wallOffsetMs += (clocks.below(2001) - 1000) * 1000;
    }
    for (const [kind, deed] of this.#deeds()) if (profile.faults.has(kind)) this.#again(kind, deed);
  }

  /** No trouble from now on; members that were cut off, asleep or down come back. */
  heal(): void {
    this.#healed = true;
    const { network, masters, agents, storm } = this.#cluster;
    network.heal();
    network.weather = fairWeather;
    // A watch gives the network and the agent itself once, at its beginning. Its agent opens the next one after the end of
    // this one, and that one gives the state of then.
    network.lost();
    for (const master of masters) {
      master.disk.full = false;
      master.disk.nearlyFull = false;
      master.disk.hungUntilMs = 0;
      master.disk.fate = () => ({ kind: 'ok', afterMs: 1 });
      master.disk.readFails = () => false;
      master.process?.resume();
    }
    this.#clusters.heal();
    for (const agent of [...agents, ...this.#cluster.clones]) {
      agent.wake();
      agent.process?.resume();
    }
    storm.process.resume();
  }

  #giveFate(master: SimulatedMaster): void {
    const random = this.#cluster.world.random(`fate ${master.name}`);
    const { faults } = this.#cluster.profile;
    master.disk.fate = (delicate) => this.#fate(random, faults, delicate);
    const reads = this.#cluster.world.random(`reads of ${master.name}`);
    if (faults.has('read-error')) master.disk.readFails = () => reads.chance(readErrors);
  }

  #fate(random: SeededRandom, faults: ReadonlySet<FaultKind>, delicate: boolean): WriteFate {
    const slow = faults.has('slow-disk') && random.chance(0.02);
    const afterMs = slow ? 50 + random.below(3000) : 0.5 + random.below(16) / 4;
    const stored = random.below(2) === 0;
    const { storageCrash } = this.#cluster.profile;
    if (faults.has('storage-crash') && random.chance(delicate ? Math.max(storageCrash, delicateCrash) : storageCrash)) {
      return { kind: 'crash', afterMs, stored };
    }
    if (faults.has('disk-error') && random.chance(0.002)) return { kind: 'fail', afterMs, code: 'EIO', stored };
    return { kind: 'ok', afterMs };
  }

  #again(kind: FaultKind, deed: Deed): void {
    const { world, profile } = this.#cluster;
    const random = world.random(`fault ${kind}`);
    const meanMs = profile.calm * profile.timing.electionMs * (rare.has(kind) ? 4 : 1);
    const next = (): void => {
      world.time.after(1 + random.below(2 * meanMs), () => {
        if (this.#healed) return;
        world.count(`fault: ${kind}`);
        world.trace(`fault ${kind}`, 0);
        deed(random);
        next();
      });
    };
    next();
  }

  #deeds(): readonly (readonly [FaultKind, Deed])[] {
    const operator = this.#operator;
    return [
      ['one-way-cut', (random) => this.#cutFor(random, (a, b) => this.#oneWay(random, a, b))],
      ['single-cut', (random) => this.#cutFor(random, (a, b) => this.#both(a, b))],
      ['isolated-leader', (random) => this.#isolate(random)],
      ['bridge', (random) => this.#bridge(random)],
      ['crash', (random) => this.#master(random)?.crash()],
      ['disk-full', (random) => this.#fill(random)],
      ['hung-disk', (random) => this.#hang(random)],
      ['lost-tail', (random) => this.#stores.loseTail(random)],
      ['all-put-back', () => this.#clusters.putAllBack()],
      ['most-put-back', (random) => this.#clusters.putMostBack(random)],
      ['restored-twice', (random) => this.#clusters.restoreTwice(random)],
      ['wiped-disk', (random) => this.#stores.wipe(random)],
      ['pause', (random) => this.#pause(random, 2)],
      ['stall', (random) => this.#pause(random, 0.3)],
      ['wall-clock', (random) => this.#setWallClock(random)],
      ['clock-leap', (random) => this.#leap(random)],
      ['membership', () => this.#changeMembership()],
      ['transfer', () => operator.transfer()],
      ['graceful', (random) => this.#master(random)?.stop()],
      ['restart-all', () => this.#restartAll()],
      ['agent-crash', (random) => this.#agent(random)?.kill()],
      ['agent-sleep', (random) => this.#sleep(random)],
      ['agent-reinstall', (random) => this.#agent(random)?.reinstall()],
      ['agent-swap', (random) => this.#swap(random)],
      ['agent-leave', (random) => this.#agent(random)?.leave()],
      ['client-cut', (random) => this.#cutClient(random)],
      ['release', () => operator.release()],
      ['takeover', (random) => this.#takeOver(random)],
      ['lost-cluster', (random) => this.#clusters.loseCluster(random)],
      ['returning-leader', (random) => this.#returnLeader(random)],
      ['unlucky-change', (random) => this.#changeUnluckily(random)],
      ['put-back', (random) => this.#stores.putBack(random)],
      ['agent-clone', (random) => this.#clone(random)],
      ['agent-shuffle', () => this.#shuffle()],
    ];
  }

  #master(random: SeededRandom): SimulatedMaster | undefined {
    const { masters } = this.#cluster;
    return masters[random.below(masters.length)];
  }

  #agent(random: SeededRandom): SimulatedAgent | undefined {
    const { agents } = this.#cluster;
    return agents[random.below(agents.length)];
  }

  /** Up to a few election timeouts. */
  #while(random: SeededRandom, undo: () => void, timeouts = 4): void {
    const { world, profile } = this.#cluster;
    world.time.after(1 + random.below(timeouts * profile.timing.electionMs), () => {
      if (!this.#healed) undo();
    });
  }

  #cutFor(random: SeededRandom, cut: (one: SimulatedMaster, other: SimulatedMaster) => void): void {
    const one = this.#master(random);
    const other = this.#master(random);
    if (one === undefined || other === undefined || one === other) return;
    cut(one, other);
    this.#while(random, () => this.#cluster.network.heal());
  }

  #oneWay(random: SeededRandom, one: SimulatedMaster, other: SimulatedMaster): void {
    const all = random.below(2) === 0;
    for (const to of all ? this.#cluster.masters : [other]) {
      if (to !== one) this.#cluster.network.cut(one.peer, to.peer);
    }
  }

  #both(one: SimulatedMaster, other: SimulatedMaster): void {
    this.#cluster.network.cut(one.peer, other.peer);
    this.#cluster.network.cut(other.peer, one.peer);
  }

  /** Its clients still reach it. */
  #isolate(random: SeededRandom): void {
    const { leader, masters } = this.#cluster;
    if (leader === undefined) return;
    for (const other of masters) if (other !== leader) this.#both(leader, other);
    this.#while(random, () => this.#cluster.network.heal());
  }

  /** Two sides, and one in the middle that both see. */
  #bridge(random: SeededRandom): void {
    const { masters, network } = this.#cluster;
    const middle = this.#master(random);
    const left = masters.filter((master) => master !== middle && random.below(2) === 0);
    const right = masters.filter((master) => master !== middle && !left.includes(master));
    for (const one of left) for (const other of right) this.#both(one, other);
    this.#while(random, () => network.heal());
  }

  /**
   * A leader is alone, while clients reach it, until another leads; and it comes back in the moment in which that one
   * dies, with a long log of an older term, to be judged by members with a short log of the newer term.
   */
  #returnLeader(random: SeededRandom): void {
    const { leader, masters, world, profile, network } = this.#cluster;
    if (leader === undefined) return;
    for (const other of masters) if (other !== leader) this.#both(leader, other);
    const { electionMs, heartbeatMs } = profile.timing;
    for (let entries = 0; entries < lonelyEntries; entries += 1) {
      world.time.after(random.below(2 * heartbeatMs), () => this.#operator.sayAt(leader));
    }
    const untilMs = world.time.now() + returnTimeouts * electionMs;
    const look = (): void => {
      if (this.#healed) return;
      const next = this.#cluster.leader;
      const replaced = next !== undefined && next !== leader;
      if (!replaced && world.time.now() < untilMs) {
        world.time.after(heartbeatMs / 16, look);
        return;
      }
      if (replaced) next.crash();
      network.heal();
    };
    look();
  }

  /**
   * A membership change, and trouble just then: a voter cut off or gone, the leader left alone with a newcomer in the
   * middle of it, or another operator that changes something, too.
   */
  #changeUnluckily(random: SeededRandom): void {
    const { leader, masters, world } = this.#cluster;
    if (leader === undefined || this.#stores.lost !== undefined) return;
    const others = masters.filter((master) => master !== leader && master.work?.started === true);
    const other = others[random.below(Math.max(1, others.length))];
    const trouble = random.below(4);
    const { learners = [] } = leader.work?.replica.status().membership.confState ?? {};
    const soon = (deed: () => void): void => {
      world.time.after(random.below(soonMs), () => {
        if (!this.#healed) deed();
      });
    };
    if (trouble === 0 && other !== undefined) {
      this.#both(leader, other);
      this.#while(random, () => this.#cluster.network.heal());
    }
    this.#operator.changeMembership();
    if (trouble === 1) other?.crash();
    if (trouble === 2) {
      soon(() => {
        const isOld = ({ durable: { head } }: SimulatedMaster) => !learners.some((id) => id === head?.memberId);
        for (const voter of others.filter(isOld)) this.#both(leader, voter);
        this.#while(random, () => this.#cluster.network.heal());
      });
    }
    soon(() => {
      if (this.#stores.lost === undefined) this.#operator.changeMembership();
    });
  }

  #fill(random: SeededRandom): void {
    const master = this.#master(random);
    if (master === undefined) return;
    const { disk } = master;
    // At first the store only asks to refuse proposals; one in two fills up all the same.
    disk.nearlyFull = true;
    if (random.below(2) === 0) disk.full = true;
    this.#while(random, () => {
      disk.full = false;
      disk.nearlyFull = false;
    });
  }

  #hang(random: SeededRandom): void {
    const { world, profile, leader } = this.#cluster;
    const master = random.below(2) === 0 ? leader : this.#master(random);
    if (master === undefined) return;
    master.disk.hungUntilMs = world.time.now() + random.below(5 * profile.timing.electionMs);
  }

  #pause(random: SeededRandom, timeouts: number): void {
    const { leader } = this.#cluster;
    const master = random.below(2) === 0 ? leader : this.#master(random);
    const process = master?.process;
    if (process === undefined) return;
    process.pause();
    this.#while(random, () => process.resume(), timeouts);
  }

  #setWallClock(random: SeededRandom): void {
    const master = this.#master(random);
    if (master !== undefined) master.machine.wallOffsetMs += (random.below(2_000_001) - 1_000_000) * 1000;
  }

  /** Of one that leads, of any master, or of a host. */
  #leap(random: SeededRandom): void {
    const { leader, profile } = this.#cluster;
    const machines = [leader?.machine, this.#master(random)?.machine, this.#agent(random)?.machine];
    machines[random.below(machines.length)]?.leap(random.below(3 * profile.timing.electionMs));
  }

  /** Not while a store is lost: one more member less, and a quorum would be lost for good. */
  #changeMembership(): void {
    if (this.#stores.lost === undefined) this.#operator.changeMembership();
  }

  #restartAll(): void {
    for (const master of this.#cluster.masters) master.crash();
  }

  #sleep(random: SeededRandom): void {
    const agent = this.#agent(random);
    if (agent === undefined) return;
    agent.sleep();
    this.#while(random, () => agent.wake(), 60);
  }

  /** Two hosts change addresses. */
  #swap(random: SeededRandom): void {
    const one = this.#agent(random);
    const other = this.#agent(random);
    if (one === undefined || other === undefined) return;
    [one.nodeIp, other.nodeIp] = [other.nodeIp, one.nodeIp];
  }

  /**
   * A host is copied with its agent's state, while that agent runs or after it has ended; the copy is started then or later.
   * Two copies at a time: the oldest goes for good.
   */
  #clone(random: SeededRandom): void {
    const { world, clones } = this.#cluster;
    if (clones.length >= clonesMax) {
      clones.shift()?.kill();
      return;
    }
    const original = this.#agent(random);
    if (original?.store.lease === undefined) return;
    if (random.below(3) === 0) original.kill();
    const kind = cloneKinds[random.below(original.running ? 3 : 2)] ?? 'other-address';
    const clone = this.#cluster.clone(original, kind);
    const delayMs = random.below(2) === 0 ? 1 : random.below(cloneStartMs);
    world.time.after(delayMs, () => {
      if (clones.includes(clone)) clone.start();
    });
  }

  /** Each host gets the address of the next one, under its running agent. */
  #shuffle(): void {
    const { agents } = this.#cluster;
    const [first, ...others] = agents.map(({ nodeIp }) => nodeIp);
    if (first === undefined) return;
    for (const [at, nodeIp] of [...others, first].entries()) {
      const agent = agents[at];
      if (agent !== undefined) agent.nodeIp = nodeIp;
    }
  }

  #cutClient(random: SeededRandom): void {
    const agent = this.#agent(random);
    const { masters, network } = this.#cluster;
    if (agent === undefined) return;
    for (const { name } of masters) {
      network.cut(agent.machine.name, name);
      network.cut(name, agent.machine.name);
    }
    this.#while(random, () => network.heal(), 60);
  }

  /** A host installed anew, whose operator insists. */
  #takeOver(random: SeededRandom): void {
    const agent = this.#agent(random);
    if (agent === undefined) return;
    agent.reinstall();
    agent.takeover = true;
  }
}

/** The chance of one read to fail, where that kind is on. Reads are few: at the start, for snapshots, to sweep. */
const readErrors = 0.02;
/** The chance of a crash at one write that takes entries back, where such crashes are on: there are few of them. */
const delicateCrash = 0.3;
/** What an operator has a leader write while it is alone. */
const lonelyEntries = 10;
/** How long a leader stays alone, if no other takes its place, in election timeouts. */
const returnTimeouts = 6;
/** The last one only while the first process runs. */
const cloneKinds = ['other-address', 'same-address', 'running'] as const;
/** Copies of hosts at a time. */
const clonesMax = 2;
/** A copy is started so much later at most, in ms: the state of the first one is ahead by then. */
const cloneStartMs = 40_000;
/** While a membership change is under way, in ms: it takes a few rounds of messages. */
const soonMs = 30;
/** Kinds that need long to be got over. */
const rare: ReadonlySet<FaultKind> = new Set<FaultKind>([
  ...(['restart-all', 'agent-sleep', 'agent-reinstall', 'agent-swap', 'client-cut', 'takeover'] as const),
  ...(['disk-full', 'release', 'clock-leap', 'agent-shuffle'] as const),
]);
