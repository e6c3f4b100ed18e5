/**
 * OperatorService: what operators look at and change. Changes go to the leader. Reads are answered where they are
 * asked, at a linearizable point; those that report live agents go to the leader, which alone knows, unless `stale`.
 */

import { formatCidr, formatIp, parseIp } from '#address/ip.js';
import { RefusedError } from '#api/refusal.js';
import { operatorService } from '#api/services.js';
import { assertNever } from '#errors/invariant.js';
import type { Answer } from '#ipam/commands/result.js';
import { type AgentId, parseAgentId } from '#ipam/identity.js';
import type { Ipam } from '#ipam/ipam.js';
import type { Exclusion, Lookup } from '#ipam/space/usage.js';
import type { FullAgent } from '#ipam/view/full-agent.js';
import type { LeaseKeeper } from '#master/leases/lease-keeper.js';
import { type CallContext, type Endpoint, endpoint, type ServedAt } from '#master/server/endpoint.js';
import { parseField, refusedByPlan, safeInteger } from '#master/server/refusal-mapping.js';
import { ChangeCommands, type ChangeCommandsOptions } from '#master/services/change-commands.js';
import { pageSize, parseHistoryWords, parseTime } from '#master/services/operator-parse.js';
import type { PlanClient } from '#master/services/plan-client.js';
import {
  agentMessage,
  blockStates,
  historyMessage,
  networkMessage,
  overlayMessage,
  usageMessage,
} from '#master/services/plan-message.js';
import { certificateRevocation } from '#master/services/revocation-message.js';
import { sublet } from '#proto/sublet.js';

const { LookupKind, PresenceState } = sublet.v1;
const agentsPageDefault = 500;
const historyDefault = 100;
const pageMax = 1_000;

export type OperatorServiceOptions = ChangeCommandsOptions;

const write = { place: 'leader', idempotent: false } as const;
const read = { place: 'here', idempotent: true } as const;
const presenceRead = {
  place: ({ stale }: { stale: boolean }): ServedAt => (stale ? 'here' : 'leader'),
  idempotent: true,
};

export function operatorEndpoints(options: OperatorServiceOptions): readonly Endpoint[] {
  const { plan } = options;
  const commands = new ChangeCommands(options);
  return [
    ...agentReads(options),
    ...planReads(options),
    ...overlayWrites(plan, commands),
    ...blockWrites(plan, commands),
    preview(plan, commands),
  ];
}

function agentReads({ plan, office }: OperatorServiceOptions): readonly Endpoint[] {
  const message = (agent: FullAgent): sublet.v1.Agent.$Properties => ({
    ...agentMessage(
      agent,
      plan.network?.reclaimMs,
      office.presence.of(agent.agentId, (lease) => plan.ipam.awaits(lease)),
    ),
    revocation: certificateRevocation(plan.ipam, 'agent', agent.agentId),
  });
  return [
    endpoint(operatorService.listAgents, presenceRead, async (request) => {
      const size = pageSize('page_size', request.pageSize, agentsPageDefault, pageMax);
      const after = request.pageToken === '' ? undefined : parseField('page_token', request.pageToken, parseAgentId);
      const ipam = await plan.read(request.stale);
      // One more than the page holds tells whether there is a next one.
      const found = agentsAfter(ipam, office, after, size + 1, request.presence);
      const agents = found.slice(0, size);
      return {
        agents: agents.map(message),
        nextPageToken: found.length > size ? (agents.at(-1)?.agentId ?? '') : '',
        revision: ipam.revision,
      };
    }),
    endpoint(operatorService.getAgent, presenceRead, async (request) => {
      const agentId = parseField('agent_id', request.agentId, parseAgentId);
      const ipam = await plan.read(request.stale);
      const agent = ipam.agent(agentId);
      if (agent === undefined) throw new RefusedError('not-found', `get agent: there is no agent_id "${agentId}"`);
      return { agent: message(agent), revision: ipam.revision };
    }),
  ];
}

