/**
 * The durable half of a replica: log, hard state, applied records and identity, by interface. One write is in
 * flight at a time, and each is one synced atomic batch. `storage/` implements it on LevelDB; the simulator
 * implements it on a disk that fails on purpose.
 */
import type { Entry, HardState, LogIndex, MemberId } from '#raft/log/entry.js';
import type { AppliedMeta } from '#replica/ports/membership.js';
import type { RecordChange, StateRecord } from '#replica/ports/state-machine.js';
import type { StoreFact, StoreSession } from '#replica/ports/store-claim.js';

export type StoreIdentity = {
  /** Random, made with the store: 32 hex digits. */
  readonly storeId: string;
  /** Known once the member is bootstrapped or has joined. */
  readonly clusterId: string | undefined;
  readonly memberId: MemberId | undefined;
  /** This opening of the store; counted on disk before the store is handed out. */
  readonly session: StoreSession;
};

/** What the store held when it was opened, checked for contiguity and sums. */
export type LoadedLog = {
  readonly hardState: HardState | undefined;
  /** Every entry after the compaction point, ascending without a gap. */
  readonly entries: readonly Entry[];
  /** Position before `entries[0]`; the log is compacted up to and including it. */
  readonly compacted: { readonly index: LogIndex; readonly term: Entry['term'] };
  /** undefined: the store is empty, the member is not bootstrapped. */
  readonly applied: AppliedMeta | undefined;
};

export type LogWrite = {
  readonly hardState?: HardState | undefined;
  /** Contiguous; whatever is stored from `entries[0].index` on is replaced, in the same batch. */
  readonly entries?: readonly Entry[];
  /** Records changed since the last write that carried any, up to and including `meta.index`. Its commit must be covered by a hard state with commit ≥ meta.index, here or earlier. */
  readonly applied?: { readonly meta: AppliedMeta; readonly changes: readonly RecordChange[] };
  /** A fully received snapshot: becomes the state, and the log restarts after it (with `entries`), in the same batch. */
  readonly install?: StagedSnapshot;
};

/** A consistent view of the applied state, read while writes go on. Close it: it pins the log and disk space. */
export type SnapshotSource = {
  readonly meta: AppliedMeta;
  /** Ascending by key, in chunks of at most `chunkBytesMax` of keys and values (a single larger record alone). */
  chunks(chunkBytesMax: number): AsyncIterable<readonly StateRecord[]>;
  close(): Promise<void>;
};

/** A snapshot being received, apart from the live state until it is installed. */
export type SnapshotSink = {
  append(records: readonly StateRecord[]): Promise<void>;
  /** All chunks are in and durable. */
  finish(): Promise<StagedSnapshot>;
  /** Deletes what was received, whole or not: the snapshot is not wanted. Nothing once it is installed, or about to be. */
  abort(): Promise<void>;
};

/** Handed to `write({ install })`, by the store that staged it. */
export type StagedSnapshot = {
  readonly meta: AppliedMeta;
};

/** Free space on the store's file system, as of its last look. */
export type StoreSpace = {
  /** undefined: the system does not say. */
  readonly freeBytes: number | undefined;
  /** So much has to be free for all to be well. */
  readonly neededBytes: number;
  /** Why proposals should be refused, and the way out; undefined: all is well. */
  readonly problem: string | undefined;
};

export type LogStore = {
  readonly identity: StoreIdentity;
  readonly loaded: LoadedLog;
  /** Facts about peers' stores, by store id, as they were kept when the store was opened. */
  readonly peerFacts: ReadonlyMap<string, StoreFact>;
  /**
   * Resolves when the store is poisoned, whatever it was doing: also for work without a waiting caller (deleting, the
   * identity file) or with another caller (a snapshot being received). The member has to end then.
   */
  readonly poisoned: Promise<StoreError>;
  /** Keeps these facts in place of the former ones. They are durable a second later, and after `close`. */
  keepPeerFacts(facts: ReadonlyMap<string, StoreFact>): void;
  /**
   * First life of a member: applied state without records, and identity, in one synced batch. With an index above 0 (a
   * founder) it also stores the hard state { term, no vote, commit = index } of `meta`; index 0 is a member that joins,
   * whose configuration is empty while `members` are those to talk to. `loaded` does not change.
   */
  bootstrap(memberId: MemberId, meta: AppliedMeta): Promise<void>;
  /**
   * Makes `write` durable. Rejects with `StoreError`; after any rejection the store is poisoned: the outcome is
   * unknown and every later call rejects. A changed term or vote is durable in the identity file, too, when
   * this resolves. The caller waits for one write before it starts the next.
   */
  write(write: LogWrite): Promise<void>;
  /** Forgets entries up to and including `through` (≤ the persisted applied index). May delete lazily. */
  compact(through: LogIndex): Promise<void>;
  /** The applied records as stored, ascending by key, in batches. */
  records(): AsyncIterable<readonly StateRecord[]>;
  openSnapshot(): Promise<SnapshotSource>;
  stageSnapshot(meta: AppliedMeta): Promise<SnapshotSink>;
  /** Below its floor of free space, and until there is clearly more, the store asks that proposals be refused. */
  space(): StoreSpace;
  close(): Promise<void>;
};

/** Closed set: `full` disk, `corrupt` content, `amnesia` (durable promises are missing), `poisoned` after an earlier failure, `locked` by another process, `io` anything else. */
export type StoreErrorCode = 'full' | 'corrupt' | 'amnesia' | 'poisoned' | 'locked' | 'io';

/** `message` says what happened, where, and the way out. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
