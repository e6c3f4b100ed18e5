/**
 * The promises of the address plan, held against a model of its own that follows the log: never in two hands, quarantine,
 * fencing, equal states at equal revisions, and every block accounted for. The first member to apply an entry moves the
 * model on; all others must come to the same.
 */

import { formatCidr4 } from '#address/cidr4.js';
import { formatIp } from '#address/ip.js';
import { formatIpv4 } from '#address/ipv4.js';
import { BranchChecks } from '#cluster-test/simulation/checks/branch-checks.js';
import type { World } from '#cluster-test/simulation/world/world.js';
import { decodeCommand } from '#ipam/codec/command-codec.js';
import type { Command, Register } from '#ipam/commands/command.js';
import { Ipam } from '#ipam/ipam.js';
import { viewAgent } from '#ipam/view/agent-view.js';
import type { FullAgent } from '#ipam/view/full-agent.js';
import type { PlanOutcome } from '#master/ipam-machine.js';

/** What the model knows of an agent. `blocks`: what it holds, as text. */
export type Holding = {
  readonly revision: number;
  readonly instanceId: string;
  readonly sequence: number;
  readonly epoch: number;
  readonly nodeIp: string;
  readonly blocks: readonly string[];
};

type Step = { readonly hash: string; readonly revision: number; readonly term: number };
type Quarantined = { readonly until: number; readonly of: string };

export class PlanChecks {
  readonly #world: World;
  readonly #steps = new Map<number, Step>();
  readonly #agents = new Map<string, Holding>();
  /** Every state of each agent, by ascending revision; undefined: it held nothing from then on. */
  readonly #past = new Map<string, { readonly revision: number; readonly holding: Holding | undefined }[]>();
  readonly #holders = new Map<string, string>();
  readonly #quarantined = new Map<string, Quarantined>();
  readonly #nodes = new Map<string, string>();
  #lastIndex = 0;
  /** Where this cluster's plan began, with what another one had leased; 0: it began with nothing. */
  #base = 0;
  /** The epoch of leases that were carried over into an adoption, until their agents have registered in it. */
  #adoptedAt = 0;
  readonly branches: BranchChecks;

  constructor(world: World, branches = new BranchChecks(world)) {
    this.#world = world;
    this.branches = branches;
  }

