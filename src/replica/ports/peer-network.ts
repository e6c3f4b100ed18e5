/**
 * How a replica reaches its peers, by interface: `transport/` implements it on gRPC, the simulator on a
 * network that loses, delays and cuts.
 */

import type { MemberId } from '#raft/log/entry.js';
import type { PeerMessage, SnapshotMessage } from '#raft/message.js';
import type { SnapshotSource } from '#replica/ports/log-store.js';
import type { MemberReport } from '#replica/ports/member-report.js';
import type { AppliedMeta, Membership } from '#replica/ports/membership.js';
import type { StateRecord } from '#replica/ports/state-machine.js';
import type { StoreClaim } from '#replica/ports/store-claim.js';

/** One of the first members, as configured. `peer` is HOST:PORT. */
export type Founder = { readonly name: string; readonly peer: string };

/** What a member says of itself before it takes part. */
export type MemberHello = {
  readonly clusterId: string;
  readonly name: string;
  readonly storeId: string;
  /** False: the store is empty; the member waits to be bootstrapped or added. */
  readonly bootstrapped: boolean;
  /** Known when bootstrapped. */
  readonly membership: Membership | undefined;
  /** Kinds of commands this member can apply; see `Replica`. */
  readonly commandKinds: readonly string[];
  /** What the founders are, as configured; all must agree at bootstrap. */
  readonly founders: readonly Founder[];
  /**
   * While it waits to be bootstrapped: the founders that it has seen, with the stores that they answered with, itself
   * included. All must have seen the same before any of them begins.
   */
  readonly seen: readonly { readonly name: string; readonly storeId: string }[];
  /** Of its store; `storeId` is in it, too. */
  readonly claim: StoreClaim;
  /** How the caller's store contradicts what this member knows of it; undefined: it does not, or the caller named none. */
  readonly contradiction: string | undefined;
};

/** The identity that an unknown peer expected of this member. */
export type PeerClaim = {
  readonly clusterId: string;
  readonly incarnation: string;
  /** The name of the caller. */
  readonly name: string;
  readonly peer: string;
  /** The store that the caller knows this member with. */
  readonly storeId: string;
};

/** Why a peer does not talk to this member. */
export type PeerRefusal =
  /** Something has to be corrected by an operator first; it is tried again. */
  | 'lasting'
  /** By what the peer's cluster has committed, this member is none of its members any more, for good. */
  | 'expelled'
  /** The store of this member was put back to an earlier state, for good. */
  | 'rewound';

/** What a network reports to its replica. */
export type PeerEvent =
  | { readonly kind: 'message'; readonly message: PeerMessage }
  /** `from` sent a message of a kind that this version does not know; it is dropped. */
  | { readonly kind: 'unknown-message'; readonly from: MemberId; readonly reason: string }
  /** `from` has announced its state. */
  | { readonly kind: 'report'; readonly from: MemberId; readonly report: MemberReport }
  /**
   * A caller that takes this member for a peer of its own was rejected: this member takes no part yet, or its cluster is
   * of another incarnation.
   */
  | { readonly kind: 'claim'; readonly claim: PeerClaim }
  /** The last message to this member was surely not delivered. */
  | { readonly kind: 'unreachable'; readonly member: MemberId }
  /**
   * A peer rejects this member, with the reason: another cluster or incarnation, a store it does not know, a removed
   * member, a store that was put back. `peer` is HOST:PORT.
   */
  | { readonly kind: 'refused'; readonly peer: string; readonly reason: string; readonly refusal: PeerRefusal };

/** What a network needs of its replica. */
export type PeerHandler = {
  /** The claim of this member's store, as it is sent to peers; it does not change. */
  readonly claim: StoreClaim;
  /**
   * The identity of this member. `caller`: the store of the member that asks, or that opens a connection, if it takes
   * part in a cluster; a connection from it is rejected if the answer has a `contradiction`.
   */
  hello(caller: StoreClaim | undefined): MemberHello;
  /** Takes one event; events of one peer come in order. */
  take(event: PeerEvent): void;
  /** Streams a snapshot in; resolves when it is staged, and the message has been given to the core. */
  receiveSnapshot(
    message: SnapshotMessage,
    meta: AppliedMeta,
    chunks: AsyncIterable<readonly StateRecord[]>,
  ): Promise<void>;
};

export type PeerNetwork = {
  /** Begins to listen and to hand over what arrives. */
  start(handler: PeerHandler): Promise<void>;
  /**
   * The peers to talk to and to accept, `self` included; called at start and after each change of membership. Beside
   * them count members that joined since, as far as they call: see `UnknownPeers`.
   */
  setMembership(self: MemberId, membership: Membership): void;
  /** Best effort, in order per member; never throws and never blocks. `message.to` names the member. */
  send(message: PeerMessage): void;
  /** Tells all peers, and those that are connected later, until the next call. Best effort; the caller repeats it. */
  announce(report: MemberReport): void;
  /** Streams `source` to `message.to` on a connection of its own; rejects when it did not arrive whole. The caller closes `source`. */
  sendSnapshot(message: SnapshotMessage, source: SnapshotSource): Promise<void>;
  /** Asks the member that listens at HOST:PORT for its identity (bootstrap, joining). */
  hello(peer: string, caller?: StoreClaim): Promise<MemberHello>;
  stop(): Promise<void>;
};
