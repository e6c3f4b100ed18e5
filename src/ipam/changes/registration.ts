/**
 * The register command (rules 1, 2, 3, 6, 7, 12): which claim the agent has, whether it may have this underlay address,
 * and what it is granted. First everything is decided, then everything is written.
 */

import { containsIp, type Family, familyOf, formatCidr, formatIp, type Ip } from '#address/ip.js';
import type { AgentRecord, Holding } from '#ipam/agent-record.js';
import {
  type Claim,
  carriedOver,
  claimOf,
  describeHolder,
  formerInstances,
  judgedSilent,
} from '#ipam/changes/claim.js';
import { noNetwork } from '#ipam/changes/network-change.js';
import type { CommandOrigin, Register } from '#ipam/commands/command.js';
import { type Refusal, type Reply, refuse } from '#ipam/commands/result.js';
import type { PlacedBlock, Plan } from '#ipam/plan.js';
import { formatBlock, type PlanWriter } from '#ipam/plan-writer.js';
import { type Allocation, allocate } from '#ipam/space/allocation.js';
import type { AgentThen } from '#ipam/view/agent-view.js';
import type { NetworkConfig } from '#ipam/view/full-agent.js';

export function register(plan: Plan, writer: PlanWriter, command: Register & CommandOrigin): Reply | Refusal {
  const action = `register agent_id "${command.agentId}"`;
  if (plan.settings === undefined) return noNetwork(action);
  const wrong = checkNodeIp(plan, action, command.nodeIp);
  if (wrong !== undefined) return wrong;
  const claim = claimOf(plan, command, writer.time);
  if (claim.kind === 'refused') return claim;
  const old = claim.kind === 'arrive' ? undefined : claim.holder;
  const unfit = checkFamily(plan, action, command.nodeIp, old) ?? checkNodeHolder(plan, action, command);
  if (unfit !== undefined) return unfit;
  const allotment = allocate(plan, command, claim, writer.time);
  if (allotment.kind === 'refused') return allotment;
  const next = recordOf(plan, writer, command, claim, allotment);
  const unchanged = old !== undefined && sameRecord(old, next);
  return { kind: 'registered', agent: unchanged ? plan.asItIs(old) : write(plan, writer, claim, old, next) };
}

function checkNodeIp(plan: Plan, action: string, nodeIp: Ip): Refusal | undefined {
  const around = plan.spaceAround(nodeIp);
  const subnet = around?.subnet ?? plan.settings?.vtepSubnet6;
  if (subnet === undefined || !containsIp(subnet, nodeIp)) return undefined;
  const where = around?.overlay === undefined ? 'the VTEP subnet' : `overlay "${around.overlay}"`;
  const message = `${action}: node_ip ${formatIp(nodeIp)} lies in ${where} ${formatCidr(subnet)}`;
  return refuse('invalid-argument', 'node_ip', `${message}: an underlay address outside every overlay is needed`);
}

/** VXLAN goes from node to node, so all agents must reach one another in one family (rule 2). */
function checkFamily(plan: Plan, action: string, nodeIp: Ip, old: AgentRecord | undefined): Refusal | undefined {
  const family = familyOf(nodeIp);
  const other: Family = family === 4 ? 6 : 4;
  const others = plan.othersOfFamily(other, old);
  if (others === 0) return undefined;
  const message = `${action}: node_ip ${formatIp(nodeIp)} is IPv${family}, but ${others} other agents are at IPv${other} addresses`;
  return refuse('failed-precondition', 'node_ip', `${message}: all share one underlay family`);
}

/** A node address whose holder is silent goes to the new claimant (rule 2). */
function checkNodeHolder(plan: Plan, action: string, command: Register & CommandOrigin): Refusal | undefined {
  const holder = plan.nodeHolder(command.nodeIp);
  if (holder === undefined || holder.agentId === command.agentId || judgedSilent(command.holders, holder)) {
    return undefined;
  }
  const message = `${action}: node_ip ${formatIp(command.nodeIp)} is taken: ${describeHolder(plan, command, holder)}`;
  return refuse('already-exists', 'node_ip', `${message}; stop it and wait until it is silent, or release it`);
}

function recordOf(
  plan: Plan,
  writer: PlanWriter,
  command: Register & CommandOrigin,
  claim: Claim,
  { vtepIp, holdings, problems }: Allocation,
): AgentRecord {
  const { agentId, instanceId, runId, sequence, nodeIp } = command;
  const hostname: string = command.hostname;
  const goesOn = claim.kind === 'confirm' || claim.kind === 'reinstall';
  return {
    agentId,
    instanceId,
    sequence,
    nodeIp,
    reachable: true,
    // Mostly the same text, which is then kept once.
    hostname: hostname === agentId ? agentId : hostname,
    networkConfig: plan.interning.networkConfig(command.networkConfig),
    epoch: claim.kind === 'confirm' && !carriedOver(plan, claim.holder) ? claim.holder.epoch : writer.epoch,
    registeredAt: goesOn ? claim.holder.registeredAt : command.wallTime,
    vtepIp,
    holdings,
    problems,
    former: formerInstances(claim.kind === 'arrive' ? claim.departed : claim.holder, instanceId),
    runId,
    takeoverAfter:
      claim.kind === 'takeover'
        ? writer.restEnd
        : ((claim.kind === 'arrive' ? claim.departed : claim.holder)?.takeoverAfter ?? 0),
  };
}

