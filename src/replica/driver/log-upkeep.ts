/** What a log needs besides its entries: applied changes stored when no write takes them along, and its tail compacted. */
import type { LogIndex } from '#raft/log/entry.js';
import { compactionPoint } from '#replica/compaction.js';
import type { AppliedState } from '#replica/driver/applied-state.js';
import type { LogTail } from '#replica/driver/log-tail.js';
import type { StorageWriter } from '#replica/driver/storage-writer.js';
import type { Clock } from '#replica/ports/clock.js';
import type { ReplicaLimits } from '#replica/replica-options.js';

export type LogUpkeepParts = {
  readonly clock: Clock;
  readonly limits: ReplicaLimits;
  readonly tail: LogTail;
  readonly writer: StorageWriter;
  readonly applied: Pick<AppliedState<unknown>, 'pending' | 'pendingBytes'>;
  /** Behind it the log is needed by a snapshot on its way. */
  readonly pinned: () => LogIndex | undefined;
  readonly activeMatches: () => readonly LogIndex[];
};

export class LogUpkeep {
  readonly #parts: LogUpkeepParts;
  /** While applied changes are to be flushed at a time. */
  #cancelFlush: (() => void) | undefined;
  #stopped = false;

  constructor(parts: LogUpkeepParts) {
    this.#parts = parts;
  }

  /** Whether anything is applied or committed that the store has not heard of. */
  get unsaved(): boolean {
    const { applied, writer } = this.#parts;
    return applied.pending || writer.commitLags;
  }

  /** A timer that is armed would keep the process from ending. */
  stop(): void {
    this.#stopped = true;
    this.#cancelFlush?.();
  }

  /** After each turn. */
  run(): void {
    if (this.#stopped) return;
    this.#save();
    this.#compact();
  }

  /** Applied changes wait for the next log write, but not for long. */
  #save(): void {
    const { applied, writer, limits, clock } = this.#parts;
    if (applied.pendingBytes > limits.unsavedBytesMax) writer.flush();
    if (this.#cancelFlush !== undefined || !this.unsaved) return;
    this.#cancelFlush = clock.after(limits.flushAfterMs, () => {
      this.#cancelFlush = undefined;
      if (this.unsaved) writer.flush();
    });
  }

  #compact(): void {
    const { writer, tail, limits, pinned, activeMatches } = this.#parts;
    const persisted = tail.persisted.index;
    const firstIndex = tail.firstIndex();
    const { entriesKept, compactionStep } = limits.compaction;
    // Most turns end here: nothing is worth a look before.
    if (persisted - firstIndex < entriesKept + compactionStep - 1) return;
    const view = { persisted, firstIndex, pinned: pinned(), activeMatches: activeMatches() };
    const through = compactionPoint(view, limits.compaction);
    if (through === undefined) return;
    tail.compact(through);
    writer.compact(through);
  }
}
