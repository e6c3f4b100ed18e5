/** What a log needs besides its entries: applied changes stored when no write takes them along, and its tail compacted. */
import type { LogIndex, MemberId } from '#raft/log/entry.js';
import type { Raft } from '#raft/raft.js';
import { compactionPoint } from '#replica/compaction.js';
import type { AppliedState } from '#replica/driver/applied-state.js';
import type { LogTail } from '#replica/driver/log-tail.js';
import type { SnapshotSender } from '#replica/driver/snapshot-transfers.js';
import type { StorageWriter } from '#replica/driver/storage-writer.js';
import type { LeadershipState } from '#replica/fitness/leadership-state.js';
import type { PeerAccounts } from '#replica/members/peer-accounts.js';
import type { ReplicaLimits } from '#replica/replica-options.js';

export type LogUpkeepParts = {
  readonly self: MemberId;
  readonly electionMs: number;
  readonly limits: Pick<ReplicaLimits, 'compaction' | 'unsavedBytesMax'>;
  readonly raft: Pick<Raft, 'status'>;
  readonly leadership: LeadershipState;
  readonly peers: PeerAccounts;
  readonly tail: LogTail;
  readonly applied: Pick<AppliedState<unknown>, 'pending' | 'pendingBytes'>;
  readonly writer: Pick<StorageWriter, 'commitLags'>;
  readonly sender: Pick<SnapshotSender, 'pinned'>;
};

export class LogUpkeep {
  readonly #parts: LogUpkeepParts;

  constructor(parts: LogUpkeepParts) {
    this.#parts = parts;
  }

  /** Whether anything is applied or committed that the store has not heard of. It waits for the next log write. */
  get unsaved(): boolean {
    const { applied, writer } = this.#parts;
    return applied.pending || writer.commitLags;
  }

  /** More is applied and not stored than may wait. */
  get overfull(): boolean {
    const { applied, limits } = this.#parts;
    return applied.pendingBytes > limits.unsavedBytesMax;
  }

  /** Compacts the tail of the log, if that is worth while now. Returns the last index that the store should forget. */
  compact(): LogIndex | undefined {
    const { tail, limits, sender } = this.#parts;
    const persisted = tail.persisted.index;
    const firstIndex = tail.firstIndex();
    const { entriesKept, compactionStep } = limits.compaction;
    // Most turns end here: the tail is too short to compact.
    if (persisted - firstIndex < entriesKept + compactionStep - 1) return undefined;
    const view = { persisted, firstIndex, pinned: sender.pinned, activeMatches: this.#activeMatches() };
    const through = compactionPoint(view, limits.compaction);
    if (through !== undefined) tail.compact(through);
    return through;
  }

  /**
   * On a leader: how far the members are that answer. The core's `active` is no substitute: it is cleared for all
   * members each time that the core has counted its quorum, and the log would be compacted as if no member answered.
   */
  #activeMatches(): readonly LogIndex[] {
    const { self, electionMs, raft, leadership, peers } = this.#parts;
    if (!leadership.leads) return [];
    return [...raft.status().progress]
      .filter(([member]) => member === self || peers.heardWithin(electionMs, member))
      .map(([, { match }]) => match);
  }
}
