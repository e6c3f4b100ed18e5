/** How far the log may be forgotten: a policy, apart from the doing. */
import { type LogIndex, logIndex } from '#raft/log/entry.js';

export type CompactionView = {
  /** Index of the applied state that the store holds. */
  readonly persisted: LogIndex;
  readonly firstIndex: LogIndex;
  /** Entries behind it that a snapshot under way will need after its end; undefined when none is. */
  readonly pinned: LogIndex | undefined;
  /** On a leader: how far the peers are that answer. */
  readonly activeMatches: readonly LogIndex[];
};

export type CompactionLimits = {
  readonly entriesKept: number;
  /** Entries kept for a peer that answers and lags: beyond it, it gets a snapshot. A snapshot on its way is waited for whatever it takes. */
  readonly entriesKeptForPeersMax: number;
  /** Fewer than so many entries at a time are not worth a write. */
  readonly compactionStep: number;
};

/** The index to compact the log through; undefined if it is too early. */
export function compactionPoint(view: CompactionView, limits: CompactionLimits): LogIndex | undefined {
  const { persisted, firstIndex, pinned, activeMatches } = view;
  const { entriesKept, entriesKeptForPeersMax, compactionStep } = limits;
  const patient = Math.min(persisted - entriesKept, ...activeMatches);
  const through = Math.min(
    Math.max(patient, persisted - Math.max(entriesKept, entriesKeptForPeersMax)),
    pinned ?? Number.POSITIVE_INFINITY,
  );
  return through - firstIndex + 1 >= Math.max(1, compactionStep) ? logIndex(through) : undefined;
}
