/**
 * One run: a whole cluster in one process and virtual time, decided by one seed. Trouble for most of its events, then
 * healing, after which everything must come right within a bounded time.
 */
import { formatIp } from '#address/ip.js';
import { Faults } from '#cluster-test/simulation/faults/faults.js';
import { Operator } from '#cluster-test/simulation/faults/operator.js';
import { type FaultChoice, type FaultKind, type Profile, profileOf } from '#cluster-test/simulation/faults/profile.js';
import { Cluster } from '#cluster-test/simulation/world/cluster.js';
import { chunkTimeoutMs, lateOfferMaxMs } from '#cluster-test/simulation/world/simulated-network.js';
import { Violation, World } from '#cluster-test/simulation/world/world.js';
import { parseAgentId } from '#ipam/identity.js';
import { TimeStandsStill } from '#replica/testing/virtual-time.js';

export type SimulationOptions = {
  readonly seed: number;
  /** Events to work off; healing and coming right need some more. */
  readonly events: number;
  readonly choice?: FaultChoice;
  readonly log?: ((line: string) => void) | undefined;
};

export type SimulationResult = {
  readonly seed: number;
  readonly events: number;
  readonly simulatedMs: number;
  readonly traceHash: string;
  readonly violation: Violation | undefined;
  readonly faults: readonly FaultKind[];
  readonly counts: ReadonlyMap<string, number>;
};

/** Events between two looks at everything. */
const fullEvery = 1000;
const stackFramesMax = 4;
/** Events between two looks whether all has come right. */
const lookEvery = 10;
/** The part of the events that are full of trouble. */
const troubledShare = 0.95;
/** After healing: until there is a leader, and until all are the same; in election timeouts. */
const leaderWithin = 10;
const convergedWithin = 60;
/** A process is given up after 15 s, and a refused agent asks again with back-off, in ms. */
const hostsWithinMs = 120_000;
/** The same in events, for what is busy without getting on. */
const comesRightEventsMax = 500_000;

export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  // Refusals are many, and where they come from is plain from their text.
  Error.stackTraceLimit = stackFramesMax;
  const world = new World(options.seed, options.log);
  const simulation = new Simulation(world, options);
  const unhandled = (error: unknown): void => {
    world.fail(
      'no error that nobody expected',
      error instanceof Error ? (error.stack ?? error.message) : String(error),
    );
  };
  process.on('unhandledRejection', unhandled);
  try {
    await simulation.run();
    // Node reports unhandled rejections at the end of this turn.
    await new Promise((resolve) => setImmediate(resolve));
  } finally {
    process.off('unhandledRejection', unhandled);
  }
  return {
    seed: options.seed,
    events: world.time.events,
    simulatedMs: world.time.now(),
    traceHash: world.traceHash,
    violation: world.violation,
    counts: world.counts,
    faults: [...simulation.profile.faults],
  };
}

class Simulation {
  readonly profile: Profile;
  readonly #world: World;
  readonly #events: number;
  readonly #cluster: Cluster;
  readonly #faults: Faults;
  readonly #operator: Operator;
  #nextFull = fullEvery;

  constructor(world: World, { events, choice = {} }: SimulationOptions) {
    this.#world = world;
    this.#events = events;
    this.profile = profileOf(world, choice);
    this.#cluster = new Cluster(world, this.profile);
    this.#operator = new Operator(this.#cluster);
    this.#faults = new Faults(this.#cluster, this.#operator);
  }

  async run(): Promise<void> {
    const { time } = this.#world;
    try {
      this.#cluster.start();
      this.#operator.start();
      this.#faults.start();
      const troubled = Math.floor(this.#events * troubledShare);
      await time.work(() => this.#goesOn(() => time.events < troubled));
      this.#faults.heal();
      this.#operator.watchForRoom();
      this.#world.trace('healed', 0);
      await this.#comesRight('a leader after healing', leaderWithin, () => this.#cluster.leader !== undefined);
      await this.#comesRight('convergence after healing', convergedWithin, () => this.#converged());
      await this.#oneHostPerLease();
      await this.#comesRight('each host heard after healing', this.#hostTimeouts, () => {
        return this.#cluster.hands.unheard.length === 0;
      });
      await this.#comesRight('each host at its own address after healing', this.#hostTimeouts, () => this.#atHome());
      if (this.#world.violation === undefined) this.#cluster.full();
    } catch (error) {
      if (error instanceof Violation) this.#world.fail(error.invariant, error.message);
      else if (error instanceof TimeStandsStill) this.#world.fail('time that goes on', error.message);
      else throw error;
    }
  }

  /** A clone and the host that it is a copy of: the masters serve one of them. */
  async #oneHostPerLease(): Promise<void> {
    const { use, clones } = this.#cluster;
    if (clones.length === 0) return;
    await this.#comesRight('one host per lease after healing', this.#hostTimeouts, () => use.shared.length === 0);
  }

