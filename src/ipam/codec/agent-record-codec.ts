/** Agents and departed agents, between their records in memory and the ones on disk (sublet.store.v1). */
import { ipBytes } from '#address/ip-bytes.js';
import { ipv4 } from '#address/ipv4.js';
import { assertNever } from '#errors/invariant.js';
import type { AgentRecord, DepartedRecord, FormerInstance, Holding, StoredProblem } from '#ipam/agent-record.js';
import { ipOf, ipv4Of, ipv6Of, networkConfigOf, overlayStatusOf, toNetworkConfig, toStatus } from '#ipam/codec/wire.js';
import { parseAgentId, parseInstanceId, parseRunId } from '#ipam/identity.js';
import type { Interning } from '#ipam/interning.js';
import type { ProblemReason } from '#ipam/view/full-agent.js';
import { sublet } from '#proto/sublet.js';

const store = sublet.store.v1;

export function toAgent(agent: AgentRecord): sublet.store.v1.Agent.$Properties {
  return {
    agentId: agent.agentId,
    instanceId: agent.instanceId,
    sequence: agent.sequence,
    nodeIp: ipBytes(agent.nodeIp),
    reachable: agent.reachable,
    hostname: agent.hostname,
    networkConfig: toNetworkConfig(agent.networkConfig),
    epoch: agent.epoch,
    registeredAtMs: agent.registeredAt,
    vtepIp: agent.vtepIp,
    holdings: agent.holdings.map(toHolding),
    problems: agent.problems.map(({ overlay, family, reason }) => ({ overlay, family, reason: toReason(reason) })),
    former: agent.former.map(toFormer),
    runId: agent.runId ?? null,
    takeoverAfterMs: agent.takeoverAfter,
  };
}

export function toDeparted(departed: DepartedRecord): sublet.store.v1.Departed.$Properties {
  return {
    agentId: departed.agentId,
    instanceId: departed.instanceId,
    sequence: departed.sequence,
    nodeIp: ipBytes(departed.nodeIp),
    nodeIpLost: departed.nodeIpLost,
    epoch: departed.epoch,
    left: departed.left,
    quarantinedUntilMs: departed.until,
    vtepIp: departed.vtepIp,
    holdings: departed.holdings.map(toHolding),
    former: departed.former.map(toFormer),
    takeoverAfterMs: departed.takeoverAfter,
  };
}

function toHolding(holding: Holding): sublet.store.v1.Holding.$Properties {
  return {
    overlay: holding.overlay,
    address4: holding.block4 ?? null,
    address6: holding.block6 === undefined ? null : ipBytes(holding.block6),
    status: toStatus(holding.status),
    error: holding.error,
  };
}

function toFormer({ instanceId, sequence }: FormerInstance): sublet.store.v1.FormerInstance.$Properties {
  return { instanceId, sequence };
}

function toReason(reason: ProblemReason): sublet.store.v1.ProblemReason {
  switch (reason) {
    case 'exhausted':
      return store.ProblemReason.PROBLEM_REASON_EXHAUSTED;
    case 'adoption':
      return store.ProblemReason.PROBLEM_REASON_ADOPTION;
    case 'held-by-another':
      return store.ProblemReason.PROBLEM_REASON_HELD_BY_ANOTHER;
    default:
      return assertNever(reason);
  }
}

function reasonOf(stored: sublet.store.v1.ProblemReason | null | undefined): ProblemReason {
  switch (stored) {
    case store.ProblemReason.PROBLEM_REASON_ADOPTION:
      return 'adoption';
    case store.ProblemReason.PROBLEM_REASON_HELD_BY_ANOTHER:
      return 'held-by-another';
    default:
      return 'exhausted';
  }
}

export function agentOf(stored: sublet.store.v1.Agent.$Properties, interning: Interning): AgentRecord {
  const agentId = parseAgentId(stored.agentId ?? '');
  const hostname = stored.hostname ?? '';
  return {
    agentId,
    instanceId: parseInstanceId(stored.instanceId ?? ''),
    sequence: stored.sequence ?? 0,
    nodeIp: ipOf(stored.nodeIp),
    reachable: stored.reachable ?? false,
    // Mostly the same text, which is then kept once.
    hostname: hostname === agentId ? agentId : hostname,
    networkConfig: interning.networkConfig(networkConfigOf(stored.networkConfig)),
    epoch: stored.epoch ?? 0,
    registeredAt: stored.registeredAtMs ?? 0,
    vtepIp: ipv4(stored.vtepIp ?? 0),
    holdings: holdingsOf(stored.holdings, interning),
    problems: problemsOf(stored.problems, interning),
    former: formerOf(stored.former),
    runId: stored.runId ? parseRunId(stored.runId) : undefined,
    takeoverAfter: stored.takeoverAfterMs ?? 0,
  };
}

export function departedOf(stored: sublet.store.v1.Departed.$Properties, interning: Interning): DepartedRecord {
  return {
    agentId: parseAgentId(stored.agentId ?? ''),
    instanceId: parseInstanceId(stored.instanceId ?? ''),
    sequence: stored.sequence ?? 0,
    nodeIp: ipOf(stored.nodeIp),
    nodeIpLost: stored.nodeIpLost ?? false,
    epoch: stored.epoch ?? 0,
    left: stored.left ?? false,
    until: stored.quarantinedUntilMs ?? 0,
    vtepIp: ipv4(stored.vtepIp ?? 0),
    holdings: holdingsOf(stored.holdings, interning),
    former: formerOf(stored.former),
    takeoverAfter: stored.takeoverAfterMs ?? 0,
  };
}

function holdingsOf(
  stored: sublet.store.v1.Holding.$Properties[] | null | undefined,
  interning: Interning,
): readonly Holding[] {
  if (!stored || stored.length === 0) return none;
  return stored.map((holding) => ({
    overlay: interning.text(holding.overlay ?? ''),
    block4: ipv4Of(holding.address4),
    block6: holding.address6?.length ? ipv6Of(holding.address6) : undefined,
    status: overlayStatusOf(holding.status),
    error: holding.error ?? '',
  }));
}

/** One empty list for all. */
const none: readonly never[] = [];

function problemsOf(
  stored: sublet.store.v1.Problem.$Properties[] | null | undefined,
  interning: Interning,
): readonly StoredProblem[] {
  if (!stored || stored.length === 0) return none;
  return stored.map((problem) => ({
    overlay: interning.text(problem.overlay ?? ''),
    family: problem.family === 6 ? 6 : 4,
    reason: reasonOf(problem.reason),
  }));
}

function formerOf(stored: sublet.store.v1.FormerInstance.$Properties[] | null | undefined): readonly FormerInstance[] {
  if (!stored || stored.length === 0) return none;
  return stored.map(({ instanceId, sequence }) => ({
    instanceId: parseInstanceId(instanceId ?? ''),
    sequence: sequence ?? 0,
  }));
}
