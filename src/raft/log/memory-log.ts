/**
 * Stable storage that lives in memory, for tests, simulations and the conformance runner: a log after a base
 * position, the hard state, and the snapshot that peers are served. It loses everything with its process.
 */

import { invariant } from '#errors/invariant.js';
import {
  type ConfState,
  type Entry,
  type HardState,
  type LogIndex,
  logIndex,
  noIndex,
  noTerm,
  type SnapshotMeta,
  type Term,
} from '#raft/log/entry.js';
import { limitEntries } from '#raft/log/entry-size.js';
import type { LogReader } from '#raft/log/log-reader.js';
import type { LogPosition } from '#raft/log/raft-log.js';
import { emptyMembership } from '#raft/tracker/tracker.js';

/** A snapshot or compaction that comes too late; nothing was changed. */
export class MemoryLogError extends Error {
  override readonly name = 'MemoryLogError';
}

export class MemoryLog implements LogReader {
  /** The position before the first entry; the entry itself is gone. */
  #base: LogPosition;
  #entries: Entry[] = [];
  #hardState: HardState | undefined;
  #installed: LogIndex = noIndex;
  /** What `snapshot()` gives, and whose configuration a restart begins with. Its owner keeps it up to date. */
  served: SnapshotMeta | undefined;

  /** Empty, or beginning after `start`, which is installed and served. */
  constructor(start?: SnapshotMeta) {
    this.#base = { index: start?.index ?? noIndex, term: start?.term ?? noTerm };
    this.#installed = this.#base.index;
    this.served = start;
  }

  initialState(): { readonly hardState: HardState | undefined; readonly confState: ConfState } {
    return { hardState: this.#hardState, confState: this.served?.confState ?? emptyMembership.config };
  }

  firstIndex(): LogIndex {
    return logIndex(this.#base.index + 1);
  }

  lastIndex(): LogIndex {
    return logIndex(this.#base.index + this.#entries.length);
  }

  term(index: LogIndex): Term | undefined {
    return index === this.#base.index ? this.#base.term : this.#entries[index - this.#base.index - 1]?.term;
  }

  entries(low: LogIndex, high: LogIndex, bytesMax: number): readonly Entry[] {
    const first = this.firstIndex();
    invariant(
      low >= first && high <= this.lastIndex() + 1,
      () => `stored entries [${low}, ${high}) were asked for, but [${first}, ${this.lastIndex()}] are there`,
    );
    return limitEntries(this.#entries.slice(low - first, high - first), bytesMax);
  }

  snapshot(): SnapshotMeta | undefined {
    return this.served;
  }

  setHardState(hardState: HardState): void {
    this.#hardState = hardState;
  }

  /** Appends contiguous entries, in place of what is at the first one's index and above; compacted ones are skipped. */
  append(entries: readonly Entry[]): void {
    const first = this.firstIndex();
    const fresh = entries.filter((entry) => entry.index >= first);
    const [head] = fresh;
    if (head === undefined) {
      return;
    }
    invariant(head.index <= this.lastIndex() + 1, () => `entry ${head.index} leaves a gap after ${this.lastIndex()}`);
    this.#entries.length = head.index - first;
    for (const entry of fresh) {
      this.#entries.push(entry);
    }
  }

  /** Replaces the log by a snapshot. Throws `MemoryLogError` if a newer one was installed. */
  install({ index, term }: SnapshotMeta): void {
    if (this.#installed !== 0 && this.#installed >= index) {
      throw new MemoryLogError('requested index is older than the existing snapshot');
    }
    this.#installed = index;
    this.#base = { index, term };
    this.#entries = [];
  }

  /** Forgets entries up to `index`. Throws `MemoryLogError` if they are gone already. */
  compact(index: LogIndex): void {
    if (index <= this.#base.index) {
      throw new MemoryLogError('requested index is unavailable due to compaction');
    }
    const term = this.term(index);
    invariant(term !== undefined, () => `the log can't be compacted at ${index}, it ends at ${this.lastIndex()}`);
    this.#entries.splice(0, index - this.#base.index);
    this.#base = { index, term };
  }
}
