/** What a replica tells its observer: for logs, for metrics, and to end the process when it can't go on. */
import type { LogIndex, MemberId } from '#raft/log/entry.js';
import type { BootstrapProblem } from '#replica/bootstrap/bootstrap-problem.js';
import type { Membership } from '#replica/ports/membership.js';

export type ReplicaEvent =
  /** The member has stopped for good: its store failed, its state can't be trusted, or a command is unknown to it. End the process with an error. */
  | { readonly kind: 'fatal'; readonly error: Error }
  /** The membership no longer has this member: it has stopped. */
  | { readonly kind: 'removed'; readonly message: string }
  /** Why the cluster can't begin yet, or this member can't take part; emitted once per problem, and tried again. */
  | { readonly kind: 'bootstrap-problem'; readonly problem: BootstrapProblem }
  | { readonly kind: 'bootstrapped'; readonly membership: Membership; readonly how: 'founder' | 'joined' }
  | { readonly kind: 'membership'; readonly membership: Membership }
  /** A write has been under way for longer than an election timeout: a leader hands over, a follower does not campaign. */
  | { readonly kind: 'disk-hangs'; readonly forMs: number; readonly handsOverTo: MemberId | undefined }
  | { readonly kind: 'disk-answers'; readonly afterMs: number }
  /** The disk has fallen below its floor of free space, or a leader without room hands over. */
  | { readonly kind: 'space-low'; readonly problem: string; readonly handsOverTo: MemberId | undefined }
  /**
   * This member leads, and no member has space: it refuses proposals. `account`: whose disk has how much, and what to
   * do.
   */
  | { readonly kind: 'no-space'; readonly account: string }
  /** There is room on the disk again. */
  | { readonly kind: 'space-back' }
  /** This member did nothing for longer than an election timeout. */
  | { readonly kind: 'paused'; readonly forMs: number }
  | { readonly kind: 'snapshot-sent'; readonly to: MemberId; readonly index: LogIndex }
  | { readonly kind: 'snapshot-failed'; readonly to: MemberId; readonly error: Error }
  /** As many snapshots as may be are being sent already: this member's comes later. Emitted once per wait. */
  | { readonly kind: 'snapshot-waits'; readonly to: MemberId }
  | { readonly kind: 'snapshot-installed'; readonly index: LogIndex; readonly from: MemberId }
  /** A peer refuses this member; emitted once per reason. */
  | { readonly kind: 'refused-by-peer'; readonly peer: string; readonly reason: string }
  /** The store of a peer was put back to an earlier state: this member does not hear it. Emitted once per reason. */
  | { readonly kind: 'peer-rewound'; readonly peer: string; readonly message: string }
  /** A message from a peer that no correct peer sends, or that came too late to matter; dropped. */
  | { readonly kind: 'message-refused'; readonly from: MemberId; readonly reason: string };