  /** What is known now, for a cluster whose disks are all put back to this moment. */
  fork(): PlanChecks {
    const fork = new PlanChecks(this.#world, this.branches.fork());
    fork.#base = this.#base;
    fork.#adoptedAt = this.#adoptedAt;
    fork.#lastIndex = this.#lastIndex;
    for (const [index, step] of this.#steps) fork.#steps.set(index, step);
    for (const [agentId, holding] of this.#agents) fork.#agents.set(agentId, holding);
    for (const [agentId, past] of this.#past) fork.#past.set(agentId, [...past]);
    for (const [block, agentId] of this.#holders) fork.#holders.set(block, agentId);
    for (const [block, resting] of this.#quarantined) fork.#quarantined.set(block, resting);
    for (const [nodeIp, agentId] of this.#nodes) fork.#nodes.set(nodeIp, agentId);
    return fork;
  }

  /** The newest revision that there is. */
  get revision(): number {
    return this.#steps.get(this.#lastIndex)?.revision ?? 0;
  }

  get base(): number {
    return this.#base;
  }

  /**
   * The plan begins with what a lost cluster had leased. What is quarantined is not known: a while of quarantine goes
   * unchecked.
   */
  carriedOver(ipam: Ipam, index: number, term: number): void {
    this.#base = index;
    // Above the index if an adoption on a proof has raised the base of the epochs.
    this.#adoptedAt = ipam.adoptedAt;
    this.#lastIndex = index;
    this.#steps.set(index, { hash: ipam.hash(), revision: ipam.revision, term });
    for (const agent of ipam.agentsAfter(undefined, Number.POSITIVE_INFINITY)) {
      const { agentId, instanceId, sequence, epoch, reachable } = agent;
      const blocks = blocksOf(agent);
      const nodeIp = formatIp(agent.nodeIp);
      const holding: Holding = { revision: index, instanceId, sequence, epoch, nodeIp, blocks };
      this.#agents.set(agentId, holding);
      this.#remember(agentId, index, holding);
      for (const block of blocks) this.#holders.set(block, agentId);
      if (reachable) this.#nodes.set(nodeIp, agentId);
    }
  }

  get lastIndex(): number {
    return this.#lastIndex;
  }

  get agents(): ReadonlyMap<string, Holding> {
    return this.#agents;
  }

  /** A member has applied a command. */
  applied(
    name: string,
    command: Uint8Array,
    at: { readonly index: number; readonly term: number; readonly time: number },
    outcome: PlanOutcome,
    ipam: Ipam,
  ): void {
    const hash = ipam.hash();
    const known = this.#steps.get(at.index);
    if (known !== undefined) {
      const same = known.hash === hash && known.revision === ipam.revision && known.term === at.term;
      const what = () =>
        `${name} has ${hash} at ${at.index}, revision ${ipam.revision}; ${known.hash} was there before`;
      this.#world.check(same, 'equal state at equal revision', what);
      return;
    }
    this.#steps.set(at.index, { hash, revision: ipam.revision, term: at.term });
    const order = () => `${name} applies ${at.index} first, after ${this.#lastIndex} was applied`;
    this.#world.check(at.index > this.#lastIndex, 'committed never changes', order);
    this.#lastIndex = at.index;
    // The state itself is part of the trace: its first 32 bits.
    this.#world.trace('applied', at.index, () => hash);
    this.#world.trace('state', Number.parseInt(hash.slice(0, 8), 16));
    const decoded = decodeCommand(command);
    if (decoded.kind === 'expire' && outcome.result.kind !== 'refused') this.#world.count('leases that expired');
    this.#judge(decoded, outcome);
    this.#adopt(decoded, at.index, outcome);
    this.branches.applied(at.index, ipam.adoption);
    if (ipam.adoption && decoded.kind === 'register') this.#judgeAdoption(decoded, outcome);
    this.#follow(outcome, at, ipam);
  }

  /** A member has loaded a state: from its disk, or from a snapshot. */
  restored(name: string, index: number, ipam: Ipam): void {
    let at = index;
    while (at > 0 && !this.#steps.has(at)) at -= 1;
    const known = this.#steps.get(at);
    if (known === undefined) return;
    const what = () => `${name} loads ${ipam.hash()} at ${index}, revision ${ipam.revision}; it was ${known.hash}`;
    this.#world.check(
      known.hash === ipam.hash() && known.revision === ipam.revision,
      'equal state at equal revision',
      what,
    );
    this.#checkUsage(name, ipam, 0);
  }

  /** What the agent held at this revision. */
  at(agentId: string, revision: number): Holding | undefined {
    const past = this.#past.get(agentId) ?? [];
    for (let at = past.length - 1; at >= 0; at -= 1) {
      const state = past[at];
      if (state !== undefined && state.revision <= revision) return state.holding;
    }
    return undefined;
  }

  /** The whole state of a member, against its own records and the model. */
  full(name: string, ipam: Ipam, time: number, index: number): void {
    const again = Ipam.restore(ipam.records());
    const what = () => `${name} has ${ipam.hash()}, its records have ${again.hash()}`;
    this.#world.check(again.hash() === ipam.hash(), 'state follows from its records', what);
    this.#checkUsage(name, ipam, time);
    this.#checkUsage(`${name} (loaded)`, again, time);
    const usage = JSON.stringify(ipam.usage(time), big);
    const loaded = JSON.stringify(again.usage(time), big);
    this.#world.check(usage === loaded, 'state follows from its records', () => `${name}: ${usage} and ${loaded}`);
    if (index >= this.#lastIndex) this.#checkModel(name, ipam);
  }

  #checkModel(name: string, ipam: Ipam): void {
    let held = 0;
    for (const agent of ipam.agentsAfter(undefined, Number.POSITIVE_INFINITY)) {
      held += 1;
      const holding = this.#agents.get(agent.agentId);
      const same = holding?.epoch === agent.epoch && sameBlocks(holding.blocks, blocksOf(agent));
      this.#world.check(same, 'acknowledged allocations survive', () => `${name} has lost what ${agent.agentId} held`);
    }
    const what = () => `${name} knows ${held} agents of ${this.#agents.size}`;
    this.#world.check(held === this.#agents.size, 'acknowledged allocations survive', what);
  }

  #checkUsage(name: string, ipam: Ipam, time: number): void {
    const usage = ipam.usage(time);
    if (usage === undefined) return;
    for (const pool of [usage.vtep, ...usage.overlays.flatMap(({ v4, v6 }) => [v4, v6])]) {
      if (pool === undefined) continue;
      const { free, held, reserved, quarantined, excluded, total } = pool;
      const parts = [free, held, reserved, quarantined, excluded];
      const whole = parts.reduce((sum, part) => sum + part, 0n) === total && parts.every((part) => part >= 0n);
      this.#world.check(whole, 'every block accounted for', () => `${name}: ${parts.join(' + ')} is not ${total}`);
    }
  }

  /** A new branch of the history, or an adoption. What is on record is carried over, under epochs of a higher base. */
  #adopt(command: Command, index: number, { events, result }: PlanOutcome): void {
    if (result.kind === 'refused') return;
    if (command.kind === 'mark-branch') this.branches.began(index, command.value);
    if (command.kind !== 'begin-adoption' || command.proof === undefined) return;
    const before = [...this.#agents.values()].map(({ epoch }) => epoch);
    const after = events.flatMap((event) => (event.kind === 'agent-changed' ? [event.agent.record.epoch] : []));
    this.branches.began(index, command.proof.value);
    this.branches.adopted(index, { before, after });
    this.#adoptedAt = after[0] ?? this.#adoptedAt;
  }

  /** Fencing: what may not count, whatever the plan thinks of it. */
  #judge(command: Command, { result }: PlanOutcome): void {
    if (result.kind === 'refused') return;
    switch (command.kind) {
      case 'register':
        this.#judgeRegister(command);
        return;
      case 'leave':
      case 'expire':
      case 'report-status': {
        const epoch = this.#agents.get(command.agentId)?.epoch;
        const what = () =>
          `${command.kind} of ${command.agentId} at epoch ${command.epoch} counted, its lease has ${epoch}`;
        this.#world.check(!result.changed || epoch === command.epoch, 'fencing', what);
        return;
      }
      default:
    }
  }

  #judgeRegister(command: Register): void {
    const { agentId, instanceId, sequence, takeover, holders } = command;
    const holder = this.#agents.get(agentId);
    if (holder === undefined) return;
    if (holder.instanceId === instanceId) {
      const what = () => `sequence ${sequence} of ${agentId} counted after ${holder.sequence}`;
      this.#world.check(sequence >= holder.sequence, 'fencing', what);
      return;
    }
    // No agent was ever heard under a lease that was carried over.
    const silent =
      holder.epoch === this.#adoptedAt ||
      holders.some((judged) => judged.agentId === agentId && judged.epoch === holder.epoch && judged.silent);
    const what = () => `${agentId} of instance ${instanceId} got in while instance ${holder.instanceId} holds it`;
    this.#world.check(takeover || silent, 'second holder of a live agent id', what);
    this.#world.count(takeover ? 'takeovers' : 'reinstalled hosts');
  }

  /** In adoption an agent gets what it says it holds, or was granted in this cluster, and nothing else is granted. */
  #judgeAdoption({ agentId, held }: Register, { events }: PlanOutcome): void {
    const holding = this.#agents.get(agentId);
    const before = holding === undefined || holding.epoch === this.#adoptedAt ? [] : holding.blocks;
    const holds = held?.subnets.flatMap(({ overlay, subnet }) =>
      subnet === undefined ? [] : [`${overlay} ${formatCidr4(subnet)}`],
    );
    const vtep = held?.vtepIp === undefined ? [] : [`vtep ${formatIpv4(held.vtepIp)}`];
    const said = [...vtep, ...(holds ?? [])];
    const may = [...before, ...said];
    for (const event of events) {
      if (event.kind !== 'agent-changed' || event.agent.record.agentId !== agentId) continue;
      const blocks = blocksOf(viewAgent(event.agent));
      const fresh = blocks.filter((block) => !may.includes(block));
      const what = () =>
        `${agentId} was granted ${fresh.join(', ')}; it had ${before.join(', ')} and held ${may.join(', ')}`;
      this.#world.check(fresh.length === 0, 'nothing fresh in adoption', what);
      this.#world.count('mark: granted in adoption');
      // The record of another may be older than what its agent runs on, and what it gives up is then quarantined for
      // its sake. An agent that has run on the block since got it from the cluster that was lost, after that
      // quarantine.
      for (const block of blocks.filter((each) => said.includes(each))) this.#quarantined.delete(block);
      if (blocks.some((block) => holding?.blocks.includes(block) !== true)) this.#world.count('mark: adopted blocks');
    }
  }

  #follow({ events, result }: PlanOutcome, at: { readonly index: number; readonly time: number }, ipam: Ipam): void {
    const quarantineMs = ipam.network?.quarantineMs ?? 0;
    for (const event of events) {
      if (event.kind === 'agent-removed') {
        this.#free(event.agentId, at, quarantineMs);
      } else if (event.kind === 'agent-changed') {
        this.#change(viewAgent(event.agent), at, quarantineMs);
      }
    }
    if (result.kind === 'registered' && result.agent.record.problems.some(({ reason }) => reason === 'exhausted')) {
      this.#world.count('mark: address space exhausted');
    }
    if (result.kind === 'refused') {
      this.#world.count(`refused: ${result.code}`);
    }
  }

  #free(agentId: string, at: { readonly index: number; readonly time: number }, quarantineMs: number): void {
    const holding = this.#agents.get(agentId);
    this.#agents.delete(agentId);
    this.#remember(agentId, at.index, undefined);
    if (holding === undefined) return;
    if (this.#nodes.get(holding.nodeIp) === agentId) this.#nodes.delete(holding.nodeIp);
    for (const block of holding.blocks) this.#rest(block, agentId, at.time + quarantineMs);
  }

  #rest(block: string, of: string, until: number): void {
    this.#holders.delete(block);
    this.#quarantined.set(block, { until, of });
  }

  #change(agent: FullAgent, at: { readonly index: number; readonly time: number }, quarantineMs: number): void {
    const { agentId, instanceId, sequence, epoch } = agent;
    const blocks = blocksOf(agent);
    const nodeIp = formatIp(agent.nodeIp);
    const before = this.#agents.get(agentId);
    for (const block of before?.blocks ?? []) {
      if (!blocks.includes(block)) this.#rest(block, agentId, at.time + quarantineMs);
    }
    for (const block of blocks) if (before?.blocks.includes(block) !== true) this.#take(block, agentId, at);
    if (before !== undefined && this.#nodes.get(before.nodeIp) === agentId) this.#nodes.delete(before.nodeIp);
    if (agent.reachable) {
      const other = this.#nodes.get(nodeIp);
      const what = () => `node_ip ${nodeIp} of ${agentId} is ${other}'s`;
      this.#world.check(other === undefined || other === agentId, 'never in two hands', what);
      this.#nodes.set(nodeIp, agentId);
    }
    const holding: Holding = { revision: at.index, instanceId, sequence, epoch, nodeIp, blocks };
    this.#agents.set(agentId, holding);
    this.#remember(agentId, at.index, holding);
  }

  #take(block: string, agentId: string, { index, time }: { readonly index: number; readonly time: number }): void {
    const holder = this.#holders.get(block);
    const two = () => `${block} is let to ${agentId} at ${index}, ${holder} holds it`;
    this.#world.check(holder === undefined || holder === agentId, 'never in two hands', two);
    const resting = this.#quarantined.get(block);
    if (resting !== undefined) {
      const early = () =>
        `${block} of ${resting.of} is granted to ${agentId} at ${time}, it is quarantined until ${resting.until}`;
      this.#world.check(resting.of === agentId || resting.until <= time, 'quarantine', early);
      this.#world.count(
        resting.of === agentId ? 'mark: blocks given back' : 'mark: blocks granted again after quarantine',
      );
    }
    this.#quarantined.delete(block);
    this.#holders.set(block, agentId);
  }

  #remember(agentId: string, revision: number, holding: Holding | undefined): void {
    const past = this.#past.get(agentId) ?? [];
    past.push({ revision, holding });
    this.#past.set(agentId, past);
  }
}

export function blocksOf(agent: FullAgent): readonly string[] {
  const blocks = [`vtep ${formatIpv4(agent.vxlan.vtepIp.address)}`];
  for (const { info, subnet } of agent.overlays) {
    if (subnet !== undefined) blocks.push(`${info.name} ${formatCidr4(subnet)}`);
  }
  return blocks;
}

export function sameBlocks(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((block) => other.includes(block));
}

function big(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? `${value}n` : value;
}
