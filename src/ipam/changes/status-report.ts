/** What an agent says of its overlays: kept to be shown, and without effect on allocations. */
import type { AgentRecord, Holding } from '#ipam/agent-record.js';
import { staleEpoch } from '#ipam/changes/departure.js';
import type { ReportStatus } from '#ipam/commands/command.js';
import { done, type Refusal, type Reply, refuse } from '#ipam/commands/result.js';
import type { Plan } from '#ipam/plan.js';
import type { PlanWriter } from '#ipam/plan-writer.js';

export function reportStatus(plan: Plan, writer: PlanWriter, command: ReportStatus): Reply | Refusal {
  const { agentId, epoch, overlays } = command;
  const action = `report status of agent_id "${agentId}"`;
  const agent = plan.agents.get(agentId);
  if (agent?.epoch !== epoch) return staleEpoch(plan, action, agentId, epoch);
  for (const { overlay } of overlays) {
    if (!agent.holdings.some((holding) => holding.overlay === overlay)) {
      return refuse('not-found', 'overlays', `${action}: it holds nothing of overlay "${overlay.slice(0, 64)}"`);
    }
  }
  const holdings = agent.holdings.map((holding) => reported(holding, overlays));
  if (holdings.every((holding, at) => holding === agent.holdings[at])) return done();
  const next: AgentRecord = { ...agent, holdings };
  writer.putAgent(agent, next);
  writer.tellAgent(next, true);
  return done();
}

function reported(holding: Holding, overlays: ReportStatus['overlays']): Holding {
  const report = overlays.findLast(({ overlay }) => overlay === holding.overlay);
  if (report === undefined) return holding;
  const error = report.status === 'failed' ? report.error : '';
  return report.status === holding.status && error === holding.error
    ? holding
    : { ...holding, status: report.status, error };
}
