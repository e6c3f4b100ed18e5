/**
 * A log store in memory, in two halves: the disk, which survives a crash and holds only what was synced, and the
 * store, a process's handle on it, which dies with the process. A write takes time, may hang, and may fail with its
 * data there or not; a failure poisons the store.
 */

import { invariant } from '#errors/invariant.js';
import type { Entry, HardState, MemberId } from '#raft/log/entry.js';
import { logIndex, noMember, term } from '#raft/log/entry.js';
import {
  type LoadedLog,
  type LogStore,
  type LogWrite,
  type SnapshotSink,
  type SnapshotSource,
  type StagedSnapshot,
  StoreError,
  type StoreIdentity,
  type StoreSpace,
} from '#replica/ports/log-store.js';
import type { AppliedMeta } from '#replica/ports/membership.js';
import type { StateRecord } from '#replica/ports/state-machine.js';
import type { StoreFact, StoreSession } from '#replica/ports/store-claim.js';

/** What a disk does with a write. */
export type WriteFate =
  | { readonly kind: 'ok'; readonly afterMs: number }
  /** Answers only when `MemoryDisk.release` is called. */
  | { readonly kind: 'hang' }
  | { readonly kind: 'fail'; readonly afterMs: number; readonly stored: boolean };

type Records = ReadonlyMap<string, StateRecord>;
type Content = {
  readonly hardState: HardState | undefined;
  readonly compacted: { readonly index: Entry['index']; readonly term: Entry['term'] };
  readonly entries: readonly Entry[];
  readonly applied: AppliedMeta | undefined;
  readonly records: Records;
};

const mebibyte = 1024 * 1024;
/** How a disk says that there is room on it. */
export const roomy: StoreSpace = { freeBytes: 1000 * mebibyte, neededBytes: 64 * mebibyte, problem: undefined };

/** How a disk says that `freeBytes` are not enough. */
export function scarce(freeBytes: number): StoreSpace {
  const problem = `${freeBytes / mebibyte} MiB free; 80 MiB are needed`;
  return { freeBytes, neededBytes: 80 * mebibyte, problem };
}

/** What is on stable storage, and how the disk behaves. */
export class MemoryLogDisk {
  readonly storeId: string;
  clusterId: string | undefined;
  memberId: MemberId | undefined;
  /** How often it was opened. */
  starts = 0;
  nonces: readonly string[] = [];
  peerFacts: ReadonlyMap<string, StoreFact> = new Map();
  content: Content = {
    hardState: undefined,
    compacted: { index: logIndex(0), term: term(0) },
    entries: [],
    applied: undefined,
    records: new Map(),
  };
  /** Decides about each write. */
  fate: (write: LogWrite) => WriteFate = () => ({ kind: 'ok', afterMs: 1 });
  /** Staging a chunk of a snapshot fails while it is set. */
  failsStaging = false;
  space: StoreSpace = roomy;
  /** Every write that became durable, in order. */
  readonly writes: LogWrite[] = [];
  #held: (() => void)[] = [];

  constructor(storeId: string) {
    this.storeId = storeId;
  }

  /** For each opening another one. */
  nonce: () => number = countFrom(1);

  /** What a backup of this disk holds. */
  copy(): MemoryLogDisk {
    const copy = new MemoryLogDisk(this.storeId);
    const { clusterId, memberId, starts, nonces, peerFacts, content, fate, nonce } = this;
    return Object.assign(copy, { clusterId, memberId, starts, nonces, peerFacts, content, fate, nonce });
  }

  /** Completes the writes that hang. */
  release(): void {
    for (const done of this.#held.splice(0)) done();
  }

  hold(done: () => void): void {
    this.#held.push(done);
  }
}

export class MemoryLogStore implements LogStore {
  readonly loaded: LoadedLog;
  readonly peerFacts: ReadonlyMap<string, StoreFact>;
  readonly poisoned: Promise<StoreError>;
  readonly #disk: MemoryLogDisk;
  readonly #session: StoreSession;
  readonly #after: (delayMs: number, run: () => void) => void;
  readonly #staged = new Map<StagedSnapshot, Records>();
  #failure: StoreError | undefined;
  #resolvePoisoned: (error: StoreError) => void = () => {};
  #inFlight = false;
  openSnapshots = 0;

  /** `after` drops what is due once the process is dead. */
  constructor(disk: MemoryLogDisk, after: (delayMs: number, run: () => void) => void) {
    const { content } = disk;
    this.#disk = disk;
    this.#after = after;
    disk.starts += 1;
    // Of two copies of a disk that are opened, each has a nonce of its own.
    disk.nonces = [disk.nonce().toString(16).padStart(8, '0'), ...disk.nonces];
    this.#session = { starts: disk.starts, nonces: disk.nonces };
    this.peerFacts = disk.peerFacts;
    this.poisoned = new Promise((resolve) => {
      this.#resolvePoisoned = resolve;
    });
    this.loaded = content;
  }

  get identity(): StoreIdentity {
    const { storeId, clusterId, memberId } = this.#disk;
    return { storeId, clusterId, memberId, session: this.#session };
  }

  async bootstrap(memberId: MemberId, meta: AppliedMeta): Promise<void> {
    await this.#sync({}, () => {
      this.#disk.memberId = memberId;
      this.#disk.clusterId = meta.membership.clusterId;
      const compacted = { index: meta.index, term: meta.term };
      const hardState = meta.index === 0 ? undefined : { term: meta.term, vote: noMember, commit: meta.index };
      this.#disk.content = { hardState, compacted, entries: [], applied: meta, records: new Map() };
    });
  }

