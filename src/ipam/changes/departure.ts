/**
 * How a lease ends: the agent leaves, an operator releases it, or its TTL runs out (rules 3–6). Blocks enter
 * quarantine.
 */

import type { Cidr } from '#address/ip.js';
import type { AgentRecord } from '#ipam/agent-record.js';
import { describeHolder, isAwaited, judgedSilent } from '#ipam/changes/claim.js';
import type { CommandOrigin, Expire, Leave, Release } from '#ipam/commands/command.js';
import { done, type Refusal, type Reply, refuse } from '#ipam/commands/result.js';
import { releasedAtOnceMax } from '#ipam/limits.js';
import type { PlacedBlock, Plan } from '#ipam/plan.js';
import { formatBlock, type PlanWriter } from '#ipam/plan-writer.js';
import { blockCidr } from '#ipam/space/space.js';
import type { HistoryWord } from '#ipam/view/history.js';
import { formatTime } from '#text/duration.js';

export function leave(plan: Plan, writer: PlanWriter, { agentId, epoch }: Leave): Reply | Refusal {
  const action = `leave of agent_id "${agentId}"`;
  const agent = plan.agents.get(agentId);
  if (agent?.epoch !== epoch) {
    const departed = plan.departed.get(agentId);
    // The answer to the first try was lost.
    if (agent === undefined && departed?.left === true && departed.epoch === epoch) return done();
    return staleEpoch(plan, action, agentId, epoch);
  }
  depart(writer, agent, 'leave', agentId, true);
  return done();
}

export function expire(plan: Plan, writer: PlanWriter, { agentId, epoch }: Expire): Reply | Refusal {
  const action = `expire agent_id "${agentId}"`;
  if (plan.settings?.reclaimMs === undefined) {
    return refuse('failed-precondition', 'lease.reclaim', `${action}: lease.reclaim is never, so no lease runs out`);
  }
  const agent = plan.agents.get(agentId);
  if (agent?.epoch !== epoch) return staleEpoch(plan, action, agentId, epoch);
  const freed = depart(writer, agent, 'expire', agentId, false);
  return { kind: 'released', released: freed.map(({ space, block }) => blockCidr(space, block)) };
}

export function release(plan: Plan, writer: PlanWriter, command: Release & CommandOrigin): Reply | Refusal {
  const { agentIds, force } = command;
  if (agentIds.length === 0 || agentIds.length > releasedAtOnceMax) {
    const message = `release agents: ${agentIds.length} agent_ids: 1 to ${releasedAtOnceMax} are allowed`;
    return refuse('invalid-argument', 'agent_ids', message);
  }
  const agents = new Map<string, AgentRecord>();
  for (const agentId of agentIds) {
    const agent = plan.agents.get(agentId);
    const action = `release agent_id "${agentId}"`;
    if (agent === undefined) return refuse('not-found', 'agent_ids', `${action}: it has no lease`);
    // That it was not heard since the adoption began says nothing of whether it runs.
    const awaited = isAwaited(plan, agent);
    if (!force && (awaited || !judgedSilent(command.holders, agent))) {
      const first = awaited ? 'wait until it registers' : 'stop it first';
      const why = `${describeHolder(plan, command, agent)}; ${first}, or release it with force (sublet release --force)`;
      return refuse('failed-precondition', 'force', `${action}: ${why}`);
    }
    agents.set(agentId, agent);
  }
  const released: Cidr[] = [];
  for (const agent of agents.values()) {
    const freed = depart(writer, agent, 'release', command.by === '' ? agent.agentId : command.by, false);
    released.push(...freed.map(({ space, block }) => blockCidr(space, block)));
  }
  return { kind: 'released', released };
}

/**
 * Ends the lease. `left`: its data plane is down, by its own word or an operator's. `blocksUntil`: when the blocks may be
 * had by others.
 */
export function depart(
  writer: PlanWriter,
  agent: AgentRecord,
  what: HistoryWord,
  who: string,
  left: boolean,
  blocksUntil = writer.restEnd,
): readonly PlacedBlock[] {
  const { agentId, instanceId, sequence, nodeIp, reachable, epoch, vtepIp, former, takeoverAfter } = agent;
  const holdings = agent.holdings.map((holding) => ({ ...holding, status: 'none' as const, error: '' }));
  const freed = writer.removeAgent(agent, blocksUntil);
  const until = writer.restEnd;
  const nodeIpLost = !reachable;
  writer.putDeparted({
    agentId,
    instanceId,
    sequence,
    nodeIp,
    nodeIpLost,
    epoch,
    left,
    until,
    vtepIp,
    holdings,
    former,
    takeoverAfter,
  });
  const detail = blocksUntil > writer.time ? `is quarantined for ${formatTime(blocksUntil - writer.time)}` : '';
  writer.note(what, who, [agentId, ...freed.map(formatBlock)], detail);
  return freed;
}

/** Why a request that names this epoch is of no effect. */
export function staleEpoch(plan: Plan, action: string, agentId: AgentRecord['agentId'], epoch: number): Refusal {
  const agent = plan.agents.get(agentId);
  if (agent !== undefined) {
    return refuse('aborted', 'epoch', `${action} at epoch ${epoch}: its lease has epoch ${agent.epoch}`);
  }
  const departed = plan.departed.get(agentId);
  const state = departed === undefined ? 'it has no lease' : `its lease of epoch ${departed.epoch} has ended`;
  return refuse('aborted', 'epoch', `${action} at epoch ${epoch}: ${state}; it must register again`);
}
