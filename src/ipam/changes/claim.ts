/**
 * Claims to an agent id (rules 1–3): how a registration relates to the current or previous holder. The leader's
 * judgement of silence counts only for the epoch that it names, so an outdated one has no effect.
 */

import { formatIp } from '#address/ip.js';
import type { AgentRecord, DepartedRecord, FormerInstance } from '#ipam/agent-record.js';
import type { CommandOrigin, HolderJudgement, Register } from '#ipam/commands/command.js';
import { type Refusal, refuse } from '#ipam/commands/result.js';
import { formerInstancesMax } from '#ipam/limits.js';
import type { Plan } from '#ipam/plan.js';
import { formatTime } from '#text/duration.js';

export type Claim =
  /** The holder itself: it keeps what it has, at the same epoch unless that was carried over. */
  | { readonly kind: 'confirm'; readonly holder: AgentRecord }
  /** The holder's host, installed anew: the same addresses at a new epoch. */
  | { readonly kind: 'reinstall'; readonly holder: AgentRecord }
  /** Another host in place of a holder that may still live: fresh addresses, the old ones are quarantined. */
  | { readonly kind: 'takeover'; readonly holder: AgentRecord }
  /** The id has no holder. `returning`: it may get back what of it is quarantined. */
  | { readonly kind: 'arrive'; readonly departed: DepartedRecord | undefined; readonly returning: boolean };

export function claimOf(plan: Plan, command: Register & CommandOrigin, time: number): Claim | Refusal {
  const { agentId, instanceId } = command;
  const holder = plan.agents.get(agentId);
  const departed = plan.departed.get(agentId);
  const late = lateRetry(command, holder ?? departed);
  if (late !== undefined) return late;
  if (holder === undefined) return arrival(command, departed, time);
  if (holder.instanceId === instanceId) return confirmation(command, holder);
  const silent = judgedSilent(command.holders, holder);
  const sameNode = holder.reachable && holder.nodeIp === command.nodeIp;
  // A holder that was carried over was not heard in this cluster: there is no silence to wait for.
  if (sameNode && (silent || carriedOver(plan, holder))) return { kind: 'reinstall', holder };
  if (command.takeover) return takeover(agentId, holder, time);
  // The agent that lost its node address may be live at another one.
  const elsewhere = holder.reachable
    ? `on another node than ${formatIp(command.nodeIp)}`
    : 'has lost that node_ip to another agent';
  const fresh = 'register with takeover (sublet agent --takeover) for fresh subnets';
  const advice = silent
    ? `it is silent, but ${elsewhere}: release it, or ${fresh}`
    : `stop it and wait until it is silent, or ${fresh}`;
  const who = describeHolder(plan, command, holder);
  return refuse('already-exists', 'agent_id', `register agent_id "${agentId}": ${who}; ${advice}`);
}

/** What a takeover leaves is quarantined: without a limit one agent id could have all of it. */
function takeover(agentId: AgentRecord['agentId'], holder: AgentRecord, time: number): Claim | Refusal {
  const { takeoverAfter } = holder;
  if (time >= takeoverAfter) return { kind: 'takeover', holder };
  const left = formatTime(takeoverAfter - time);
  const message = `register agent_id "${agentId}" with takeover: it was taken over before, and what it had then is quarantined`;
  const remedy = `wait ${left}, or have an operator release it (sublet release --force ${agentId})`;
  return refuse('failed-precondition', 'takeover', `${message}: ${remedy}`);
}

/** A request that an instance sent before it was replaced, or before its lease ended, and that comes late. */
function lateRetry(command: Register, last: AgentRecord | DepartedRecord | undefined): Refusal | undefined {
  const { agentId, instanceId, sequence } = command;
  const former = last?.former.find((other) => other.instanceId === instanceId);
  if (former === undefined || sequence > former.sequence || isUnsequenced(sequence, former.sequence)) return undefined;
  const since = `instance ${instanceId} was replaced after its sequence ${former.sequence}`;
  return refuse('aborted', 'sequence', `register agent_id "${agentId}" with sequence ${sequence}: ${since}`);
}

/** An agent that sends no sequence can't be distinguished from its own late retries, and is taken at its word. */
function isUnsequenced(sequence: number, last: number): boolean {
  return sequence === 0 && last === 0;
}

