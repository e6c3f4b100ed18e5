/**
 * The part of the log that is not known to be on stable storage: the entries from `offset` on, which hide
 * stored ones from there, or a received snapshot with nothing behind it. What was handed out in a Ready is in
 * progress and is not handed out again. Entries are shared, never changed; lists handed out are copies.
 */

import { invariant } from '#errors/invariant.js';
import { type Entry, type LogIndex, logIndex, type SnapshotMeta, type Term } from '#raft/log/entry.js';

export class Unstable {
  #entries: Entry[] = [];
  /** Index that `#entries[0]` has, or would have. */
  #offset: LogIndex;
  /** Entries below it are handed out. */
  #entriesInProgress: LogIndex;
  #snapshot: SnapshotMeta | undefined;
  #snapshotInProgress = false;

  constructor(offset: LogIndex) {
    this.#offset = offset;
    this.#entriesInProgress = offset;
  }

  get offset(): LogIndex {
    return this.#offset;
  }

  /** The snapshot that is not stable yet, handed out or not. */
  get snapshot(): SnapshotMeta | undefined {
    return this.#snapshot;
  }

  /** Whether any entry is unstable, handed out or not. */
  get hasEntries(): boolean {
    return this.#entries.length > 0;
  }

  /** Last index, if it is decided here. */
  lastIndex(): LogIndex | undefined {
    return this.hasEntries ? logIndex(this.#offset + this.#entries.length - 1) : this.#snapshot?.index;
  }

  /** Term at `index`, if it is decided here. */
  term(index: LogIndex): Term | undefined {
    if (index < this.#offset) {
      return this.#snapshot?.index === index ? this.#snapshot.term : undefined;
    }
    return this.#entries[index - this.#offset]?.term;
  }

  /** Entries in [low, high), all of which must be here. */
  slice(low: LogIndex, high: LogIndex): readonly Entry[] {
    const last = this.#offset + this.#entries.length;
    invariant(
      low >= this.#offset && low <= high && high <= last,
      () => `unstable entries [${low}, ${high}) were asked for, but [${this.#offset}, ${last}) are there`,
    );
    return this.#entries.slice(low - this.#offset, high - this.#offset);
  }

  /** Whether there are entries not yet handed out. */
  get hasNextEntries(): boolean {
    return this.#entriesInProgress - this.#offset < this.#entries.length;
  }

  /** Entries not yet handed out. */
  nextEntries(): readonly Entry[] {
    return this.hasNextEntries ? this.#entries.slice(this.#entriesInProgress - this.#offset) : [];
  }

  /** The snapshot, if not yet handed out. */
  nextSnapshot(): SnapshotMeta | undefined {
    return this.#snapshotInProgress ? undefined : this.#snapshot;
  }

  /** All that is here now is handed out. */
  acceptInProgress(): void {
    this.#entriesInProgress = logIndex(this.#offset + this.#entries.length);
    this.#snapshotInProgress = this.#snapshot !== undefined;
  }

  /**
   * Entries up to (`index`, `term`) are stable. Ignored if that entry is not here any more: it was overwritten
   * while it was being written, and what replaced it is acknowledged on its own.
   */
  stableTo(index: LogIndex, term: Term): void {
    if (index < this.#offset || this.term(index) !== term) {
      return;
    }
    this.#entries = this.#entries.slice(index + 1 - this.#offset);
    this.#offset = logIndex(index + 1);
    this.#entriesInProgress = logIndex(Math.max(this.#entriesInProgress, this.#offset));
  }

  /** The snapshot at `index` is stable. Ignored if another one has come meanwhile. */
  stableSnapshotTo(index: LogIndex): void {
    if (this.#snapshot?.index === index) {
      this.#snapshot = undefined;
      this.#snapshotInProgress = false;
    }
  }

  /** Replaces everything by a snapshot. */
  restore(snapshot: SnapshotMeta): void {
    this.#offset = logIndex(snapshot.index + 1);
    this.#entriesInProgress = this.#offset;
    this.#entries = [];
    this.#snapshot = snapshot;
    this.#snapshotInProgress = false;
  }

  /** Appends contiguous entries, in place of whatever is at their first index and above. */
  truncateAndAppend(entries: readonly Entry[]): void {
    const [first] = entries;
    if (first === undefined) {
      return;
    }
    const last = this.#offset + this.#entries.length;
    invariant(first.index <= last, () => `an entry at ${first.index} would leave a gap after ${last - 1}`);
    if (first.index <= this.#offset) {
      // Everything unstable is replaced, and stored entries from there on are hidden until overwritten.
      this.#offset = first.index;
      this.#entriesInProgress = first.index;
      this.#entries = [...entries];
      return;
    }
    if (first.index < last) {
      this.#entries.length = first.index - this.#offset;
      this.#entriesInProgress = logIndex(Math.min(this.#entriesInProgress, first.index));
    }
    for (const entry of entries) {
      this.#entries.push(entry);
    }
  }
}
