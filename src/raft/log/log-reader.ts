/**
 * What the core reads back of its stable log. Reading is synchronous: the driver of the core keeps the entries since
 * the last compaction in memory.
 */
import type { ConfState, Entry, HardState, LogIndex, SnapshotMeta, Term } from '#raft/log/entry.js';

export type LogReader = {
  /** What was on stable storage when the member started; `hardState` undefined if there is none yet. */
  initialState(): { readonly hardState: HardState | undefined; readonly confState: ConfState };
  /** Index of the first entry that is still there: one above the last compacted one. */
  firstIndex(): LogIndex;
  /** Index of the last stable entry; `firstIndex() − 1` if there is none. */
  lastIndex(): LogIndex;
  /** Term at `index`, known from `firstIndex() − 1` to `lastIndex()`; undefined outside. */
  term(index: LogIndex): Term | undefined;
  /** Entries in [low, high), cut off so that their encoded size stays within `bytesMax`, but at least one. */
  entries(low: LogIndex, high: LogIndex, bytesMax: number): readonly Entry[];
  /** The newest snapshot a follower could be given now; undefined if none can be had yet. */
  snapshot(): SnapshotMeta | undefined;
};