  async write(write: LogWrite): Promise<void> {
    await this.#sync(write, () => {
      this.#disk.content = written(this.#disk.content, write, this.#staged);
      this.#disk.writes.push(write);
      if (write.install !== undefined) this.#staged.delete(write.install);
    });
  }

  async compact(through: Entry['index']): Promise<void> {
    await this.#sync({}, () => {
      const { content } = this.#disk;
      const { applied, entries, compacted } = content;
      invariant(applied !== undefined && through <= applied.index, () => `compaction at ${through} passes the state`);
      const last = entries[through - compacted.index - 1];
      invariant(last !== undefined, () => `nothing to compact at ${through}`);
      if (last === undefined) return;
      const kept = entries.slice(through - compacted.index);
      this.#disk.content = { ...content, entries: kept, compacted: { index: through, term: last.term } };
    });
  }

  async *records(): AsyncIterable<readonly StateRecord[]> {
    yield* chunked(this.#disk.content.records, 1024);
  }

  openSnapshot(): Promise<SnapshotSource> {
    const { applied, records } = this.#disk.content;
    if (applied === undefined) return Promise.reject(new StoreError('io', 'there is no state yet'));
    this.openSnapshots += 1;
    return Promise.resolve({
      meta: applied,
      chunks: (chunkBytesMax: number) => chunked(records, chunkBytesMax),
      close: () => {
        this.openSnapshots -= 1;
        return Promise.resolve();
      },
    });
  }

  stageSnapshot(meta: AppliedMeta): Promise<SnapshotSink> {
    const records = new Map<string, StateRecord>();
    const staged: StagedSnapshot = { meta };
    return Promise.resolve({
      append: async (batch: readonly StateRecord[]) => {
        if (this.#failure !== undefined) throw poisoned();
        for (const record of batch) records.set(keyText(record.key), record);
        await new Promise<void>((resolve) => this.#after(1, resolve));
        if (this.#disk.failsStaging) throw this.#poison();
      },
      finish: () => {
        this.#staged.set(staged, records);
        return Promise.resolve(staged);
      },
      abort: () => {
        this.#staged.delete(staged);
        return Promise.resolve();
      },
    });
  }

  keepPeerFacts(facts: ReadonlyMap<string, StoreFact>): void {
    this.#disk.peerFacts = new Map(facts);
  }

  space(): StoreSpace {
    return this.#disk.space;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #sync(write: LogWrite, store: () => void): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(poisoned());
    invariant(!this.#inFlight, () => 'a write was started while another was in flight');
    this.#inFlight = true;
    const fate = this.#disk.fate(write);
    return new Promise((resolve, reject) => {
      const done = () => {
        this.#inFlight = false;
        store();
        resolve();
      };
      switch (fate.kind) {
        case 'ok':
          this.#after(fate.afterMs, done);
          return;
        case 'hang':
          this.#disk.hold(() => this.#after(0, done));
          return;
        case 'fail':
          this.#after(fate.afterMs, () => {
            if (fate.stored) store();
            reject(this.#poison());
          });
      }
    });
  }

  #poison(): StoreError {
    const failure = new StoreError('io', 'the disk failed');
    this.#failure ??= failure;
    this.#resolvePoisoned(this.#failure);
    return failure;
  }
}

function countFrom(first: number): () => number {
  let next = first;
  return () => next++;
}

function poisoned(): StoreError {
  return new StoreError('poisoned', 'an earlier write failed');
}

function written(content: Content, write: LogWrite, staged: ReadonlyMap<StagedSnapshot, Records>): Content {
  const hardState = write.hardState ?? content.hardState;
  if (write.install !== undefined) {
    const records = staged.get(write.install);
    const { meta } = write.install;
    invariant(records !== undefined, () => `the snapshot at ${meta.index} was not staged`);
    invariant((hardState?.commit ?? 0) >= meta.index, () => `a snapshot at ${meta.index} beyond the commit index`);
    const compacted = { index: meta.index, term: meta.term };
    return { hardState, compacted, entries: write.entries ?? [], applied: meta, records: records ?? new Map() };
  }
  const entries = replaced(content, write.entries ?? []);
  if (write.applied === undefined) return { ...content, hardState, entries };
  const { meta, changes } = write.applied;
  invariant((hardState?.commit ?? 0) >= meta.index, () => `applied ${meta.index} stored beyond the commit index`);
  const last = content.compacted.index + entries.length;
  invariant(last >= meta.index, () => `applied ${meta.index} stored beyond the log, which ends at ${last}`);
  const records = new Map(content.records);
  for (const { key, value } of changes) {
    if (value === undefined) records.delete(keyText(key));
    else records.set(keyText(key), { key, value });
  }
  return { ...content, hardState, entries, applied: meta, records };
}

function replaced({ compacted, entries }: Content, added: readonly Entry[]): readonly Entry[] {
  const [first] = added;
  if (first === undefined) return entries;
  const keep = first.index - compacted.index - 1;
  invariant(keep >= 0 && keep <= entries.length, () => `entry ${first.index} leaves a gap`);
  for (const [at, { index }] of added.entries()) invariant(index === first.index + at, () => `gap at ${index}`);
  return [...entries.slice(0, keep), ...added];
}

async function* chunked(records: Records, chunkBytesMax: number): AsyncIterable<readonly StateRecord[]> {
  let chunk: StateRecord[] = [];
  let bytes = 0;
  for (const [, record] of [...records].sort(([one], [other]) => (one < other ? -1 : 1))) {
    const size = record.key.byteLength + record.value.byteLength;
    if (chunk.length > 0 && bytes + size > chunkBytesMax) {
      yield chunk;
      chunk = [];
      bytes = 0;
    }
    chunk.push(record);
    bytes += size;
  }
  if (chunk.length > 0) yield chunk;
}

function keyText(key: Uint8Array): string {
  return Buffer.from(key).toString('hex');
}
