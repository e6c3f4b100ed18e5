/**
 * The allocation of an agent (rules 1, 6, 7, 12): what it holds, what it may have back, and then what is free. Only
 * decides; nothing is taken until the whole registration is sure, so that all or nothing costs no undoing.
 */
import { cidr4 } from '#address/cidr4.js';
import { type Cidr, formatIp, type Ip, isIpv4 } from '#address/ip.js';
import type { Ipv4 } from '#address/ipv4.js';
import type { Ipv6 } from '#address/ipv6.js';
import type { AgentRecord, DepartedRecord, Holding, StoredProblem } from '#ipam/agent-record.js';
import { type Claim, carriedOver } from '#ipam/changes/claim.js';
import type { Register } from '#ipam/commands/command.js';
import { type Refusal, refuse } from '#ipam/commands/result.js';
import type { OverlayEntry, Plan } from '#ipam/plan.js';
import { assertInvariant } from '#ipam/plan-invariant.js';
import { blockAddress, blockOf, describeSpace, exactBlock, type Space } from '#ipam/space/space.js';

export type Allocation = {
  readonly kind: 'allotted';
  readonly vtepIp: Ipv4;
  /** In ascending order of overlay. */
  readonly holdings: readonly Holding[];
  readonly problems: readonly StoredProblem[];
};

/** Where an agent's addresses may come from before a fresh block is allocated. */
type Sources = {
  readonly plan: Plan;
  readonly command: Register;
  readonly time: number;
  /** The agent's own lease, which goes on. */
  readonly current: AgentRecord | undefined;
  /** Quarantined blocks that the agent may get back. */
  readonly returning: DepartedRecord | undefined;
};

export function allocate(plan: Plan, command: Register, claim: Claim, time: number): Allocation | Refusal {
  const current = claim.kind === 'confirm' || claim.kind === 'reinstall' ? claim.holder : undefined;
  const returning = claim.kind === 'arrive' && claim.returning ? claim.departed : undefined;
  const sources: Sources = { plan, command, time, current, returning };
  const vtepIp = allotVtep(sources);
  if (typeof vtepIp !== 'number') return vtepIp;
  const holdings: Holding[] = [];
  const problems: StoredProblem[] = [];
  for (const entry of plan.overlayEntries) {
    const { name } = entry.overlay;
    const old = current?.holdings.find(({ overlay }) => overlay === name);
    const { block4, block6, missing } = allotOverlay(sources, entry, old);
    problems.push(...missing);
    if (block4 === undefined && block6 === undefined) continue;
    if (old !== undefined && old.block4 === block4 && old.block6 === block6 && claim.kind === 'confirm') {
      holdings.push(old);
    } else {
      holdings.push({ overlay: entry.overlay.name, block4, block6, status: 'none', error: '' });
    }
  }
  return { kind: 'allotted', vtepIp, holdings, problems: problems.length === 0 ? noProblems : problems };
}

/** One empty list for all. */
const noProblems: readonly StoredProblem[] = [];

function allotVtep(sources: Sources): Ipv4 | Refusal {
  const { plan, command, current, returning, time } = sources;
  const space = plan.vtep;
  assertInvariant(space !== undefined, 'no agent registers without a network');
  const held = command.held?.vtepIp;
  const wishes = {
    current: current && blockOf(space, current.vtepIp),
    returning: returning && blockOf(space, returning.vtepIp),
    held: held === undefined ? undefined : exactBlock(space, cidr4(held, 32)),
  };
  const block = pick(sources, space, wishes);
  const address = ipv4At(space, block);
  if (address !== undefined) return address;
  const action = `register agent_id "${command.agentId}"`;
  if (held !== undefined && unavailable(sources, space, wishes)) return refuseVtep(action, space, held);
  if (plan.meta.adoption) {
    const state =
      'the plan is in adoption: only held blocks are leased; wait until an operator ends it with `sublet adoption end`';
    return refuse('failed-precondition', 'held', `${action}: ${state}`);
  }
  const state = `${describeSpace(space)} has no free address: all ${space.pool.usage(time).total} are taken`;
  return refuse('resource-exhausted', 'vtep_subnet', `${action}: ${state}; grow it or release agents`);
}

/** Two hosts with one VTEP address would take each other's packets; another address would renumber one that runs. */
function refuseVtep(action: string, space: Space, held: Ipv4): Refusal {
  const holder = space.pool.holder(exactBlock(space, cidr4(held, 32)) ?? -1n);
  const why = holder === undefined ? 'is set aside' : `is held by agent "${holder}"`;
  const remedy =
    holder === undefined
      ? 'end the reservation or exclusion (`sublet reservations` lists them)'
      : `release that agent (\`sublet release ${holder}\`)`;
  const message = `${action}: VTEP address ${formatIp(held)}, which this agent runs on, ${why}`;
  const other = 'or stop this agent and its containers, and remove lease and peers from its state_dir';
  return refuse('failed-precondition', 'held', `${message}: ${remedy}, ${other}`);
}

type Piece = {
  readonly block4: Ipv4 | undefined;
  readonly block6: Ipv6 | undefined;
  readonly missing: readonly StoredProblem[];
};

