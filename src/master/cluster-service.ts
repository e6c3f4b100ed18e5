/**
 * ClusterService: how this master sees the cluster. It is answered by the master that was asked, also when there is
 * no leader; what only the leader knows, who is live, it asks the leader for, and leaves out when that fails.
 */
import { formatIp } from '#address/ip.js';
import { clusterService } from '#api/services.js';
import type { PeerCalls } from '#master/call-router.js';
import { type Endpoint, endpoint } from '#master/endpoint.js';
import type { Leadership } from '#master/leadership.js';
import type { Office } from '#master/office.js';
import type { Plan } from '#master/plan.js';
import { timestamp } from '#master/plan-message.js';
import { sublet } from '#proto/sublet.js';
import type { Clock } from '#replica/clock.js';
import type { MemberInfo } from '#replica/membership.js';
import type { PeerStatus, ReplicaStatus, ReplicatedLog } from '#replica/replicated-log.js';

const { MemberRole } = sublet.v1;

export type Warning = { readonly message: string; readonly remedy: string };

export type ClusterServiceOptions = {
  readonly log: Pick<ReplicatedLog<unknown>, 'status'>;
  readonly plan: Plan;
  readonly office: Office;
  readonly leadership: Leadership;
  readonly peers: PeerCalls;
  readonly clusterId: string;
  readonly clock: Clock;
  readonly wallClock: () => number;
  readonly version: string;
  /** What an operator should look at, as of now. */
  readonly warnings: () => readonly Warning[];
};

const silentMax = 100;
/** How long the leader may take to say who is live before the answer goes out without, in ms. */
const leaderAccountMs = 500;

type Account = Pick<sublet.v1.GetStatusResponse.$Properties, 'agents' | 'silentAgents'>;

export function clusterEndpoints(options: ClusterServiceOptions): readonly Endpoint[] {
  return [
    endpoint(
      clusterService.getStatus,
      { place: 'here', idempotent: true, needsPlan: false },
      (_request, { forwarded }) => getStatus(options, forwarded),
    ),
  ];
}

async function getStatus(
  options: ClusterServiceOptions,
  forwarded: boolean,
): Promise<sublet.v1.GetStatusResponse.$Properties> {
  // A master that asks another one wants its own account, not a third one's.
  const account = forwarded ? ownAccount(options) : ((await leaderAccount(options)) ?? ownAccount(options));
  const status = options.log.status();
  return {
    clusterId: options.clusterId,
    name: status.self.name,
    role: ownRole(status),
    leader: status.leader?.name ?? '',
    term: status.term,
    commitIndex: status.commitIndex,
    appliedIndex: status.appliedIndex,
    members: status.membership.members.map((member) => memberMessage(member, status, options)),
    ...account,
    warnings: options.warnings().map(({ message, remedy }) => ({ message, remedy })),
    version: options.version,
    adoption: options.plan.ipam.adoption,
  };
}

function ownAccount({ plan, office }: ClusterServiceOptions): Account {
  const { ipam } = plan;
  const { presence } = office;
  const total = ipam.agentCount;
  if (!presence.begun) return { agents: { total }, silentAgents: [] };
  const silentAgents = presence.silent(silentMax).map(({ agentId, silentSince }) => {
    const agent = ipam.agent(agentId);
    return { agentId, nodeIp: agent === undefined ? '' : formatIp(agent.nodeIp), silentSince: timestamp(silentSince) };
  });
  return { agents: { total, ...presence.counts() }, silentAgents };
}

/** Undefined when another master leads but does not say, or nobody leads. */
async function leaderAccount({ leadership, peers, clock }: ClusterServiceOptions): Promise<Account | undefined> {
  const { seat } = leadership;
  if (seat.kind !== 'member') return undefined;
  const { path, request, response } = clusterService.getStatus;
  let cancel: () => void = () => undefined;
  const tooLate = new Promise<undefined>((resolve) => {
    cancel = clock.after(leaderAccountMs, () => resolve(undefined));
  });
  try {
    const answer = peers.call(seat.member, path, request.encode({}).finish(), leaderAccountMs, '');
    const bytes = await Promise.race([answer, tooLate]);
    if (bytes === undefined) return undefined;
    const { agents, silentAgents } = response.decode(bytes);
    return { agents: agents ?? null, silentAgents };
  } catch {
    // The status is asked for most when something is broken: it goes out with what is known here.
    return undefined;
  } finally {
    cancel();
  }
}

function memberMessage(
  member: MemberInfo,
  status: ReplicaStatus,
  options: ClusterServiceOptions,
): sublet.v1.Member.$Properties {
  const self = member.id === status.self.id;
  const peer = status.peers.find(({ member: { id } }) => id === member.id);
  return {
    id: member.id,
    name: member.name,
    peer: member.peer,
    role: self ? ownRole(status) : peerRole(member, peer, status),
    matchIndex: self ? status.lastIndex : (peer?.matchIndex ?? null),
    lastContact: self ? null : contact(peer, options),
    self,
  };
}

function contact(
  peer: PeerStatus | undefined,
  { clock, wallClock }: ClusterServiceOptions,
): { seconds: number; nanos: number } | null {
  return peer?.lastContactMs === undefined ? null : timestamp(wallClock() - (clock.now() - peer.lastContactMs));
}

function ownRole({ role, membership, self }: ReplicaStatus): sublet.v1.MemberRole {
  if (membership.confState.learners.includes(self.id)) return MemberRole.MEMBER_ROLE_LEARNER;
  switch (role) {
    case 'leader':
      return MemberRole.MEMBER_ROLE_LEADER;
    case 'follower':
      return MemberRole.MEMBER_ROLE_FOLLOWER;
    default:
      return MemberRole.MEMBER_ROLE_CANDIDATE;
  }
}

function peerRole(member: MemberInfo, peer: PeerStatus | undefined, { leader }: ReplicaStatus): sublet.v1.MemberRole {
  if (member.id === leader?.id) return MemberRole.MEMBER_ROLE_LEADER;
  return peer?.role === 'learner' ? MemberRole.MEMBER_ROLE_LEARNER : MemberRole.MEMBER_ROLE_FOLLOWER;
}
