/** A core's state at one moment, for operators and tests: plain data, detached from the core. */
import type { Core } from '#raft/core.js';
import type { ConfState, LogIndex, MemberId, Term } from '#raft/log/entry.js';
import type { RaftRole } from '#raft/ready.js';
import type { RaftPeerStatus } from '#raft/tracker/progress.js';

export type RaftStatus = {
  readonly id: MemberId;
  readonly term: Term;
  readonly vote: MemberId;
  /** `noMember` if unknown. */
  readonly leader: MemberId;
  readonly role: RaftRole;
  readonly commit: LogIndex;
  /** Acknowledged as applied. */
  readonly applied: LogIndex;
  readonly firstIndex: LogIndex;
  /** Of the whole log, what is not yet stable included. */
  readonly lastIndex: LogIndex;
  readonly confState: ConfState;
  /** The target of a leadership transfer in flight; `noMember` if there is none. */
  readonly leadTransferee: MemberId;
  /** Index of the newest configuration change that may be unapplied; 0 on others than the leader. */
  readonly pendingConfIndex: LogIndex;
  /** Data bytes appended by this leader and not yet applied. */
  readonly uncommittedBytes: number;
  /** Reads that wait for confirmation. */
  readonly pendingReads: number;
  /** Per member of the configuration, itself included, by ascending id. Empty unless leader. */
  readonly progress: ReadonlyMap<MemberId, RaftPeerStatus>;
};

export function raftStatusOf(core: Core): RaftStatus {
  const { id, term, vote, leader, role, log, leadTransferee, pendingConfIndex, uncommittedBytes, membership } = core;
  const progress = new Map<MemberId, RaftPeerStatus>();
  if (role === 'leader') {
    for (const [member, peer] of membership.progress) {
      progress.set(member, peer.status());
    }
  }
  const { commit, applied, firstIndex, lastIndex } = log;
  return {
    id,
    term,
    vote,
    leader,
    role,
    commit,
    applied,
    firstIndex,
    lastIndex,
    confState: membership.config,
    leadTransferee,
    pendingConfIndex,
    uncommittedBytes,
    pendingReads: core.reads.count + core.postponedReads.length,
    progress,
  };
}