function planReads({ plan }: OperatorServiceOptions): readonly Endpoint[] {
  return [
    endpoint(operatorService.lookup, read, async (request) => {
      const ip = parseField('ip', request.ip, parseIp);
      const ipam = await plan.read(request.stale);
      return lookupMessage(ipam, ipam.lookup(ip, plan.time));
    }),
    endpoint(operatorService.listOverlays, read, async (request) => {
      const ipam = await plan.read(request.stale);
      const usage = ipam.usage(plan.time);
      const overlays = (usage?.overlays ?? []).map(({ overlay, v4, v6 }) => ({
        overlay: overlayMessage(overlay),
        usage: v4 === undefined ? null : usageMessage(v4),
        usage6: v6 === undefined ? null : usageMessage(v6),
      }));
      return { overlays, revision: ipam.revision, vtep: usage === undefined ? null : usageMessage(usage.vtep) };
    }),
    endpoint(operatorService.listReservations, read, async (request) => {
      const ipam = await plan.read(request.stale);
      const range = ({ overlay, subnet }: Exclusion) => ({ overlay: overlay ?? '', subnet: formatCidr(subnet) });
      return {
        reservations: [
          ...ipam.reservations().map((each) => ({
            ...range(each),
            ...(each.nodeIp === undefined ? { agentId: each.agentId } : { nodeIp: formatIp(each.nodeIp) }),
          })),
          ...ipam.exclusions().map(range),
        ],
        revision: ipam.revision,
      };
    }),
    endpoint(operatorService.listHistory, read, async (request) => {
      const after = safeInteger('from_revision', request.fromRevision);
      const limit = pageSize('limit', request.limit, historyDefault, pageMax);
      const agentId = request.agentId === '' ? undefined : parseField('agent_id', request.agentId, parseAgentId);
      const before = request.beforeRevision === 0 ? undefined : safeInteger('before_revision', request.beforeRevision);
      const what = parseHistoryWords(request.what);
      const since = parseTime('since', request.since);
      const until = parseTime('until', request.until);
      const who = request.who === '' ? undefined : request.who;
      const ipam = await plan.read(request.stale);
      return {
        entries: ipam.history({ after, before, limit, agentId, what, since, until, who }).map(historyMessage),
        revision: ipam.revision,
      };
    }),
    endpoint(operatorService.getNetwork, read, async (request) => {
      const { revision } = await plan.read(request.stale);
      const { network } = plan;
      return { network: network === undefined ? null : networkMessage(network), revision, clusterId: plan.clusterId };
    }),
  ];
}

function overlayWrites(plan: PlanClient, commands: ChangeCommands): readonly Endpoint[] {
  return [
    endpoint(operatorService.addOverlay, write, async (request, context) =>
      overlayAnswer(await plan.change(commands.addOverlay(request, context))),
    ),
    endpoint(operatorService.updateOverlay, write, async (request, context) =>
      overlayAnswer(await plan.change(commands.updateOverlay(request, context))),
    ),
    endpoint(operatorService.removeOverlay, write, async (request, context) => {
      const { revision } = await plan.change(commands.removeOverlay(request, context));
      return { revision };
    }),
    endpoint(operatorService.updateNetwork, write, async (request, context) => {
      const answer = await plan.change(commands.updateNetwork(request, context));
      if (answer.kind !== 'network') throw unexpected('update network', answer);
      return { network: networkMessage(answer.network), revision: answer.revision };
    }),
  ];
}

function blockWrites(plan: PlanClient, commands: ChangeCommands): readonly Endpoint[] {
  return [
    endpoint(operatorService.releaseAgents, write, async (request, context) => {
      const answer = await plan.change(commands.releaseAgents(request, context));
      if (answer.kind !== 'released') throw unexpected('release', answer);
      return { revision: answer.revision, released: answer.released.map(formatCidr) };
    }),
    endpoint(operatorService.replaceAgent, write, async (request, context) => {
      const answer = await plan.change(commands.replaceAgent(request, context));
      if (answer.kind !== 'released') throw unexpected('replace agent', answer);
      const quarantineMs = request.off ? 0 : (plan.network?.quarantineMs ?? 0);
      return { revision: answer.revision, reserved: answer.released.map(formatCidr), quarantineMs };
    }),
    endpoint(operatorService.reserve, write, async (request, context) => {
      const { revision } = await plan.change(commands.reserve(request, context));
      return { revision };
    }),
    endpoint(operatorService.unreserve, write, async (request, context) => {
      const { revision } = await plan.change(commands.unreserve(request, context));
      return { revision };
    }),
  ];
}

function preview(plan: PlanClient, commands: ChangeCommands): Endpoint {
  return endpoint(operatorService.previewChange, { place: 'leader', idempotent: true }, async (request, context) => {
    // What the leader has acknowledged, and who is live by its account.
    const ipam = await plan.read(false);
    const found = ipam.preview(previewedCommand(commands, request, context), plan.time);
    if (found.kind === 'refused') throw refusedByPlan(found);
    return { changes: found.changes, revision: ipam.revision };
  });
}

