/**
 * The replicated log as a server sees it: the one seam between `master/` and consensus. `Replica` implements
 * it; another store that orders commands (an etcd that a site already runs, say) could, too.
 */
import type { LogIndex, MemberId, Term } from '#raft/log/entry.js';
import type { RaftRole } from '#raft/ready.js';
import type { StoreSpace } from '#replica/ports/log-store.js';
import type { MemberReport } from '#replica/ports/member-report.js';
import type { MemberInfo, Membership, Move } from '#replica/ports/membership.js';

/** A command that was committed and applied, in log order. */
export type Applied<Output> = {
  readonly index: LogIndex;
  readonly time: number;
  readonly output: Output;
};

/**
 * Closed set. `not-leader`: nothing happened, ask `leader`. `unknown-outcome`: leadership was lost on the way, the
 * command may or may not come to be applied. `overloaded`: a queue is full, nothing happened. `too-large`. `no-space`: the
 * disk is below its floor, and no other member could lead instead. `not-known-by-all`: some member could not apply it yet,
 * nothing happened. `stopped`. `timeout`: no quorum answered a read in time.
 */
export type ProposeErrorCode =
  | 'not-leader'
  | 'unknown-outcome'
  | 'overloaded'
  | 'too-large'
  | 'no-space'
  | 'not-known-by-all'
  | 'stopped'
  | 'timeout';

export class ProposeError extends Error {
  override readonly name = 'ProposeError';
  readonly code: ProposeErrorCode;
  /** With `not-leader`: the leader, if known. */
  readonly leader: MemberInfo | undefined;

  constructor(code: ProposeErrorCode, message: string, leader?: MemberInfo) {
    super(message);
    this.code = code;
    this.leader = leader;
  }
}

/** The error of a member that does not lead; `leader` leads, if one is known. */
export function notLeaderError(name: string, leader: MemberInfo | undefined): ProposeError {
  const who = leader === undefined ? 'no leader is known' : `${leader.name} at ${leader.peer} does`;
  return new ProposeError('not-leader', `member ${name} does not lead the cluster: ${who}`, leader);
}

export function stoppedError(name: string): ProposeError {
  return new ProposeError('stopped', `member ${name} has stopped`);
}

export type PeerStatus = {
  readonly member: MemberInfo;
  readonly role: 'voter' | 'learner';
  /** Known on the leader only. */
  readonly matchIndex: LogIndex | undefined;
  /** Last message from it, on the replica's clock (ms); undefined: never. */
  readonly lastContactMs: number | undefined;
  /** What it says of itself; undefined: nothing yet. */
  readonly report: MemberReport | undefined;
};

export type ReplicaStatus = {
  readonly self: MemberInfo;
  /** With the addresses where members are called: see `moves`. */
  readonly membership: Membership;
  /** Members that are called elsewhere than at their recorded addresses. */
  readonly moves: readonly Move[];
  readonly role: RaftRole;
  readonly term: Term;
  readonly leader: MemberInfo | undefined;
  readonly commitIndex: LogIndex;
  readonly appliedIndex: LogIndex;
  readonly lastIndex: LogIndex;
  readonly firstIndex: LogIndex;
  /** True once an entry of the leader's own term is applied: from here on it may serve. */
  readonly leaderReady: boolean;
  readonly peers: readonly PeerStatus[];
  /** Storage writes so far and entries in them: entries per fsync = entries / writes. */
  readonly writes: number;
  readonly entriesWritten: number;
  readonly snapshotsSent: number;
  readonly snapshotsInstalled: number;
  readonly space: StoreSpace;
  /** Why this member, if it leads, takes no proposals now, for want of space; undefined: it does, or does not lead. */
  readonly refusal: string | undefined;
  /** Where this member says that it serves clients. */
  readonly serves: string;
};

export type LeadershipChange = { readonly leader: MemberId | undefined; readonly term: Term; readonly isSelf: boolean };

export type ReplicatedLog<Output> = {
  /**
   * Commits and applies one command; answers once it is applied here. Leader only. The command is not to be changed before.
   * @throws ProposeError
   */
  propose(command: Uint8Array): Promise<Applied<Output>>;
  /**
   * A linearizable read point (ReadIndex, dissertation §6.4): when it resolves, everything acknowledged before the
   * call is applied here. Any member. On a leader it also proves, by a quorum round begun after the call, that
   * it still led.
   * @throws ProposeError `not-leader` when there is no leader, `timeout`, `stopped`
   */
  readBarrier(): Promise<LogIndex>;
  /** Called for each command in log order, after it is applied. Listeners must not throw. Returns the unsubscriber. */
  onApplied(listener: (applied: Applied<Output>) => void): () => void;
  /** Called after a snapshot replaced the state: everything derived from applied commands starts afresh. */
  onRestored(listener: (index: LogIndex) => void): () => void;
  /** Called when the leader changes, when this member becomes able to serve as one (`leaderReady`), or finds that it was paused. */
  onLeadership(
    listener: (change: LeadershipChange & { readonly ready: boolean; readonly paused: boolean }) => void,
  ): () => void;
  status(): ReplicaStatus;
};
