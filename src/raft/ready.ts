/**
 * What a core asks of its driver. Taking a Ready accepts it: nothing is handed out twice. The comments
 * are the contract on ordering; a driver that breaks it breaks Raft.
 */
import type { Entry, HardState, LogIndex, MemberId, SnapshotMeta } from '#raft/log/entry.js';
import type { Message } from '#raft/message.js';

export type RaftRole = 'follower' | 'pre-candidate' | 'candidate' | 'leader';

export type SoftState = { readonly leader: MemberId; readonly role: RaftRole };

/** A confirmed read: once `index` is applied, the read numbered `request` may be answered. */
export type ReadState = { readonly index: LogIndex; readonly request: number };

export type Ready = {
  /** Leader and role, when they differ from the last Ready that had them. For display and routing only. */
  readonly softState: SoftState | undefined;
  /**
   * Sync mode: persist before any of `messages` leaves. Async mode: informational, the `storage-append`
   * message carries it.
   */
  readonly hardState: HardState | undefined;
  readonly readStates: readonly ReadState[];
  /** Sync mode: persist, together with `hardState`, before any of `messages` leaves. Async: as above. */
  readonly entries: readonly Entry[];
  /** Sync mode: install before any of `messages` leaves. Async: as above. */
  readonly snapshot: SnapshotMeta | undefined;
  /** Sync mode: apply in order, after `entries` and `snapshot` are stored. Async: `storage-apply` carries them. */
  readonly committedEntries: readonly Entry[];
  /**
   * To send, in this order. In async mode it may hold one `storage-append` (to `appendThread`) and one
   * `storage-apply` (to `applyThread`): each thread works its messages off in order, and sends or steps the
   * `responses` only after the write is stable, or the entries are applied. Each `vote` waits for the write of the
   * `storage-append` beside it as well (`withHeldVotes` sees to it): whose term is not stable yet must not be elected in it, or it could lead the
   * term twice, before and after a crash. All else may leave at once, in parallel with the disk.
   */
  readonly messages: readonly Message[];
  /** Whether what is to be persisted needs an fsync: there are entries, or term or vote changed. */
  readonly mustSync: boolean;
};
