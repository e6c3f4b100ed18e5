/**
 * ClusterService: how this master sees the cluster. It is answered by the master that was asked, also when there is no
 * leader; what only the leader knows, which agents are live, it asks the leader for, and leaves out when that fails.
 */

import { formatCidr, formatIp } from '#address/ip.js';
import { clusterService } from '#api/services.js';
import type { LeaseRef } from '#ipam/ipam.js';
import type { Leadership } from '#master/leader/leadership.js';
import type { LeaseKeeper } from '#master/leases/lease-keeper.js';
import type { Place } from '#master/leases/lease-processes.js';
import { memberMessages, ownRole } from '#master/members/member-account.js';
import type { OutlookKeeper } from '#master/process/capacity-outlook.js';
import {
  deadMasterWarnings,
  failedOverlayWarnings,
  planOnlyNotices,
  revocationWarnings,
  silentAgentWarnings,
} from '#master/process/cluster-warnings.js';
import type { PeerCalls } from '#master/server/call-router.js';
import { type Endpoint, endpoint } from '#master/server/endpoint.js';
import { safeInteger } from '#master/server/refusal-mapping.js';
import { origin } from '#master/services/operator-parse.js';
import type { PlanClient } from '#master/services/plan-client.js';
import { timestamp } from '#master/services/plan-message.js';
import { withRevocations } from '#master/services/revocation-message.js';
import type { Warning } from '#master/warning.js';
import type { sublet } from '#proto/sublet.js';
import type { Clock } from '#replica/ports/clock.js';
import type { ReplicatedLog } from '#replica/ports/replicated-log.js';
import { noCaller } from '#tls/caller.js';

export type ClusterServiceOptions = {
  readonly log: Pick<ReplicatedLog<unknown>, 'status'>;
  readonly plan: PlanClient;
  readonly office: LeaseKeeper;
  readonly leadership: Leadership;
  readonly peers: PeerCalls;
  readonly clusterId: string;
  readonly clock: Clock;
  readonly wallClock: () => number;
  readonly version: string;
  readonly electionTimeoutMs: number;
  /** What an operator should look at, as of now. */
  readonly warnings: () => readonly Warning[];
  readonly outlook: Pick<OutlookKeeper, 'current'>;
};

const silentMax = 100;
const contestedMax = 100;
/** Of these so many become a warning. */
const contestedWarningsMax = 10;
/** So many of those that have not come back in an adoption are named. */
const awaitedMax = 100;
/** How long the leader may take to report the live agents before the answer goes out without them, in ms. */
const leaderAccountMs = 500;

type Account = Pick<sublet.v1.GetStatusResponse.$Properties, 'agents' | 'silentAgents' | 'contestedLeases'> & {
  /** What the leader warns of for the whole cluster. */
  readonly clusterWarnings: readonly Warning[];
};

export function clusterEndpoints(options: ClusterServiceOptions): readonly Endpoint[] {
  return [
    endpoint(
      clusterService.getStatus,
      { place: 'here', idempotent: true, needsPlan: false },
      ({ revision }, { forwarded }) => getStatus(options, safeInteger('revision', revision), forwarded),
    ),
    endpoint(clusterService.endAdoption, { place: 'leader', idempotent: false }, async (request, { caller }) => {
      const { plan, wallClock } = options;
      const by = origin(caller, request.expectedRevision, wallClock());
      const missing = safeInteger('although_missing', request.althoughMissing);
      const { revision } = await plan.change({ ...by, kind: 'end-adoption', missing });
      return { revision };
    }),
  ];
}

async function getStatus(
  options: ClusterServiceOptions,
  revision: number,
  forwarded: boolean,
): Promise<sublet.v1.GetStatusResponse.$Properties> {
  // A master that asks another one wants its own account, not a third one's.
  const { clusterWarnings, ...account } = forwarded
    ? ownAccount(options)
    : ((await leaderAccount(options)) ?? ownAccount(options));
  const status = options.log.status();
  const { ipam } = options.plan;
  const awaited = ipam.awaited(awaitedMax);
  return {
    clusterId: options.clusterId,
    name: status.self.name,
    role: ownRole(status),
    leader: status.leader?.name ?? '',
    term: status.term,
    commitIndex: status.commitIndex,
    appliedIndex: status.appliedIndex,
    members: withRevocations(memberMessages(status, options), ipam),
    ...account,
    warnings: [...clusterWarnings, ...options.warnings(), ...contestWarnings(account)].map(
      ({ message, remedy, notice = false, cluster = false }) => ({ message, remedy, notice, cluster }),
    ),
    version: options.version,
    nodeVersion: process.versions.node,
    adoption: ipam.adoption,
    awaited: awaited.count,
    awaitedAgents: [...awaited.first],
    adoptionReason: ipam.adoptionReason,
    branch: revision > status.appliedIndex ? '' : ipam.branchAt(revision || ipam.revision),
    incarnation: options.plan.incarnation,
    capacityForecasts: forecastMessages(options),
  };
}

