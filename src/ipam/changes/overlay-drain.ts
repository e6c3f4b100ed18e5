/**
 * Draining an overlay: it is disabled, agents take it off their hosts, and each gives back what it held once its host has
 * nothing of it any more. What is given back is quarantined like all that is freed, so no address is in two hands. An agent
 * that is not heard keeps what it holds until it is released.
 */
import type { AgentRecord } from '#ipam/agent-record.js';
import { staleEpoch } from '#ipam/changes/departure.js';
import { describeOverlay } from '#ipam/changes/network-change.js';
import { unknownOverlay } from '#ipam/changes/overlay-change.js';
import type { DrainOverlay, ReturnOverlays } from '#ipam/commands/command.js';
import { done, type Refusal, type Reply, refuse } from '#ipam/commands/result.js';
import type { Overlay } from '#ipam/network.js';
import type { Plan } from '#ipam/plan.js';
import { formatBlock, type PlanWriter } from '#ipam/plan-writer.js';
import { formatTime } from '#text/duration.js';

export function drainOverlay(plan: Plan, writer: PlanWriter, { name }: DrainOverlay): Reply | Refusal {
  const old = plan.overlays.get(name)?.overlay;
  if (old === undefined) return unknownOverlay(`drain overlay "${name}"`, name);
  if (old.draining === true) return { kind: 'overlay', overlay: old };
  const next: Overlay = { ...old, enabled: false, draining: true };
  writer.putOverlay(next);
  writer.tell({ kind: 'overlay-changed', overlay: next });
  writer.note('drain-overlay', writer.origin.by, [name], `${describeOverlay(old)} → ${describeOverlay(next)}`);
  return { kind: 'overlay', overlay: next };
}

/** Fenced by the epoch: a report of an earlier lease gives nothing back. A repetition changes nothing. */
export function returnOverlays(plan: Plan, writer: PlanWriter, command: ReturnOverlays): Reply | Refusal {
  const { agentId, epoch } = command;
  const action = `return overlays of agent_id "${agentId}"`;
  const agent = plan.agents.get(agentId);
  if (agent?.epoch !== epoch) return staleEpoch(plan, action, agentId, epoch);
  const returned = new Set(command.overlays);
  for (const { overlay } of agent.holdings) {
    if (!returned.has(overlay) || plan.overlays.get(overlay)?.overlay.draining === true) continue;
    const message = `${action}: overlay "${overlay}" is not draining: the agent keeps its subnet`;
    return refuse('failed-precondition', 'overlays', message);
  }
  const holdings = agent.holdings.filter(({ overlay }) => !returned.has(overlay));
  if (holdings.length === agent.holdings.length) return done();
  const problems = agent.problems.filter(({ overlay }) => !returned.has(overlay));
  const next: AgentRecord = { ...agent, holdings, problems };
  const kept = new Set(plan.blocksOf(next).map(formatBlock));
  const freed = plan
    .blocksOf(agent)
    .map(formatBlock)
    .filter((block) => !kept.has(block));
  writer.putAgent(agent, next);
  writer.tellAgent(next, false);
  const rest = writer.restEnd - writer.time;
  writer.note('return-overlays', agentId, freed, rest > 0 ? `is quarantined for ${formatTime(rest)}` : '');
  return done();
}
