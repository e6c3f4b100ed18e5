/** A replica's state for operators, put together from the core's and the replica's own. */
import { type LogIndex, logIndex, noMember, term } from '#raft/log/entry.js';
import type { RaftStatus } from '#raft/raft-status.js';
import { noIncarnation } from '#replica/bootstrap/incarnation.js';
import { isVotingMember } from '#replica/members/membership-change.js';
import type { PeerAccounts } from '#replica/members/peer-accounts.js';
import type { StoreSpace } from '#replica/ports/log-store.js';
import type { MemberInfo, Membership, Move } from '#replica/ports/membership.js';
import type { PeerStatus, ReplicaStatus } from '#replica/ports/replicated-log.js';

export type ReplicaStatusParts = {
  readonly self: MemberInfo;
  readonly membership: Membership;
  readonly moves: readonly Move[];
  readonly raft: RaftStatus;
  readonly applied: LogIndex;
  readonly ready: boolean;
  readonly writer: { readonly writes: number; readonly entriesWritten: number };
  readonly peers: PeerAccounts;
  readonly snapshotsSent: number;
  readonly snapshotsInstalled: number;
  readonly space: StoreSpace;
  readonly refusal: string | undefined;
  readonly serves: string;
};

export function replicaStatus(parts: ReplicaStatusParts): ReplicaStatus {
  const { self, membership, moves, raft, writer } = parts;
  return {
    self,
    membership,
    moves,
    role: raft.role,
    term: raft.term,
    leader: membership.members.find(({ id }) => id === raft.leader),
    commitIndex: raft.commit,
    appliedIndex: parts.applied,
    lastIndex: raft.lastIndex,
    firstIndex: raft.firstIndex,
    leaderReady: parts.ready,
    peers: membership.members.filter(({ id }) => id !== self.id).map((member) => peerStatus(member, parts)),
    writes: writer.writes,
    entriesWritten: writer.entriesWritten,
    snapshotsSent: parts.snapshotsSent,
    snapshotsInstalled: parts.snapshotsInstalled,
    space: parts.space,
    refusal: parts.refusal,
    serves: parts.serves,
  };
}

function peerStatus(member: MemberInfo, { membership, raft, peers }: ReplicaStatusParts): PeerStatus {
  const account = peers.of(member.id);
  return {
    member,
    role: isVotingMember(membership.confState, member.id) ? 'voter' : 'learner',
    matchIndex: raft.progress.get(member.id)?.match,
    lastContactMs: account?.lastContactMs,
    report: account?.report,
  };
}

/** Of a member that is not at work: it waits to be bootstrapped, or has stopped. */
export function idleStatus(self: MemberInfo, membership: Membership, space: StoreSpace): ReplicaStatus {
  const none = logIndex(0);
  return {
    self,
    membership,
    moves: [],
    role: 'follower',
    term: term(0),
    leader: undefined,
    commitIndex: none,
    appliedIndex: none,
    lastIndex: none,
    firstIndex: none,
    leaderReady: false,
    peers: [],
    writes: 0,
    entriesWritten: 0,
    snapshotsSent: 0,
    snapshotsInstalled: 0,
    space,
    refusal: undefined,
    serves: '',
  };
}

/** The membership of a cluster that does not exist yet. */
export function noMembership(clusterId: string): Membership {
  const confState = { voters: [], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  return { clusterId, incarnation: noIncarnation, confState, members: [], nextMemberId: noMember };
}
