/**
 * The storage thread of a core: takes its `storage-append` messages in order and makes them durable, one synced batch
 * in flight at a time. What arrives meanwhile becomes the next batch (group commit). The responses of a message are
 * handed back only after everything up to it is durable.
 *
 * Two things never cause a write of their own while others may follow soon: a commit index that rose, and records that
 * commands have changed. They ride in the next batch; `flush` writes them when the log is idle.
 */

import { invariant } from '#errors/invariant.js';
import type { Entry, HardState, LogIndex } from '#raft/log/entry.js';
import { entryBytes } from '#raft/log/entry-size.js';
import type { Message, StorageAppendMessage } from '#raft/message.js';
import type { AppliedState } from '#replica/driver/applied-state.js';
import type { Clock } from '#replica/ports/clock.js';
import type { LogStore, LogWrite, StagedSnapshot } from '#replica/ports/log-store.js';

export type StorageWriterLimits = {
  /** Entries in one batch. What queues beyond waits for the batch after. */
  readonly entriesPerWriteMax: number;
  /** Bytes of entries in one batch; a single larger entry is written alone. */
  readonly bytesPerWriteMax: number;
  /** Messages of the core that wait for the disk; a member takes no more appends from its leader then. */
  readonly queuedMax: number;
};

/** A write that is over: the responses of its messages may go out. A snapshot in it is the machine's state, too. */
export type DurableWrite = { readonly write: LogWrite; readonly responses: readonly Message[] };

export type StorageWriterParts = {
  readonly store: Pick<LogStore, 'write' | 'compact' | 'records'>;
  readonly clock: Clock;
  readonly applied: Pick<AppliedState<unknown>, 'take' | 'restore'>;
  readonly limits: StorageWriterLimits;
  /** As the store was opened with it. */
  readonly stored: HardState | undefined;
};

type Work = {
  readonly hardState: HardState | undefined;
  readonly entries: readonly Entry[];
  readonly install: StagedSnapshot | undefined;
  readonly responses: readonly Message[];
  /** Entries, a snapshot, or another term or vote: the responses promise them. */
  readonly promises: boolean;
};

type Batch = { readonly write: LogWrite; readonly works: readonly Work[] };

export class StorageWriter {
  readonly #store: StorageWriterParts['store'];
  readonly #clock: Clock;
  readonly #applied: StorageWriterParts['applied'];
  readonly #limits: StorageWriterLimits;
  readonly #queue: Work[] = [];
  /** Of the newest message queued, and of the newest one taken into a batch. */
  #queued: HardState | undefined;
  #taken: HardState | undefined;
  #written: HardState | undefined;
  #flushWanted = false;
  #compactThrough: LogIndex | undefined;
  #busy = false;
  #diskSinceMs: number | undefined;
  #stopped = false;
  #writes = 0;
  #entriesWritten = 0;

  constructor({ store, clock, applied, limits, stored }: StorageWriterParts) {
    this.#store = store;
    this.#clock = clock;
    this.#applied = applied;
    this.#limits = limits;
    this.#queued = stored;
    this.#taken = stored;
    this.#written = stored;
  }

  /** Since when the disk has been at work on the batch in flight, on the replica's clock; undefined when it is not. */
  get diskSinceMs(): number | undefined {
    return this.#diskSinceMs;
  }

  /** A batch is in flight: on the disk, or being made known. */
  get busy(): boolean {
    return this.#busy;
  }

  /** As much waits as may: the disk hangs, or is slower than what comes. */
  get full(): boolean {
    return this.#queue.length >= this.#limits.queuedMax;
  }

  get writes(): number {
    return this.#writes;
  }

  get entriesWritten(): number {
    return this.#entriesWritten;
  }

