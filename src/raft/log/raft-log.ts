/**
 * The whole log of one member: stable storage overlaid by the unstable part, and how far it is committed, handed
 * out for applying, and applied. Always: applied ≤ applying ≤ commit ≤ last index.
 */

import { invariant } from '#errors/invariant.js';
import { type Entry, type LogIndex, logIndex, type SnapshotMeta, type Term } from '#raft/log/entry.js';
import { entriesBytes, limitEntries } from '#raft/log/entry-size.js';
import type { LogReader } from '#raft/log/log-reader.js';
import { Unstable } from '#raft/log/unstable.js';

/** Where a log stands: two logs that agree here agree on everything before (Raft paper §5.3). */
export type LogPosition = { readonly index: LogIndex; readonly term: Term };

export class RaftLog {
  readonly #reader: LogReader;
  readonly unstable: Unstable;
  #commit: LogIndex;
  /** Entries up to it are handed out for applying. */
  #applying: LogIndex;
  #applied: LogIndex;
  /** Encoded bytes of entries handed out for applying and not yet acknowledged, and their limit. */
  #applyingBytes = 0;
  readonly #applyingBytesMax: number;
  /** Nothing more is handed out until an acknowledgement: the limit is reached, or would have been. */
  #applyingPaused = false;

  /** `commit` and `applied` as stored; what is compacted away counts as both. Throws `InvariantError` if they contradict the log. */
  constructor(reader: LogReader, start: { commit: LogIndex; applied: LogIndex; applyingBytesMax: number }) {
    this.#reader = reader;
    const lastIndex = reader.lastIndex();
    this.unstable = new Unstable(logIndex(lastIndex + 1));
    const compacted = reader.firstIndex() - 1;
    this.#commit = logIndex(Math.max(start.commit, compacted));
    this.#applied = logIndex(Math.max(start.applied, compacted));
    this.#applying = this.#applied;
    this.#applyingBytesMax = start.applyingBytesMax;
    invariant(
      this.#commit <= lastIndex,
      () => `the stored commit index ${this.#commit} is beyond the last stored entry ${lastIndex}`,
      'amnesia',
    );
    invariant(
      this.#applied <= this.#commit,
      () => `applied index ${this.#applied} is beyond the stored commit index ${this.#commit}`,
      'amnesia',
    );
  }

  get commit(): LogIndex {
    return this.#commit;
  }

  get applied(): LogIndex {
    return this.#applied;
  }

  get firstIndex(): LogIndex {
    const snapshot = this.unstable.snapshot;
    return snapshot === undefined ? this.#reader.firstIndex() : logIndex(snapshot.index + 1);
  }

  get lastIndex(): LogIndex {
    return this.unstable.lastIndex() ?? this.#reader.lastIndex();
  }

