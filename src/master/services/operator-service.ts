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
import { parseField, safeInteger } from '#master/server/refusal-mapping.js';
import {
  origin,
  pageSize,
  parseAgentIds,
  parseHistoryWords,
  parseOptional4,
  parseOptional6,
  parseOptionalMs,
  parseOverlay,
  parseRange,
  parseReservedFor,
  parseTime,
} from '#master/services/operator-parse.js';
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

export type OperatorServiceOptions = {
  readonly plan: PlanClient;
  readonly office: LeaseKeeper;
  /** Ms since 1970. */
  readonly wallClock: () => number;
};

const write = { place: 'leader', idempotent: false } as const;
const read = { place: 'here', idempotent: true } as const;
const presenceRead = {
  place: ({ stale }: { stale: boolean }): ServedAt => (stale ? 'here' : 'leader'),
  idempotent: true,
};

export function operatorEndpoints(options: OperatorServiceOptions): readonly Endpoint[] {
  return [...agentReads(options), ...planReads(options), ...overlayWrites(options), ...blockWrites(options)];
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

function overlayWrites({ plan, wallClock }: OperatorServiceOptions): readonly Endpoint[] {
  const from = ({ caller }: CallContext, { expectedRevision }: { expectedRevision: number }) =>
    origin(caller, expectedRevision, wallClock());
  return [
    endpoint(operatorService.addOverlay, write, async (request, context) => {
      const overlay = parseOverlay(request.overlay);
      return overlayAnswer(
        await plan.change({ ...from(context, request), kind: 'add-overlay', overlay, source: 'operator' }),
      );
    }),
    endpoint(operatorService.updateOverlay, write, async (request, context) => {
      if (request.drain) {
        const { name, enabled, subnet, subnet6 } = request;
        if ((enabled ?? subnet ?? subnet6 ?? null) !== null) {
          throw new RefusedError('invalid-argument', 'drain: goes alone, without enabled, subnet and subnet6');
        }
        return overlayAnswer(await plan.change({ ...from(context, request), kind: 'drain-overlay', name }));
      }
      const answer = await plan.change({
        ...from(context, request),
        kind: 'update-overlay',
        name: request.name,
        enabled: request.enabled ?? undefined,
        subnet: parseOptional4('subnet', request.subnet),
        subnet6: parseOptional6('subnet6', request.subnet6),
      });
      return overlayAnswer(answer);
    }),
    endpoint(operatorService.removeOverlay, write, async (request, context) => {
      const { revision } = await plan.change({ ...from(context, request), kind: 'remove-overlay', name: request.name });
      return { revision };
    }),
    endpoint(operatorService.updateNetwork, write, async (request, context) => {
      const reclaimMs = parseOptionalMs('reclaim_ms', request.reclaimMs);
      const answer = await plan.change({
        ...from(context, request),
        kind: 'update-network',
        vtepSubnet: parseOptional4('vtep_subnet', request.vtepSubnet),
        vtepSubnet6: parseOptional6('vtep_subnet6', request.vtepSubnet6),
        vtepMtu: request.vtepMtu ?? undefined,
        quarantineMs: parseOptionalMs('quarantine_ms', request.quarantineMs),
        reclaim: reclaimMs === undefined ? undefined : { ttlMs: reclaimMs === 0 ? undefined : reclaimMs },
      });
      if (answer.kind !== 'network') throw unexpected('update network', answer);
      return { network: networkMessage(answer.network), revision: answer.revision };
    }),
  ];
}

function blockWrites({ plan, office, wallClock }: OperatorServiceOptions): readonly Endpoint[] {
  return [
    endpoint(operatorService.releaseAgents, write, async (request, { caller }) => {
      const agentIds = parseAgentIds(request.agentIds);
      const holders = agentIds
        .flatMap((agentId) => plan.ipam.lease(agentId) ?? [])
        .map((lease) => office.presence.judge(lease));
      const { force } = request;
      const by = origin(caller, request.expectedRevision, wallClock());
      const answer = await plan.change({ ...by, kind: 'release', agentIds, force, holders });
      if (answer.kind !== 'released') throw unexpected('release', answer);
      return { revision: answer.revision, released: answer.released.map(formatCidr) };
    }),
    endpoint(operatorService.replaceAgent, write, async (request, { caller }) => {
      const agentId = parseField('agent_id', request.agentId, parseAgentId);
      const successor = parseField('successor', request.successor, parseAgentId);
      const lease = plan.ipam.lease(agentId);
      const holders = lease === undefined ? [] : [office.presence.judge(lease)];
      const { off } = request;
      const by = origin(caller, request.expectedRevision, wallClock());
      const answer = await plan.change({ ...by, kind: 'replace-agent', agentId, successor, off, holders });
      if (answer.kind !== 'released') throw unexpected('replace agent', answer);
      const quarantineMs = off ? 0 : (plan.network?.quarantineMs ?? 0);
      return { revision: answer.revision, reserved: answer.released.map(formatCidr), quarantineMs };
    }),
    endpoint(operatorService.reserve, write, async (request, { caller }) => {
      const range = parseRange(request);
      const by = origin(caller, request.expectedRevision, wallClock());
      const reservedFor = parseReservedFor(request);
      const { revision } =
        reservedFor === undefined
          ? await plan.change({ ...by, kind: 'exclude', ...range })
          : await plan.change({ ...by, kind: 'reserve', ...range, ...reservedFor });
      return { revision };
    }),
    endpoint(operatorService.unreserve, write, async (request, { caller }) => {
      const range = parseRange(request);
      const named = formatCidr(range.subnet);
      const excluded = plan.ipam
        .exclusions()
        .some(({ overlay, subnet }) => overlay === range.overlay && formatCidr(subnet) === named);
      const by = origin(caller, request.expectedRevision, wallClock());
      const { revision } = await plan.change({ ...by, kind: excluded ? 'unexclude' : 'unreserve', ...range });
      return { revision };
    }),
  ];
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