  /** Queues one message of the core; `begin` starts the write. `install` belongs to its snapshot. */
  add({ hardState, entries, responses }: StorageAppendMessage, install: StagedSnapshot | undefined): void {
    const promised =
      hardState !== undefined && (hardState.term !== this.#queued?.term || hardState.vote !== this.#queued?.vote);
    const promises = entries.length > 0 || install !== undefined || promised;
    this.#queued = hardState ?? this.#queued;
    this.#queue.push({ hardState, entries, install, responses, promises });
  }

  /** The next batch has the commit index and the applied changes, also where there is nothing else to write. */
  flush(): void {
    this.#flushWanted = true;
  }

  /** The next batch has the store forget entries up to and including `through`. */
  compact(through: LogIndex): void {
    this.#compactThrough = through;
  }

  /** Takes the responses at the head of the queue that need no new write. None while a batch is in flight. */
  release(): readonly Message[] {
    if (this.#busy || this.#stopped) return [];
    const released: Message[] = [];
    for (let work = this.#queue[0]; work !== undefined && !work.promises; work = this.#queue[0]) {
      this.#queue.shift();
      this.#taken = work.hardState ?? this.#taken;
      for (const response of work.responses) released.push(response);
    }
    return released;
  }

  /**
   * Starts the next batch; undefined: one is in flight, or there is nothing to do. Resolves when it is over, with what
   * is durable now; undefined: entries were forgotten. It rejects when its outcome is unknown: nothing is written then
   * any more.
   */
  begin(): Promise<DurableWrite | undefined> | undefined {
    if (this.#busy || this.#stopped) return undefined;
    if (this.#compactThrough !== undefined) {
      // Before the next batch: where one follows upon the other there would be no time for it, and the log only grew.
      const through = this.#compactThrough;
      this.#compactThrough = undefined;
      return this.#track(this.#store.compact(through).then(() => undefined));
    }
    const batch = this.#nextBatch();
    return batch === undefined ? undefined : this.#track(this.#write(batch));
  }

  /** Whether a commit index is known that the store has not heard of yet. */
  get commitLags(): boolean {
    return this.#taken !== this.#written;
  }

  /** No more batches after the one in flight, and no more responses. */
  stop(): void {
    this.#stopped = true;
  }

  #nextBatch(): Batch | undefined {
    if (this.#queue.length === 0 && !this.#flushWanted) return undefined;
    const works = this.#takeWorks();
    const install = works[0]?.install;
    const entries = works.length === 1 ? (works[0]?.entries ?? []) : mergeEntries(works);
    const applied =
      install === undefined && this.#taken !== undefined ? this.#applied.take(this.#taken.commit) : undefined;
    const hardState = this.#taken === this.#written ? undefined : this.#taken;
    this.#flushWanted = false;
    if (works.length === 0 && applied === undefined && hardState === undefined) return undefined;
    const write: LogWrite = {
      hardState,
      entries,
      ...(applied === undefined ? {} : { applied }),
      ...(install === undefined ? {} : { install }),
    };
    return { write, works };
  }

  /** The longest run of queued work that fits one batch. A snapshot is a batch of its own. */
  #takeWorks(): readonly Work[] {
    let count = 0;
    let entries = 0;
    let bytes = 0;
    for (const work of this.#queue) {
      const alone = work.install !== undefined;
      if (count > 0 && alone) break;
      entries += work.entries.length;
      for (const entry of work.entries) bytes += entryBytes(entry);
      const over = entries > this.#limits.entriesPerWriteMax || bytes > this.#limits.bytesPerWriteMax;
      if (count > 0 && over) break;
      count += 1;
      this.#taken = work.hardState ?? this.#taken;
      if (alone) break;
    }
    return this.#queue.splice(0, count);
  }

  async #write({ write, works }: Batch): Promise<DurableWrite> {
    await this.#store.write(write);
    // To load the state of a snapshot takes a while, which is not the disk's.
    this.#diskSinceMs = undefined;
    this.#writes += 1;
    this.#entriesWritten += write.entries?.length ?? 0;
    this.#written = write.hardState ?? this.#written;
    if (write.install !== undefined) {
      await this.#applied.restore(this.#store.records(), write.install.meta);
      // The log begins anew after a snapshot: there is nothing to forget of the former one.
      this.#compactThrough = undefined;
    }
    return { write, responses: works.flatMap(({ responses }) => responses) };
  }

  /** The outcome of a failed operation is unknown: it stays in flight, so that nothing is written after it. */
  #track(operation: Promise<DurableWrite | undefined>): Promise<DurableWrite | undefined> {
    this.#busy = true;
    this.#diskSinceMs = this.#clock.now();
    return operation.then((durable) => {
      this.#busy = false;
      this.#diskSinceMs = undefined;
      return durable;
    });
  }
}

/** Joins the entries of several messages: what a later one replaces is never written. */
function mergeEntries(works: readonly Work[]): readonly Entry[] {
  const merged: Entry[] = [];
  for (const { entries } of works) {
    const [first] = entries;
    const [base] = merged;
    if (first === undefined) continue;
    if (base !== undefined) {
      const keep = first.index - base.index;
      invariant(keep <= merged.length, () => `entry ${first.index} does not follow on what is queued`);
      merged.length = Math.max(0, keep);
    }
    for (const entry of entries) merged.push(entry);
  }
  return merged;
}