function write(
  plan: Plan,
  writer: PlanWriter,
  claim: Claim,
  old: AgentRecord | undefined,
  next: AgentRecord,
): AgentThen {
  const loser = plan.nodeHolder(next.nodeIp);
  if (loser !== undefined && loser.agentId !== next.agentId) {
    const unreachable = { ...loser, reachable: false };
    writer.putAgent(loser, unreachable);
    writer.tellAgent(unreachable, false);
    writer.note('lose-node-ip', loser.agentId, [formatIp(next.nodeIp)], `taken over by agent ${next.agentId}`);
  }
  for (const departed of plan.departedFrom(next.nodeIp)) {
    if (departed.agentId !== next.agentId) writer.loseDepartedNode(departed);
  }
  if (claim.kind === 'arrive' && claim.departed !== undefined) writer.dropDeparted(claim.departed);
  writer.putAgent(old, next);
  const agent = writer.tellAgent(next, old !== undefined && samePlace(old, next));
  const detail = describe(claim, old, next);
  if (detail === undefined) return agent;
  const before = old === undefined ? [] : plan.blocksOf(old);
  const fresh = plan.blocksOf(next).filter((placed) => !before.some((other) => sameBlock(placed, other)));
  writer.note('register', next.agentId, fresh.map(formatBlock), detail);
  return agent;
}

/** The entry of the history; undefined when nothing changed that operators look for. */
function describe(claim: Claim, old: AgentRecord | undefined, next: AgentRecord): string | undefined {
  const parts: string[] = [];
  if (claim.kind === 'arrive') parts.push(claim.returning ? 'returned' : 'arrived');
  else if (claim.kind !== 'confirm') parts.push(claim.kind === 'reinstall' ? 'host reinstalled' : 'taken over');
  if (old !== undefined && old.nodeIp !== next.nodeIp) {
    parts.push(`node_ip ${formatIp(old.nodeIp)} → ${formatIp(next.nodeIp)}`);
  } else if (old?.reachable === false) {
    parts.push(`node_ip ${formatIp(next.nodeIp)} regained`);
  }
  if (old !== undefined && claim.kind === 'confirm' && old.holdings !== next.holdings && !sameHoldings(old, next)) {
    parts.push('subnets changed');
  }
  if (next.problems.length > 0 && !sameProblems(old, next)) {
    parts.push(
      `not allocated: ${next.problems.map(({ overlay, family, reason }) => `${overlay} IPv${family} (${reason})`).join(', ')}`,
    );
  }
  return parts.length === 0 ? undefined : parts.join('; ');
}

function sameBlock(a: PlacedBlock, b: PlacedBlock): boolean {
  return a.space === b.space && a.block === b.block;
}

/** Whether a registration changed nothing at all. */
function sameRecord(old: AgentRecord, next: AgentRecord): boolean {
  return (
    samePlace(old, next) &&
    old.sequence === next.sequence &&
    old.runId === next.runId &&
    old.hostname === next.hostname &&
    sameConfig(old.networkConfig, next.networkConfig) &&
    sameProblems(old, next)
  );
}

/** Whether peers would notice nothing. */
function samePlace(old: AgentRecord, next: AgentRecord): boolean {
  const samePeer = old.nodeIp === next.nodeIp && old.reachable === next.reachable && old.vtepIp === next.vtepIp;
  return samePeer && old.epoch === next.epoch && sameHoldings(old, next);
}

function sameHoldings(old: AgentRecord, next: AgentRecord): boolean {
  if (old.holdings.length !== next.holdings.length) return false;
  return next.holdings.every((holding, at) => sameHolding(holding, old.holdings[at]));
}

function sameHolding(a: Holding, b: Holding | undefined): boolean {
  return a.overlay === b?.overlay && a.block4 === b.block4 && a.block6 === b.block6;
}

function sameConfig(a: NetworkConfig, b: NetworkConfig): boolean {
  // Both are interned.
  return a === b;
}

function sameProblems(old: AgentRecord | undefined, next: AgentRecord): boolean {
  const before = old?.problems ?? [];
  if (before.length !== next.problems.length) return false;
  return next.problems.every((problem, at) => {
    const other = before[at];
    return problem.overlay === other?.overlay && problem.family === other.family && problem.reason === other.reason;
  });
}