function forecastMessages({ plan, outlook }: ClusterServiceOptions): sublet.v1.CapacityForecast.$Properties[] {
  const { flow, full } = outlook.current;
  const { network } = plan;
  if (flow === undefined || network === undefined) return [];
  return full.flatMap(({ overlay: name, family, fullInMs }) => {
    const overlay = network.overlays.find((each) => each.name === name);
    const subnet = name === undefined ? network.vtepSubnet : (family === 4 ? overlay?.v4 : overlay?.v6)?.subnet;
    // Removed since then.
    if (subnet === undefined) return [];
    return {
      overlay: name ?? '',
      subnet: formatCidr(subnet),
      fullInSeconds: Math.round(fullInMs / 1_000),
      arrivals: flow.arrivals,
      departures: flow.departures,
      historySeconds: Math.round(flow.spanMs / 1_000),
    };
  });
}

function contestWarnings({ contestedLeases }: Pick<Account, 'contestedLeases'>): readonly Warning[] {
  return (contestedLeases ?? []).slice(0, contestedWarningsMax).map(({ agentId, holder, claimant }) => ({
    message: `agent ${agentId}: two processes ask for its lease: one ${placeText(holder)} has it, one ${placeText(claimant)} is refused`,
    remedy:
      "one of them runs on a copy of the other one's state_dir: stop it, or give it an id and a state_dir of its own",
  }));
}

function placeMessage({ nodeIp, connection }: Place): sublet.v1.ProcessPlace.$Properties {
  return { nodeIp: nodeIp === undefined ? '' : formatIp(nodeIp), connection };
}

function placeText(place: sublet.v1.ProcessPlace.$Properties | null | undefined): string {
  const nodeIp = place?.nodeIp ? `at ${place.nodeIp}` : '';
  const connection = place?.connection ? `from ${place.connection}` : '';
  return [nodeIp, connection].filter((part) => part !== '').join(' ');
}

function ownAccount(options: ClusterServiceOptions): Account {
  const { plan, office } = options;
  const { ipam } = plan;
  const { presence } = office;
  const total = ipam.agentCount;
  if (!presence.begun) return { agents: { total }, silentAgents: [], clusterWarnings: [] };
  const isAwaited = (lease: Pick<LeaseRef, 'epoch'>): boolean => ipam.awaits(lease);
  const silentAgents = presence.silent(silentMax, isAwaited).map(({ agentId, silentSince }) => {
    const agent = ipam.agent(agentId);
    return { agentId, nodeIp: agent === undefined ? '' : formatIp(agent.nodeIp), silentSince: timestamp(silentSince) };
  });
  const contestedLeases = office.processes.contests(contestedMax).map(({ agentId, holder, claimant }) => ({
    agentId,
    holder: placeMessage(holder),
    claimant: placeMessage(claimant),
  }));
  const clusterWarnings = clusterWarningsOf(options);
  return { agents: { total, ...presence.counts(isAwaited) }, silentAgents, contestedLeases, clusterWarnings };
}

/** The leader's account of the masters and agents as warnings; empty on any other master. */
function clusterWarningsOf(options: ClusterServiceOptions): readonly Warning[] {
  const status = options.log.status();
  const { plan, office, wallClock } = options;
  if (status.role !== 'leader') return [];
  const isAwaited = (lease: Pick<LeaseRef, 'epoch'>): boolean => plan.ipam.awaits(lease);
  const [longest] = office.presence.silent(1, isAwaited);
  const silence = longest && { count: office.presence.counts(isAwaited).silent, longest };
  return [
    ...deadMasterWarnings(memberMessages(status, options), wallClock()),
    ...silentAgentWarnings(silence, wallClock()),
    ...failedOverlayWarnings(plan.ipam.hostOverlays()),
    ...planOnlyNotices(plan.ipam.hostOverlays()),
    ...revocationWarnings(plan.ipam, status.membership.members),
  ];
}

/** Undefined when another master leads but does not answer, or there is no leader. */
async function leaderAccount({ leadership, peers, clock }: ClusterServiceOptions): Promise<Account | undefined> {
  const { seat } = leadership;
  if (seat.kind !== 'member') return undefined;
  const { path, request, response } = clusterService.getStatus;
  let cancel: () => void = () => undefined;
  const tooLate = new Promise<undefined>((resolve) => {
    cancel = clock.after(leaderAccountMs, () => resolve(undefined));
  });
  try {
    const answer = peers.call(seat.member, path, request.encode({}).finish(), leaderAccountMs, noCaller);
    const bytes = await Promise.race([answer, tooLate]);
    if (bytes === undefined) return undefined;
    const { agents, silentAgents, contestedLeases, warnings } = response.decode(bytes);
    const clusterWarnings = warnings
      .filter(({ cluster }) => cluster === true)
      .map(({ message, remedy, notice }) => ({
        message: message ?? '',
        remedy: remedy ?? '',
        notice: notice ?? false,
        cluster: true,
      }));
    return { agents: agents ?? null, silentAgents, contestedLeases, clusterWarnings };
  } catch {
    // The status is asked for most when something is broken: it goes out with what is known here.
    return undefined;
  } finally {
    cancel();
  }
}
