/**
 * How the masters are, one by one, as one of them knows: role, position in the log, last contact; and, on the leader,
 * which are up, and whether the cluster would serve on without each.
 */
import { timestamp } from '#master/services/plan-message.js';
import { sublet } from '#proto/sublet.js';
import type { MemberId } from '#raft/log/entry.js';
import { promoteLagMax } from '#replica/members/membership-change.js';
import type { Clock } from '#replica/ports/clock.js';
import type { MemberInfo } from '#replica/ports/membership.js';
import type { PeerStatus, ReplicaStatus } from '#replica/ports/replicated-log.js';

const { MemberRole } = sublet.v1;

export type MemberAccountOptions = {
  readonly clock: Clock;
  /** Ms since 1970. */
  readonly wallClock: () => number;
  readonly electionTimeoutMs: number;
};

type Message = sublet.v1.Member.$Properties;
type Standing = { readonly lag: number; readonly alive: boolean };

export function memberMessages(status: ReplicaStatus, options: MemberAccountOptions): Message[] {
  const standings = status.role === 'leader' ? standingsOf(status, options) : new Map<MemberId, Standing>();
  return status.membership.members.map((member) => {
    const standing = standings.get(member.id);
    return {
      ...memberMessage(member, status, options),
      lag: standing?.lag ?? null,
      alive: standing?.alive ?? null,
      stopRisk: standing === undefined ? '' : stopRisk(member.id, status, standings),
    };
  });
}

function memberMessage(member: MemberInfo, status: ReplicaStatus, options: MemberAccountOptions): Message {
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
    api: self ? status.serves : (peer?.report?.serves ?? ''),
    freeBytes: (self ? status.space.freeBytes : peer?.report?.space.freeBytes) ?? null,
    ended: self ? '' : (peer?.report?.ended ?? ''),
    spaceLow: (self ? status.space.problem !== undefined : peer?.report?.space.low) ?? false,
  };
}

/** The leader's account of each, itself included. */
function standingsOf(
  { self, peers, lastIndex }: ReplicaStatus,
  { clock, electionTimeoutMs }: MemberAccountOptions,
): Map<MemberId, Standing> {
  const standings = new Map<MemberId, Standing>([[self.id, { lag: 0, alive: true }]]);
  for (const { member, matchIndex = 0, lastContactMs } of peers) {
    const alive = lastContactMs !== undefined && clock.now() - lastContactMs <= 2 * electionTimeoutMs;
    standings.set(member.id, { lag: Math.max(0, lastIndex - matchIndex), alive });
  }
  return standings;
}

/** Why the cluster would not serve on without this member; empty: it would. */
function stopRisk(
  member: MemberId,
  { membership: { confState } }: ReplicaStatus,
  standings: ReadonlyMap<MemberId, Standing>,
): string {
  for (const voters of [confState.voters, confState.votersOutgoing]) {
    if (!voters.includes(member)) continue;
    if (voters.length === 1) return 'it is the only one that votes';
    const left = voters.filter((voter) => {
      const standing = standings.get(voter);
      return voter !== member && standing?.alive === true && standing.lag <= promoteLagMax;
    });
    const needed = Math.floor(voters.length / 2) + 1;
    if (left.length < needed) {
      return `only ${left.length} of ${voters.length} that vote would be up and caught up, and ${needed} are needed`;
    }
  }
  return '';
}

function contact(
  peer: PeerStatus | undefined,
  { clock, wallClock }: MemberAccountOptions,
): { seconds: number; nanos: number } | null {
  return peer?.lastContactMs === undefined ? null : timestamp(wallClock() - (clock.now() - peer.lastContactMs));
}

export function ownRole({ role, membership, self }: ReplicaStatus): sublet.v1.MemberRole {
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