function confirmation(command: Register, holder: AgentRecord): Claim | Refusal {
  const { agentId, sequence } = command;
  const action = `register agent_id "${agentId}" with sequence ${sequence}`;
  if (sequence < holder.sequence) {
    return refuse('aborted', 'sequence', `${action}: ${holder.sequence} came before; a lower one is a late request`);
  }
  const difference = differenceOf(command, holder);
  if (sequence > holder.sequence || isUnsequenced(sequence, holder.sequence) || difference === undefined) {
    return { kind: 'confirm', holder };
  }
  const advice = 'a changed request needs a higher sequence';
  return refuse('aborted', 'sequence', `${action}: that sequence came with another ${difference} before; ${advice}`);
}

/** The first field in which a request differs from what the agent registered with. */
function differenceOf(command: Register, holder: AgentRecord): string | undefined {
  if (command.nodeIp !== holder.nodeIp) return 'node_ip';
  if (command.hostname !== holder.hostname) return 'hostname';
  const { networkConfig: a } = command;
  const { networkConfig: b } = holder;
  const same =
    a.allocateSubnet === b.allocateSubnet &&
    a.mesosBridge === b.mesosBridge &&
    a.dockerBridge === b.dockerBridge &&
    a.enableIpv6 === b.enableIpv6 &&
    a.overlayMtu === b.overlayMtu &&
    a.split === b.split;
  return same ? undefined : 'network_config';
}

function arrival(command: Register, departed: DepartedRecord | undefined, time: number): Claim | Refusal {
  if (departed === undefined || departed.until <= time) return { kind: 'arrive', departed, returning: false };
  const { agentId, instanceId, sequence } = command;
  const sameInstance = departed.instanceId === instanceId;
  if (sameInstance && sequence <= departed.sequence && !isUnsequenced(sequence, departed.sequence)) {
    const since = `the lease that it was answered with has ended; register again with a higher sequence`;
    return refuse('aborted', 'sequence', `register agent_id "${agentId}" with sequence ${sequence}: ${since}`);
  }
  // Another host gets them back only if the last one released them itself: it might still be using them.
  const sameNode = !departed.nodeIpLost && departed.nodeIp === command.nodeIp;
  const returning = sameInstance || departed.left || sameNode;
  return { kind: 'arrive', departed, returning };
}

/** Whether the lease is one of an earlier cluster, and its agent has not registered in this one (rule 12). */
export function carriedOver({ meta }: Plan, { epoch }: Pick<AgentRecord, 'epoch'>): boolean {
  return epoch === meta.adoptedAt;
}

/** Whether the lease was carried over by the adoption that is under way, and its agent has not registered since. */
export function isAwaited(plan: Plan, holder: Pick<AgentRecord, 'epoch'>): boolean {
  return plan.meta.adoption && carriedOver(plan, holder);
}

/** Whether the proposer judged this very lease of the holder to be silent. */
export function judgedSilent(holders: readonly HolderJudgement[], holder: AgentRecord): boolean {
  return judgementOf(holders, holder)?.silent === true;
}

function judgementOf(holders: readonly HolderJudgement[], holder: AgentRecord): HolderJudgement | undefined {
  return holders.find(({ agentId, epoch }) => agentId === holder.agentId && epoch === holder.epoch);
}

/** `agent "a" on node 10.0.0.1 holds it and was last heard 12 s ago`. */
export function describeHolder(
  plan: Plan,
  command: CommandOrigin & { readonly holders: readonly HolderJudgement[] },
  holder: AgentRecord,
): string {
  const heard = heardText(plan, command.wallTime, holder, judgementOf(command.holders, holder)?.lastHeard);
  return `agent "${holder.agentId}" on node ${formatIp(holder.nodeIp)} holds it and ${heard}`;
}

function heardText(plan: Plan, now: number, holder: AgentRecord, lastHeard: number | undefined): string {
  if (lastHeard !== undefined) return `was last heard ${formatTime(now - lastHeard)} ago`;
  if (isAwaited(plan, holder)) return 'has not come back since the adoption began';
  return 'was not heard since the leader took office';
}

/** What is to be remembered of earlier instances, once this one is the agent's. */
export function formerInstances(
  last: AgentRecord | DepartedRecord | undefined,
  instanceId: AgentRecord['instanceId'],
): readonly FormerInstance[] {
  if (last === undefined) return noFormer;
  if (last.instanceId === instanceId && !last.former.some((other) => other.instanceId === instanceId)) {
    return last.former;
  }
  const all = [{ instanceId: last.instanceId, sequence: last.sequence }, ...last.former];
  return all.filter((other) => other.instanceId !== instanceId).slice(0, formerInstancesMax);
}

/** One empty list for all. */
const noFormer: readonly FormerInstance[] = [];