/** One overlay: both families or, of what is not held yet, none (rule 7). */
function allotOverlay(sources: Sources, entry: OverlayEntry, old: Holding | undefined): Piece {
  const { plan, command, returning } = sources;
  const { name, enabled } = entry.overlay;
  const { adoption } = plan.meta;
  const { allocateSubnet, enableIpv6 } = command.networkConfig;
  const back = returning?.holdings.find(({ overlay }) => overlay === name);
  const held = command.held?.subnets.find(({ overlay }) => overlay === name);
  // A disabled overlay allocates nothing more; in adoption, an agent that still holds a piece of it gets that all the
  // same.
  const open = allocateSubnet && (enabled || adoption);
  const current4 = numberOf(entry.v4, old?.block4);
  const current6 = numberOf(entry.v6, old?.block6);
  const wishes4 = {
    current: current4,
    returning: numberOf(entry.v4, back?.block4),
    held: heldOf(entry.v4, held?.subnet),
  };
  const wishes6 = {
    current: current6,
    returning: numberOf(entry.v6, back?.block6),
    held: heldOf(entry.v6, held?.subnet6),
  };
  const block4 = entry.v4 && open ? pick(sources, entry.v4, wishes4) : current4;
  const block6 = entry.v6 && open && enableIpv6 ? pick(sources, entry.v6, wishes6) : current6;
  const missing: StoredProblem[] = [];
  const miss = (space: Space, wishes: Wishes): void => {
    const scarce = adoption ? 'adoption' : 'exhausted';
    const reason = unavailable(sources, space, wishes) ? 'held-by-another' : scarce;
    missing.push({ overlay: name, family: space.family, reason });
  };
  if (open && enabled && entry.v4 && block4 === undefined) miss(entry.v4, wishes4);
  if (open && enabled && entry.v6 && enableIpv6 && block6 === undefined) miss(entry.v6, wishes6);
  // In adoption nothing is taken afresh, so there is nothing to give back: what is still held must not be lost.
  const whole = missing.length === 0 || adoption;
  const kept = (block: bigint | undefined, { current, held: runsOn }: Wishes): bigint | undefined => {
    // What an older record names is no part of what the agent runs on.
    const isRunning = runsOn !== undefined && isOutdated(sources);
    return whole || isRunning ? block : current;
  };
  return {
    block4: ipv4At(entry.v4, kept(block4, wishes4)),
    block6: ipv6At(entry.v6, kept(block6, wishes6)),
    missing,
  };
}

type Wishes = {
  readonly current: bigint | undefined;
  readonly returning: bigint | undefined;
  readonly held: bigint | undefined;
};

/** The block that the agent gets in this space, or undefined if there is none for it. */
function pick(sources: Sources, space: Space, { current, returning, held }: Wishes): bigint | undefined {
  const { pool } = space;
  const { agentId, nodeIp } = sources.command;
  if (sources.plan.meta.adoption) {
    // What the agent runs on is the truth. The records may be older than that: another one, that has not come back yet, may run on
    // what they name for this agent. Once it has registered in this cluster they are right.
    if (held !== undefined && (held === current || pool.mayReturn(held, agentId, nodeIp))) return held;
    const confirmed = sources.current !== undefined && !carriedOver(sources.plan, sources.current);
    return confirmed ? current : undefined;
  }
  if (current !== undefined && (held === undefined || held === current || !isOutdated(sources))) return current;
  // What runs is not renumbered: it keeps its block, or has to be stopped by an operator.
  if (held !== undefined && sources.command.heldUnconfirmed) {
    if (pool.mayReturn(held, agentId, nodeIp)) return held;
    if (unavailable(sources, space, { current, returning, held })) return undefined;
  }
  const own = pool.chooseReserved(agentId, sources.time) ?? pool.chooseReserved(nodeIp, sources.time);
  if (own !== undefined) return own;
  // It must be the same rest: the block may have been held by another since.
  const quarantined = returning !== undefined && pool.quarantinedUntil(returning) === sources.returning?.until;
  if (quarantined && pool.mayReturn(returning, agentId, nodeIp)) return returning;
  return pool.choose(sources.time);
}

/**
 * Whether the agent's record is older than what it runs on: it was carried over, and the agent comes after the adoption has
 * ended. Another one may run on what the record names.
 */
function isOutdated({ plan, command, current }: Sources): boolean {
  return command.heldUnconfirmed && current !== undefined && carriedOver(plan, current);
}

/** Whether the agent runs on a block that it can't have, as another one holds it or it is set aside. */
function unavailable({ command }: Sources, { pool }: Space, { current, held }: Wishes): boolean {
  if (!command.heldUnconfirmed || held === undefined || held === current) return false;
  return pool.holder(held) !== command.agentId && !pool.mayReturn(held, command.agentId, command.nodeIp);
}

function numberOf(space: Space | undefined, address: Ip | undefined): bigint | undefined {
  return space === undefined || address === undefined ? undefined : blockOf(space, address);
}

function heldOf(space: Space | undefined, subnet: Cidr | undefined): bigint | undefined {
  return space === undefined || subnet === undefined ? undefined : exactBlock(space, subnet);
}

function ipv4At(space: Space | undefined, block: bigint | undefined): Ipv4 | undefined {
  if (space === undefined || block === undefined) return undefined;
  const address = blockAddress(space, block);
  assertInvariant(isIpv4(address), 'an IPv4 space has IPv4 blocks');
  return address;
}

function ipv6At(space: Space | undefined, block: bigint | undefined): Ipv6 | undefined {
  if (space === undefined || block === undefined) return undefined;
  const address = blockAddress(space, block);
  assertInvariant(!isIpv4(address), 'an IPv6 space has IPv6 blocks');
  return address;
}
