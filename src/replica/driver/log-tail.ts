/**
 * The stable log in memory: every entry since the last compaction, as the core reads it back. The store is the
 * truth; this is its mirror, changed only after the store has answered, so that nothing is read here that a
 * crash could take back.
 */

import { InvariantError, invariant } from '#errors/invariant.js';
import {
  type ConfState,
  type Entry,
  type HardState,
  type LogIndex,
  logIndex,
  type SnapshotMeta,
} from '#raft/log/entry.js';
import { entryBytes } from '#raft/log/entry-size.js';
import type { LogReader } from '#raft/log/log-reader.js';
import type { AppliedMeta } from '#replica/ports/membership.js';

type Position = Pick<Entry, 'index' | 'term'>;

export type LogTailStart = {
  readonly hardState: HardState | undefined;
  readonly compacted: Position;
  readonly entries: readonly Entry[];
  readonly applied: AppliedMeta;
};

export class LogTail implements LogReader {
  readonly #initial: { readonly hardState: HardState | undefined; readonly confState: ConfState };
  #compacted: Position;
  /** `#entries[0]` has the index after `#compacted`. */
  #entries: Entry[];
  #persisted: AppliedMeta;

  constructor({ hardState, compacted, entries, applied }: LogTailStart) {
    this.#initial = { hardState, confState: applied.membership.confState };
    this.#compacted = compacted;
    this.#entries = [...entries];
    this.#persisted = applied;
  }

  initialState(): { readonly hardState: HardState | undefined; readonly confState: ConfState } {
    return this.#initial;
  }

  firstIndex(): LogIndex {
    return logIndex(this.#compacted.index + 1);
  }

  lastIndex(): LogIndex {
    return logIndex(this.#compacted.index + this.#entries.length);
  }

  term(index: LogIndex): Entry['term'] | undefined {
    return index === this.#compacted.index ? this.#compacted.term : this.#entries[this.#at(index)]?.term;
  }

  entries(low: LogIndex, high: LogIndex, bytesMax: number): readonly Entry[] {
    if (low < this.firstIndex() || high > this.lastIndex() + 1) {
      const range = `[${this.firstIndex()}, ${this.lastIndex()}]`;
      throw new InvariantError('broken', `entries [${low}, ${high}) were asked for, the log holds ${range}`);
    }
    const start = this.#at(low);
    const end = this.#at(high);
    let stop = start;
    for (let bytes = 0; stop < end; stop += 1) {
      const entry = this.#entries[stop];
      if (entry === undefined) break;
      bytes += entryBytes(entry);
      if (bytes > bytesMax && stop > start) break;
    }
    return this.#entries.slice(start, stop);
  }

  snapshot(): SnapshotMeta | undefined {
    const { index, term, membership } = this.#persisted;
    return index === 0 ? undefined : { index, term, confState: membership.confState };
  }

  /** The applied state that the store holds: what a snapshot opened now has at least. */
  get persisted(): AppliedMeta {
    return this.#persisted;
  }

  /** Entries that are now stored; they replace whatever was there from the first one's index on. */
  append(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    const at = this.#at(first.index);
    invariant(at >= 0 && at <= this.#entries.length, () => `entry ${first.index} leaves a gap in the log`);
    this.#entries.length = at;
    for (const entry of entries) this.#entries.push(entry);
  }

  /** The store now holds this applied state. */
  persist(meta: AppliedMeta): void {
    this.#persisted = meta;
  }

  /** A snapshot was installed: the log restarts after it. */
  install(meta: AppliedMeta): void {
    this.#compacted = { index: meta.index, term: meta.term };
    this.#entries = [];
    this.#persisted = meta;
  }

  /** Forgets entries up to and including `through`, which the store has forgotten or is about to. */
  compact(through: LogIndex): void {
    const term = this.term(through);
    invariant(term !== undefined && through <= this.#persisted.index, () => `the log can't be compacted at ${through}`);
    if (term === undefined) return;
    this.#entries.splice(0, through - this.#compacted.index);
    this.#compacted = { index: through, term };
  }

  #at(index: number): number {
    return index - this.#compacted.index - 1;
  }
}
