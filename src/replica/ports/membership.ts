/**
 * The members of a cluster. The core knows ids and votes only; names, addresses and the id of each member's store are
 * replicated beside them and ride in the configuration changes.
 */
import type { ConfState, LogIndex, MemberId, Term } from '#raft/log/entry.js';

export type MemberInfo = {
  readonly id: MemberId;
  /** Unique in the cluster, 1–63 characters of [a-z0-9.-]; what operators call the member. */
  readonly name: string;
  /** HOST:PORT where the member answers its peers. */
  readonly peer: string;
  /**
   * Random id of the member's store (32 hex digits). A known name that comes with another store has lost its
   * disk: its votes are void and it is refused.
   */
  readonly storeId: string;
};

export type Membership = {
  /** 1–63 characters; a message from another cluster is refused. */
  readonly clusterId: string;
  /** Which incarnation of `clusterId` this is, as `incarnationOf` names it; a message from another one is refused. */
  readonly incarnation: string;
  readonly confState: ConfState;
  /**
   * Ascending by id; exactly the ids of `confState`. Exception: at index 0 (a member that joins and knows nothing yet)
   * they are the peers of its configuration.
   */
  readonly members: readonly MemberInfo[];
  /** The id the next new member gets; ids are never used twice. */
  readonly nextMemberId: MemberId;
};

/** A member as recorded, and where it is called instead. */
export type Move = { readonly member: MemberInfo; readonly to: string };

/** The position that the applied state stands for, and the membership in force there. */
export type AppliedMeta = {
  readonly index: LogIndex;
  readonly term: Term;
  /** Cluster time of the entry at `index`, in ms; see `ClusterTime`. */
  readonly time: number;
  readonly membership: Membership;
};
