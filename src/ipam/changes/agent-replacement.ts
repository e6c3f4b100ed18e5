/**
 * Puts a new host in the place of one that is lost: in one command the old agent is released and all that it held is
 * reserved for the new one. The old one must be silent. Its blocks are quarantined as after a release, so that it can't be
 * running on what another host gets; only an operator's word that it is off for good makes the quarantine needless.
 */
import { formatCidr } from '#address/ip.js';
import { describeHolder, isAwaited, judgedSilent } from '#ipam/changes/claim.js';
import { depart } from '#ipam/changes/departure.js';
import type { CommandOrigin, ReplaceAgent } from '#ipam/commands/command.js';
import { type Refusal, type Reply, refuse } from '#ipam/commands/result.js';
import { reservationsMax } from '#ipam/limits.js';
import type { Plan } from '#ipam/plan.js';
import type { PlanWriter } from '#ipam/plan-writer.js';
import { blockCidr } from '#ipam/space/space.js';
import { formatBeneficiary, reservedForOf } from '#ipam/space/usage.js';

export function replaceAgent(plan: Plan, writer: PlanWriter, command: ReplaceAgent & CommandOrigin): Reply | Refusal {
  const { agentId, successor, off } = command;
  const action = `replace agent_id "${agentId}"`;
  const agent = plan.agents.get(agentId);
  if (agent === undefined) return refuse('not-found', 'agent_id', `${action}: it has no lease`);
  // That it was not heard since the adoption began says nothing of whether it runs.
  const awaited = isAwaited(plan, agent);
  if ((awaited && !off) || !judgedSilent(command.holders, agent)) {
    const offOnly = 'wait until it registers, or replace it by your word that it is off (--old-is-off)';
    const remedy = awaited && !off ? offOnly : 'stop it and wait until it is silent';
    return refuse('failed-precondition', 'agent_id', `${action}: ${describeHolder(plan, command, agent)}; ${remedy}`);
  }
  if (successor !== agentId && plan.agents.get(successor) !== undefined) {
    const message = `${action}: agent "${successor}" holds blocks already and would keep those; release it first`;
    return refuse('failed-precondition', 'successor', message);
  }
  const blocks = plan.blocksOf(agent);
  const wrong = blocks.flatMap(({ space, block }) => {
    const keptFor = space.pool.reservation(block);
    const other = keptFor !== undefined && ![agentId, agent.nodeIp, successor].includes(keptFor) ? keptFor : undefined;
    if (other === undefined && !space.pool.excludes(block)) return [];
    const why = other === undefined ? 'excluded' : `reserved for ${formatBeneficiary(other)}`;
    return [`${formatCidr(blockCidr(space, block))} is ${why}`];
  });
  if (wrong.length > 0) {
    const message = `${action}: ${wrong.join(', ')}: unreserve that first, or release the agent`;
    return refuse('failed-precondition', 'agent_id', message);
  }
  if (plan.reservationCount + blocks.length > reservationsMax) {
    const message = `${action}: there are ${plan.reservationCount} reservations; ${reservationsMax} are the most allowed`;
    return refuse('resource-exhausted', 'agent_id', message);
  }
  const by = command.by === '' ? agentId : command.by;
  depart(writer, agent, 'replace-agent', by, off, off ? writer.time : writer.restEnd);
  for (const { space, block } of blocks) {
    const reservation = { overlay: space.overlay, subnet: blockCidr(space, block) };
    const keptFor = space.pool.reservation(block);
    if (keptFor === successor) continue;
    const next = { ...reservation, agentId: successor };
    if (keptFor === undefined) writer.reserve(space, block, next);
    else writer.reserveAnew(space, block, { ...reservation, ...reservedForOf(keptFor) }, next);
  }
  const subjects = blocks.map(({ space, block }) => formatCidr(blockCidr(space, block)));
  writer.note('reserve', by, [...subjects, successor], `in the place of ${agentId}`);
  return { kind: 'released', released: blocks.map(({ space, block }) => blockCidr(space, block)) };
}