function previewedCommand(commands: ChangeCommands, request: sublet.v1.PreviewChangeRequest, context: CallContext) {
  const { v1 } = sublet;
  switch (request.change) {
    case 'addOverlay':
      return commands.addOverlay(new v1.AddOverlayRequest(request.addOverlay ?? {}), context);
    case 'updateOverlay':
      return commands.updateOverlay(new v1.UpdateOverlayRequest(request.updateOverlay ?? {}), context);
    case 'removeOverlay':
      return commands.removeOverlay(new v1.RemoveOverlayRequest(request.removeOverlay ?? {}), context);
    case 'updateNetwork':
      return commands.updateNetwork(new v1.UpdateNetworkRequest(request.updateNetwork ?? {}), context);
    case 'releaseAgents':
      return commands.releaseAgents(new v1.ReleaseAgentsRequest(request.releaseAgents ?? {}), context);
    case 'replaceAgent':
      return commands.replaceAgent(new v1.ReplaceAgentRequest(request.replaceAgent ?? {}), context);
    case 'reserve':
      return commands.reserve(new v1.ReserveRequest(request.reserve ?? {}), context);
    case 'unreserve':
      return commands.unreserve(new v1.UnreserveRequest(request.unreserve ?? {}), context);
    case undefined:
      throw new RefusedError('invalid-argument', 'change is missing: the request of one change is needed');
    default:
      return assertNever(request.change);
  }
}

/** The agents after this id, `limit` at most, in ascending order of id; of those in one state if that is asked for. */
function agentsAfter(
  ipam: Ipam,
  { presence }: LeaseKeeper,
  after: AgentId | undefined,
  limit: number,
  state: sublet.v1.PresenceState,
): readonly FullAgent[] {
  if (state === PresenceState.PRESENCE_STATE_UNSPECIFIED) return ipam.agentsAfter(after, limit);
  if (!presence.begun) {
    throw new RefusedError(
      'failed-precondition',
      'presence: only the leader knows which agents are live, and this is another master: ask without stale',
    );
  }
  return presence
    .agents(state === PresenceState.PRESENCE_STATE_LIVE ? 'live' : 'silent', (lease) => ipam.awaits(lease))
    .filter((agentId) => after === undefined || agentId > after)
    .sort()
    .slice(0, limit)
    .flatMap((agentId) => ipam.agent(agentId) ?? []);
}

function lookupMessage(ipam: Ipam, lookup: Lookup): sublet.v1.LookupResponse.$Properties {
  const answer = { ip: formatIp(lookup.ip), revision: ipam.revision };
  const nodeIp = (agentId: AgentId | undefined): string => {
    const agent = agentId === undefined ? undefined : ipam.agent(agentId);
    return agent === undefined ? '' : formatIp(agent.nodeIp);
  };
  switch (lookup.kind) {
    case 'unknown':
      return { ...answer, kind: LookupKind.LOOKUP_KIND_UNKNOWN };
    case 'node':
      return { ...answer, kind: LookupKind.LOOKUP_KIND_NODE, agentId: lookup.agentId, nodeIp: nodeIp(lookup.agentId) };
    case 'vtep':
    case 'overlay': {
      const { subnet, state, agentId, reservedNode } = lookup;
      const block = {
        subnet: formatCidr(subnet),
        blockState: blockStates[state],
        agentId: agentId ?? '',
        nodeIp: reservedNode === undefined ? nodeIp(agentId) : formatIp(reservedNode),
      };
      return lookup.kind === 'vtep'
        ? { ...answer, ...block, kind: LookupKind.LOOKUP_KIND_VTEP }
        : {
            ...answer,
            ...block,
            kind: LookupKind.LOOKUP_KIND_OVERLAY,
            overlay: lookup.overlay,
            bridge: lookup.bridge ?? '',
          };
    }
    default:
      return assertNever(lookup);
  }
}

function overlayAnswer(answer: Answer): { overlay: sublet.v1.Overlay.$Properties; revision: number } {
  if (answer.kind !== 'overlay') throw unexpected('change overlay', answer);
  return { overlay: overlayMessage(answer.overlay), revision: answer.revision };
}

function unexpected(action: string, { kind }: Answer): RangeError {
  return new RangeError(`${action} was answered with "${kind}"`);
}
