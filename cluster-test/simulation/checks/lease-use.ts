/**
 * One lease is kept alive by one process. Agents and their clones tell here what the masters accepted of them, by their own
 * clocks of the world: when a message was sent and when its answer came. While one process is current for the masters,
 * nothing of another one of the same agent id may be accepted.
 */
import type { SimulatedAgent } from '#cluster-test/simulation/world/simulated-agent.js';
import type { SimulatedMaster } from '#cluster-test/simulation/world/simulated-master.js';
import type { SimulatedProcess, World } from '#cluster-test/simulation/world/world.js';
import type { HostInput } from '#host/input.js';
import { parseAgentId } from '#ipam/identity.js';

/**
 * A process that was heard is current for 15 s of the leader's clock, which runs faster than the world's by a tenth at
 * most; less the time for which a message may be under way.
 */
const surelyCurrentMs = 10_000;
/** The masters may hear of a closed stream so late that it ends what a copy with the same run id has sent since. */
const closeHeardMs = 5_000;

type Use = {
  readonly agent: SimulatedAgent;
  readonly process: SimulatedProcess;
  readonly epoch: number;
  readonly runId: string;
  readonly nodeIp: string;
  /** Its run id is in the plan. One that registered before all masters knew of run ids is known to one leader only. */
  readonly onRecord: boolean;
  /** The process of the leader that has accepted it. */
  readonly leader: SimulatedProcess | undefined;
  readonly sentMs: number;
  readonly answeredMs: number;
  /** Its keep-alive stream broke off since: the masters may take it for gone. */
  broken: boolean;
};

export class LeaseUse {
  readonly #world: World;
  readonly #leader: () => SimulatedMaster | undefined;
  readonly #uses = new Map<string, Use[]>();
  /** By run id: when the last stream of each process with it broke off, ms of the world. Copies share a run id. */
  readonly #brokenMs = new Map<string, Map<SimulatedProcess, number>>();
  /** Agents and clones whose data plane is up. */
  readonly #carrying = new Set<SimulatedAgent>();

  constructor(world: World, leader: () => SimulatedMaster | undefined) {
    this.#world = world;
    this.#leader = leader;
  }

  /** A registration or a keep-alive of this process was accepted. */
  accepted(
    agent: SimulatedAgent,
    process: SimulatedProcess,
    { epoch, runId, sentMs }: Pick<Use, 'epoch' | 'runId' | 'sentMs'>,
  ): void {
    const answeredMs = this.#world.time.now();
    const all = (this.#uses.get(agent.agentId) ?? []).filter((use) => use.process.alive);
    const own = all.find((use) => use.process === process);
    const master = this.#leader();
    const leader = master?.process;
    const record = master?.work?.machine.real.ipam.lease(parseAgentId(agent.agentId));
    const onRecord = record?.runId === runId;
    const { nodeIp } = agent;
    for (const use of all) {
      // Copies of a running process are alike to the masters until they have answered one of them with the other's node
      // address.
      if (use === own || use.epoch !== epoch || use.runId === runId || use.broken || use.process.paused) continue;
      if (!use.onRecord) continue;
      // A new leader may not hear of a stream for 5 s; then another process at that node address is taken for the same host's.
      if (use.leader !== leader && use.nodeIp === agent.nodeIp) continue;
      // By the leader's clock it has been silent for longer.
      if ((leader?.machine.lastLeapMs ?? 0) >= use.sentMs) continue;
      const current = use.answeredMs < sentMs && answeredMs - use.sentMs < surelyCurrentMs;
      const what = () =>
        `${agent.machine.name} was accepted for ${agent.agentId}, while ${use.agent.machine.name} kept the lease alive: ` +
        `run ${runId} at ${nodeIp}, sent ${sentMs}, answered ${answeredMs}; ` +
        `run ${use.runId} at ${use.nodeIp}, sent ${use.sentMs}, answered ${use.answeredMs}${use.leader === leader ? '' : ', by another leader'}`;
      this.#world.check(!current, 'one process per lease', what);
    }
    const broken = this.#endedByCopy(process, runId, sentMs);
    const use = { agent, process, epoch, runId, nodeIp, onRecord, leader, sentMs, answeredMs, broken };
    this.#uses.set(agent.agentId, [...all.filter((other) => other !== own), use]);
  }

  /** Its keep-alive stream has ended. The masters take it for the end of each copy that has the same run id. */
  broken(agent: SimulatedAgent, process: SimulatedProcess): void {
    const uses = this.#uses.get(agent.agentId) ?? [];
    const own = uses.find((use) => use.process === process);
    if (own === undefined) return;
    for (const use of uses) if (use === own || use.runId === own.runId) use.broken = true;
    const byProcess = this.#brokenMs.get(own.runId) ?? new Map<SimulatedProcess, number>();
    this.#brokenMs.set(own.runId, byProcess.set(process, this.#world.time.now()));
  }

  /** Whether the masters may take the closed stream of another process with this run id for the end of this one. */
  #endedByCopy(process: SimulatedProcess, runId: string, sentMs: number): boolean {
    const all = [...(this.#brokenMs.get(runId) ?? [])];
    return all.some(([other, brokenMs]) => other !== process && sentMs < brokenMs + closeHeardMs);
  }

  /** All masters were put back to a copy: what they accepted since is nothing to them. */
  wentBack(): void {
    this.#uses.clear();
    this.#brokenMs.clear();
  }

  told(agent: SimulatedAgent, { leaseValid }: HostInput): void {
    if (leaseValid) this.#carrying.add(agent);
    else this.#carrying.delete(agent);
  }

  gone(agent: SimulatedAgent): void {
    this.#carrying.delete(agent);
  }

  /** The agent ids that two running hosts carry at once; empty once the masters have refused one of each two. */
  get shared(): readonly string[] {
    const seen = new Set<string>();
    return [...this.#carrying]
      .filter((agent) => agent.running)
      .flatMap(({ agentId }) => {
        if (seen.has(agentId)) return [agentId];
        seen.add(agentId);
        return [];
      });
  }
}