  /** The commit index with its term; undefined at the beginning of all logs. */
  get commitPosition(): LogPosition | undefined {
    const term = this.term(this.#commit);
    return this.#commit === 0 || term === undefined ? undefined : { index: this.#commit, term };
  }

  get lastPosition(): LogPosition {
    const index = this.lastIndex;
    const term = this.term(index);
    invariant(term !== undefined, () => `the term of the last entry ${index} is unknown`);
    return { index, term };
  }

  /** Term at `index`; undefined if compacted away or beyond the end. */
  term(index: LogIndex): Term | undefined {
    const unstable = this.unstable.term(index);
    if (unstable !== undefined) {
      return unstable;
    }
    if (index < this.firstIndex - 1 || index > this.lastIndex) {
      return undefined;
    }
    return this.#reader.term(index);
  }

  matches({ index, term }: LogPosition): boolean {
    return this.term(index) === term;
  }

  /** Whether a candidate's log is at least as complete as this one (Raft paper §5.4.1). */
  isUpToDate(candidate: LogPosition): boolean {
    const own = this.lastPosition;
    return candidate.term > own.term || (candidate.term === own.term && candidate.index >= own.index);
  }

  /** The newest snapshot a peer can be given. */
  snapshot(): SnapshotMeta | undefined {
    return this.#reader.snapshot();
  }

  /** Entries from `low` to the end, cut off at `bytesMax` encoded bytes, but at least one if there is any. */
  entriesFrom(low: LogIndex, bytesMax: number): readonly Entry[] {
    const high = logIndex(this.lastIndex + 1);
    return low >= high ? [] : this.slice(low, high, bytesMax);
  }

  /** Entries in [low, high), all of which must be there, cut off at `bytesMax` encoded bytes, but at least one. */
  slice(low: LogIndex, high: LogIndex, bytesMax: number): readonly Entry[] {
    invariant(
      low >= this.firstIndex && low <= high && high <= this.lastIndex + 1,
      () => `entries [${low}, ${high}) were asked for, but [${this.firstIndex}, ${this.lastIndex}] are there`,
    );
    if (low === high) {
      return [];
    }
    const offset = this.unstable.offset;
    if (low >= offset) {
      return limitEntries(this.unstable.slice(low, high), bytesMax);
    }
    const stored = this.#stored(low, logIndex(Math.min(high, offset)), bytesMax);
    if (high <= offset || stored.length < offset - low) {
      return stored;
    }
    const bytesLeft = bytesMax - entriesBytes(stored);
    if (bytesLeft <= 0) {
      return stored;
    }
    const unstable = limitEntries(this.unstable.slice(offset, high), bytesLeft);
    // The first one is given even if it is too large; here it is not the first of the result.
    return unstable.length === 1 && entriesBytes(unstable) > bytesLeft ? stored : [...stored, ...unstable];
  }

  #stored(low: LogIndex, high: LogIndex, bytesMax: number): readonly Entry[] {
    const stored = limitEntries(this.#reader.entries(low, high, bytesMax), bytesMax);
    const last = stored.at(-1)?.index;
    invariant(
      stored[0]?.index === low && last === low + stored.length - 1 && last < high,
      () => `storage gave entries ${stored[0]?.index}…${last} for [${low}, ${high})`,
    );
    return stored;
  }

  /** Appends entries, in place of whatever is at their first index and above. Never in place of committed ones. */
  append(entries: readonly Entry[]): void {
    const [first] = entries;
    if (first === undefined) {
      return;
    }
    invariant(
      first.index > this.#commit,
      () => `entry ${first.index} would replace a committed one (commit index ${this.#commit})`,
      'committed-conflict',
    );
    this.unstable.truncateAndAppend(entries);
  }

  /** Throws `InvariantError` where a leader has another entry than one that is committed here. */
  expectCommitted(previous: LogPosition, entries: readonly Entry[]): void {
    if (previous.index > this.#commit) return;
    this.#expectSame(previous);
    for (const entry of entries) {
      if (entry.index > this.#commit) return;
      this.#expectSame(entry);
    }
  }

  #expectSame({ index, term }: LogPosition): void {
    const own = this.term(index);
    invariant(
      own === undefined || own === term,
      () =>
        `entry ${index} is of term ${own} here and committed (commit index ${this.#commit}), and the leader has one of term ${term} there`,
      'committed-conflict',
    );
  }

  /**
   * Takes a leader's entries after `previous`, which must match: keeps those that are here already, and from the
   * first new or conflicting one on replaces what is here.
   */
  appendAfter(previous: LogPosition, entries: readonly Entry[]): void {
    // Entries that simply extend the log, the usual case, need no comparison.
    if (previous.index === this.lastIndex) {
      this.append(entries);
      return;
    }
    const fresh = entries.findIndex((entry) => !this.matches(entry));
    if (fresh >= 0) {
      this.append(fresh === 0 ? entries : entries.slice(fresh));
    }
  }

  /**
   * The largest index up to `from` whose term here is at most `term`, and its term: where the logs may meet. An
   * index of unknown term ends the search, with term 0. Terms never fall along a log, so this halves the range.
   */
  lastIndexAtMostTerm(from: LogIndex, term: Term): { readonly index: LogIndex; readonly term: Term | undefined } {
    if (this.term(from) === undefined) {
      return { index: from, term: undefined };
    }
    let low = Math.max(this.firstIndex - 2, -1);
    let high: number = from;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      const here = this.term(logIndex(middle));
      if (here === undefined || here <= term) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    const index = logIndex(Math.max(low, 0));
    return { index, term: this.term(index) };
  }

  /** Entries up to `index` are committed. Never goes back. */
  commitTo(index: LogIndex): void {
    if (index <= this.#commit) {
      return;
    }
    invariant(
      index <= this.lastIndex,
      () => `entries up to ${index} are committed, but the log ends at ${this.lastIndex}`,
      'amnesia',
    );
    this.#commit = index;
  }

  /** Replaces the log by a received snapshot, which counts as committed. */
  restore(snapshot: SnapshotMeta): void {
    this.#commit = snapshot.index;
    this.unstable.restore(snapshot);
  }

  /** Whether `nextCommitted` would give anything. */
  hasNextCommitted(allowUnstable: boolean): boolean {
    return (
      !this.#applyingPaused &&
      this.unstable.snapshot === undefined &&
      this.#applying < this.#maxAppliable(allowUnstable)
    );
  }

  /** Committed entries not yet handed out, within the byte limit. Unstable ones only if `allowUnstable`. */
  nextCommitted(allowUnstable: boolean): readonly Entry[] {
    if (!this.hasNextCommitted(allowUnstable)) {
      return [];
    }
    const high = logIndex(this.#maxAppliable(allowUnstable) + 1);
    const bytesMax = this.#applyingBytesMax - this.#applyingBytes;
    return this.slice(logIndex(this.#applying + 1), high, bytesMax);
  }

  #maxAppliable(allowUnstable: boolean): LogIndex {
    return allowUnstable ? this.#commit : logIndex(Math.min(this.#commit, this.unstable.offset - 1));
  }

  /** What `nextCommitted` gave is handed out. */
  acceptApplying(entries: readonly Entry[], allowUnstable: boolean): void {
    const last = entries.at(-1);
    if (last === undefined) {
      return;
    }
    this.#applying = last.index;
    this.#applyingBytes += entriesBytes(entries);
    const cutShort = this.#applying < this.#maxAppliable(allowUnstable);
    this.#applyingPaused = this.#applyingBytes >= this.#applyingBytesMax || cutShort;
  }

  /**
   * Everything up to `index` is applied, among it handed-out entries of `bytes` encoded bytes. `index` may lie
   * below what is applied already: a snapshot can overtake the entries before it.
   */
  appliedTo(index: LogIndex, bytes: number): void {
    invariant(index <= this.#commit, () => `entry ${index} is applied, but only ${this.#commit} is committed`);
    this.#applied = logIndex(Math.max(this.#applied, index));
    this.#applying = logIndex(Math.max(this.#applying, index));
    this.#applyingBytes = Math.max(0, this.#applyingBytes - bytes);
    this.#applyingPaused = this.#applyingBytes >= this.#applyingBytesMax;
  }

  /** Whether any entry in (applied, commit] satisfies `test`. Reads at most `pageBytes` at a time. */
  someUnapplied(test: (entry: Entry) => boolean, pageBytes: number): boolean {
    return this.#some(this.#applied, this.#commit, test, pageBytes);
  }

  /** The same in (commit, last]. */
  someUncommitted(last: LogIndex, test: (entry: Entry) => boolean, pageBytes: number): boolean {
    return this.#some(this.#commit, last, test, pageBytes);
  }

  #some(after: LogIndex, last: LogIndex, test: (entry: Entry) => boolean, pageBytes: number): boolean {
    let low = Math.max(after + 1, this.firstIndex);
    while (low <= last) {
      const page = this.slice(logIndex(low), logIndex(last + 1), pageBytes);
      if (page.some(test)) {
        return true;
      }
      low += page.length;
    }
    return false;
  }
}
