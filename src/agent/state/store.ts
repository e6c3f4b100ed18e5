/**
 * What an agent keeps across restarts, as an interface: on disk in `state-dir.ts`, in memory in tests and simulations.
 */
import type { Lease, Seen } from '#agent/lease/lease.js';
import type { PeerPicture } from '#agent/peers/peer-table.js';

/** The identity of this installation. */
export type AgentIdentity = {
  /** Made once, at random. */
  readonly instanceId: string;
  /** The last one that may have been sent; 0: none. */
  readonly sequence: number;
  /** Clusters that this host held leases of before: what they left on the host is adopted. Newest first. */
  readonly formerClusterIds: readonly string[];
};

/** When a lease with a TTL ends: `ttlMs` after `heardAtMs` of the boot `bootId`. */
export type TermRecord = { readonly bootId: string; readonly heardAtMs: number; readonly ttlMs: number };

/**
 * The cached lease. Without `term` it lasts until it is released. `leaving`: it was to be given back, and the outcome
 * is unknown. It may be another's soon, so no host is built from it.
 */
export type LeaseRecord = {
  readonly lease: Lease;
  readonly term?: TermRecord | undefined;
  readonly leaving?: boolean | undefined;
  /** What the masters sent after the lease was granted; absent: nothing newer than that. */
  readonly seen?: Seen | undefined;
};

/** Ids of former clusters that are remembered. */
export const formerClustersMax = 8;

export type AgentStore = {
  readonly identity: AgentIdentity;
  /** Durable on return. @throws when it could not be written; the old one stands then. */
  saveIdentity(identity: AgentIdentity): void;
  /** What was cached when the store was opened. */
  readonly lease: LeaseRecord | undefined;
  readonly peers: PeerPicture | undefined;
  /** Durable on return; undefined forgets it. @throws when it could not be written. */
  saveLease(record: LeaseRecord | undefined): void;
  /** At most one at a time. Rejects when it could not be written; the old one stands then. */
  savePeers(picture: PeerPicture): Promise<void>;
};