  get #hostTimeouts(): number {
    return Math.ceil(hostsWithinMs / this.profile.timing.electionMs);
  }

  /** The agents that hold a lease, and are not on record at the address that their host has; copies may compete for one. */
  get #strayed(): readonly string[] {
    const { leader, agents, clones } = this.#cluster;
    const ipam = leader?.work?.machine.real.ipam;
    return agents.flatMap(({ agentId, nodeIp, running, agent }) => {
      const record = ipam?.agent(parseAgentId(agentId));
      // In adoption a record waits for an agent that may have left.
      if (record === undefined || record.epoch !== agent?.lease?.epoch || !running) return [];
      if (clones.some((clone) => clone.agentId === agentId)) return [];
      // A copy may have come to this address before the agent did: then two hosts have one, and that is refused.
      if (clones.some((clone) => clone.nodeIp === nodeIp && clone.running)) return [];
      const onRecord = formatIp(record.nodeIp);
      if (record.reachable && onRecord === nodeIp) return [];
      const why = JSON.stringify(agent.registration.state);
      return [
        `${agentId} at ${nodeIp} is on record at ${onRecord}${record.reachable ? '' : ', which it has lost'}: ${why}`,
      ];
    });
  }

  /** The masters that serve have the agents' own addresses. */
  #atHome(): boolean {
    return this.#cluster.leader !== undefined && this.#strayed.length === 0;
  }

  /** For so long an offer of before the healing, which comes late from a process that has died, is in the way of others. */
  get #lateOffersMs(): number {
    return this.profile.faults.has('late-snapshot') ? lateOfferMaxMs + chunkTimeoutMs : 0;
  }

  async #comesRight(what: string, timeouts: number, right: () => boolean): Promise<void> {
    const { time } = this.#world;
    const beganMs = time.now();
    const withinMs = timeouts * this.profile.timing.electionMs + extraMs + this.#lateOffersMs;
    const before = time.events;
    let came = false;
    await time.work(() =>
      this.#goesOn(() => {
        if (time.events % lookEvery === 0) came = right();
        return !came && time.now() - beganMs < withinMs && time.events - before < comesRightEventsMax;
      }),
    );
    const tried = () => `${Math.round(time.now() - beganMs)} of ${withinMs} ms and ${time.events - before} events`;
    this.#world.check(came, what, () => `there was none within ${tried()}:\n${this.#picture()}`);
  }

  #goesOn(more: () => boolean): boolean {
    const { time, violation } = this.#world;
    if (violation !== undefined) return false;
    if (time.events >= this.#nextFull) {
      this.#nextFull = time.events + fullEvery;
      this.#cluster.full();
    }
    return more();
  }

  /** All members that can run do, and have applied the same. */
  #converged(): boolean {
    const work = this.#cluster.leader?.work;
    if (work === undefined) return false;
    const { membership, appliedIndex, lastIndex } = work.replica.status();
    if (appliedIndex !== lastIndex) return false;
    return membership.members.every(({ name, id }) => {
      const master = this.#cluster.masters.find((one) => one.name === name);
      if (master === undefined || master.down?.kind === 'refused') return true;
      if (master.durable.head?.memberId !== undefined && master.durable.head.memberId !== id) return true;
      if (master.work?.started !== true) return false;
      // The load goes on, so a follower may be a little behind.
      return master.work.replica.status().appliedIndex >= appliedIndex - 5;
    });
  }

  #picture(): string {
    const lines = this.#cluster.masters.map((master) => {
      if (master.work?.started !== true) {
        return `${master.name} down (${master.down?.kind ?? 'starting'}: ${master.down?.why ?? ''})`;
      }
      const { role, term, appliedIndex, commitIndex, lastIndex, membership } = master.work.replica.status();
      const { voters, votersOutgoing, learners } = membership.confState;
      const configuration = `voters ${voters.join(',')}/${votersOutgoing.join(',')} learners ${learners.join(',')}`;
      return `${master.name} ${role} term ${term} applied ${appliedIndex} commit ${commitIndex} last ${lastIndex} ${configuration}`;
    });
    const unheard = this.#cluster.hands.unheard.map(({ agentId, agent }) => {
      return `${agentId} carries a lost lease: ${JSON.stringify(agent?.registration.state)}`;
    });
    return `  ${[...lines, ...this.#strayed, ...unheard, ...this.#contested].join('\n  ')}`;
  }

  /** Each host that carries an id that another host carries too: its address, its run id and its registration. */
  get #contested(): readonly string[] {
    const { use, agents, clones, leader } = this.#cluster;
    const ipam = leader?.work?.machine.real.ipam;
    const shared = new Set(use.shared);
    return [...agents, ...clones]
      .filter(({ agentId, running }) => shared.has(agentId) && running)
      .map(({ machine, agentId, nodeIp, runId, agent, store }) => {
        const onRecord = ipam?.lease(parseAgentId(agentId))?.runId;
        const state = JSON.stringify(agent?.registration.state);
        const plan = ipam?.adoption === true ? 'in adoption' : 'not in adoption';
        return `${machine.name} at ${nodeIp} carries ${agentId}: instance ${store.identity.instanceId} run id ${runId}, on record ${ipam?.agent(parseAgentId(agentId))?.instanceId} ${onRecord} (${plan}): ${state}`;
      });
  }
}

/** For the supervisor to start what is down, and for timers of clocks that are slow. */
const extraMs = 6000;
