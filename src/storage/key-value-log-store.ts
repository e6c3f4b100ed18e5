/**
 * `LogStore` over a key-value database and an identity file, by interface: the write protocol.
 *
 * Every write is one synced batch with the head in it, so the database steps from one whole state to the next.
 * A changed term or vote is fsynced in the identity file *before* its batch; that file's durable sequence is only
 * ever one that the database has reached. Hence, after a crash between any two steps, the file may know a newer vote,
 * which is then taken from it, but never a higher sequence: a database behind the file's sequence has lost
 * writes, and that is no crash but amnesia. See docs/storage.md.
 */
import { type Entry, type LogIndex, type MemberId, noMember } from '#raft/log/entry.js';
import { decodeEntryRecord } from '#replica/driver/entry-record.js';
import type { Clock } from '#replica/ports/clock.js';
import {
  type LoadedLog,
  type LogStore,
  type LogWrite,
  type SnapshotSink,
  type StagedSnapshot,
  StoreError,
  type StoreIdentity,
  type StoreSpace,
} from '#replica/ports/log-store.js';
import type { AppliedMeta } from '#replica/ports/membership.js';
import type { StateRecord } from '#replica/ports/state-machine.js';
import { type StoreFact, sessionNoncesMax } from '#replica/ports/store-claim.js';
import { type CheckedStore, checkStore, readHead } from '#storage/checks/store-check.js';
import { corrupt, storeError } from '#storage/checks/store-failure.js';
import type { DiskSpace } from '#storage/files/disk-space.js';
import type { IdentityFile } from '#storage/files/identity-file.js';
import type { KeyValueBackend } from '#storage/key-value.js';
import { encodeHead, freshHead, type Head } from '#storage/records/head-record.js';
import { type Identity, IdentitySlots } from '#storage/records/identity-slots.js';
import { entryKey, entryRange, headKey, stateRange } from '#storage/records/keys.js';
import { SerialQueue } from '#storage/serial-queue.js';
import { StoredSnapshot } from '#storage/snapshots/snapshot-source.js';
import { SnapshotStaging, StagedGeneration } from '#storage/snapshots/snapshot-staging.js';
import { Sweeper } from '#storage/snapshots/sweeper.js';
import { type StoreContent, WriteDraft } from '#storage/write-draft.js';

/** What the store stands on. */
export type StoreDisk = {
  /** What messages call it: its directory. */
  readonly place: string;
  readonly identityFile: IdentityFile;
  /** `mayCreate`: an empty database may be made if there is none. */
  openBackend(mayCreate: boolean): Promise<KeyValueBackend>;
  readonly space: DiskSpace;
  readonly clock: Clock;
  /** 32 random hex digits, for a store that is made now. */
  newStoreId(): string;
  /** 8 random hex digits, for each opening. */
  newNonce(): string;
};

/** How long the identity file's durable sequence may lag behind the database. */
export const identityLagMs = 1000;

/** Writes, compactions, staged chunks and sweeps that may wait for each other. */
const waitingMax = 64;

/** @throws StoreError when the store is not whole, not ours, or not to be opened */
export async function openLogStore(disk: StoreDisk): Promise<LogStore> {
  try {
    const backend = await disk.openBackend((await disk.identityFile.read()) === undefined);
    try {
      // Read again now that the database is locked: the former holder may have written until just now.
      const known = await IdentitySlots.load(disk.identityFile, disk.place);
      const head = (await readHead(backend, disk.place)) ?? (await firstHead(backend, disk, known));
      const slots = known ?? (await firstIdentity(head, disk));
      const checked = await checkStore(backend, head, slots.identity, disk.place);
      return await KeyValueLogStore.start(disk, backend, slots, head, checked);
    } catch (error) {
      await disk.identityFile.close();
      await backend.close();
      throw error;
    }
  } catch (error) {
    throw storeError(disk.place, 'open', error);
  }
}

/** Only a database with nothing in it, of a member without identity, gets a first head. */
async function firstHead(backend: KeyValueBackend, disk: StoreDisk, slots: IdentitySlots | undefined): Promise<Head> {
  const everything = { from: new Uint8Array(0), to: Uint8Array.of(0xff) };
  if (slots !== undefined) throw corrupt(disk.place, 'its head record is missing');
  if ((await backend.keys(everything, 1)).length > 0) {
    throw corrupt(disk.place, 'its head record and its identity file are missing');
  }
  const head = freshHead(disk.newStoreId());
  await backend.write([{ type: 'put', key: headKey, value: encodeHead(head) }]);
  return head;
}

/** A crash while the store was made leaves a head without identity; later that can't happen. */
async function firstIdentity(head: Head, disk: StoreDisk): Promise<IdentitySlots> {
  if (head.generation !== 0) throw corrupt(disk.place, 'its identity file is missing, so what it voted for is unknown');
  return IdentitySlots.create(disk.identityFile, head.storeId, head.sequence);
}

class KeyValueLogStore implements LogStore {
  readonly loaded: LoadedLog;
  readonly peerFacts: ReadonlyMap<string, StoreFact>;
  readonly poisoned: Promise<StoreError>;
  readonly #disk: StoreDisk;
  readonly #backend: KeyValueBackend;
  readonly #slots: IdentitySlots;
  readonly #sweeper: Sweeper;
  readonly #queue = new SerialQueue(waitingMax);
  readonly #sources = new Set<StoredSnapshot>();
  #content: StoreContent;
  /** Facts that are not in the identity file yet. */
  #newFacts: ReadonlyMap<string, StoreFact> | undefined;
  #failure: StoreError | undefined;
  #resolvePoisoned: (error: StoreError) => void = () => {};
  #closed = false;
  #cancelTick: (() => void) | undefined;
  #ticking: Promise<void> = Promise.resolve();

  private constructor(
    disk: StoreDisk,
    backend: KeyValueBackend,
    slots: IdentitySlots,
    content: StoreContent,
    loaded: LoadedLog,
  ) {
    this.#disk = disk;
    this.#backend = backend;
    this.#slots = slots;
    this.#content = content;
    this.loaded = loaded;
    this.peerFacts = new Map(Object.entries(slots.identity.peers));
    this.poisoned = new Promise((resolve) => {
      this.#resolvePoisoned = resolve;
    });
    this.#sweeper = new Sweeper(
      backend,
      (operations) => this.#exclusively('delete what is out of use', () => backend.write(operations)),
      (error) => {
        this.#poison('delete what is out of use', error);
      },
      disk.clock,
    );
  }

  static async start(
    disk: StoreDisk,
    backend: KeyValueBackend,
    slots: IdentitySlots,
    head: Head,
    { loaded, logSums, recordSums }: CheckedStore,
  ): Promise<KeyValueLogStore> {
    const { hardState, applied } = loaded;
    const content = { head: { ...head, hardState }, logSums, recordSums, membership: applied?.membership };
    const store = new KeyValueLogStore(disk, backend, slots, content, loaded);
    // The file is current from here on, whichever slot was torn or behind, and counts this opening.
    const nonces = [disk.newNonce(), ...slots.identity.nonces].slice(0, sessionNoncesMax);
    await store.#updateSlots({ starts: slots.identity.starts + 1, nonces });
    await disk.space.check();
    store.#sweeper.add(entryRange(0, head.compacted.index + 1));
    store.#sweeper.add(stateRange(0, head.generation));
    store.#sweeper.add(stateRange(head.generation + 1, head.lastGeneration + 1));
    store.#scheduleTick();
    return store;
  }

  get identity(): StoreIdentity {
    const { storeId, clusterId, memberId, starts, nonces } = this.#slots.identity;
    return { storeId, clusterId, memberId, session: { starts, nonces } };
  }

  bootstrap(memberId: MemberId, meta: AppliedMeta): Promise<void> {
    return this.#exclusively('bootstrap', async () => {
      const draft = new WriteDraft(this.#content);
      draft.bootstrap(memberId, meta);
      // A log that begins late was committed up to there by its writers.
      if (meta.index > 0) draft.setHardState({ term: meta.term, vote: noMember, commit: meta.index });
      await this.#commit(draft);
      await this.#updateSlots();
    });
  }

  write(write: LogWrite): Promise<void> {
    // Taken at once, though the write may wait in the queue: the snapshot can't be given up any more.
    const install = write.install === undefined ? undefined : takeStaged(write.install);
    return this.#exclusively('write', async () => {
      if (install instanceof Error) throw install;
      const draft = this.#draft(write, install);
      const { hardState } = write;
      const { term, vote } = this.#slots.identity;
      if (hardState !== undefined && (hardState.term !== term || hardState.vote !== vote)) {
        const { sequence, lastIndex } = this.#content.head;
        await this.#slots.update({ term: hardState.term, vote: hardState.vote, sequence, lastIndex });
      }
      const joined = this.#content.head.generation === 0;
      await this.#commit(draft);
      if (joined) await this.#updateSlots();
    });
  }

  compact(through: LogIndex): Promise<void> {
    return this.#exclusively('compact', async () => {
      const { compacted, applied } = this.#content.head;
      if (through > applied.index) {
        throw new RangeError(`compaction up to ${through} is beyond the applied index ${applied.index}`);
      }
      // A follower that is sent a snapshot needs the entries after it next.
      const oldest = Math.min(through, ...[...this.#sources].map(({ meta }) => meta.index));
      if (oldest <= compacted.index) return;
      const last = await this.#entry(oldest);
      const draft = new WriteDraft(this.#content);
      draft.compact(last.index, last.term);
      await this.#commit(draft);
    });
  }

  async *records(): AsyncIterable<readonly StateRecord[]> {
    if (this.#content.head.generation === 0) return;
    const source = await this.openSnapshot();
    try {
      yield* source.batches();
    } finally {
      await source.close();
    }
  }

  openSnapshot(): Promise<StoredSnapshot> {
    // In the queue, so that no compaction passes a source that is being opened.
    return this.#exclusively('open a snapshot', async () => {
      const source = await StoredSnapshot.open(this.#backend, this.#disk.place, {
        // What is read here was checked at the start: it has changed since, and other records may have, too.
        damaged: (failure) => this.#poison('read a snapshot', failure),
        closed: () => this.#sources.delete(source),
      });
      this.#sources.add(source);
      return source;
    });
  }

  stageSnapshot(meta: AppliedMeta): Promise<SnapshotSink> {
    return this.#exclusively('stage a snapshot', async () => {
      const draft = new WriteDraft(this.#content);
      const generation = draft.newGeneration();
      await this.#commit(draft);
      return new SnapshotStaging(meta, generation, {
        write: (operations) => this.#exclusively('stage a snapshot', () => this.#backend.write(operations)),
        discard: (unused) => this.#sweeper.add(stateRange(unused, unused + 1)),
      });
    });
  }

  keepPeerFacts(facts: ReadonlyMap<string, StoreFact>): void {
    this.#newFacts = new Map(facts);
  }

  space(): StoreSpace {
    return this.#disk.space.space();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelTick?.();
    await this.#ticking;
    await this.#sweeper.stop();
    await this.#queue.idle();
    try {
      if (this.#failure === undefined) await this.#updateSlots();
    } finally {
      await this.#disk.identityFile.close();
      await Promise.all([...this.#sources].map((source) => source.close()));
      await this.#backend.close();
    }
  }

  #draft(write: LogWrite, install: StagedGeneration | undefined): WriteDraft {
    if (this.#content.head.generation === 0 && install === undefined) {
      throw new RangeError('a store that is not bootstrapped takes nothing but a snapshot');
    }
    const draft = new WriteDraft(this.#content);
    if (install !== undefined) draft.install(install);
    if (write.entries !== undefined) draft.append(write.entries);
    if (write.applied !== undefined) draft.apply(write.applied);
    if (write.hardState !== undefined) draft.setHardState(write.hardState);
    return draft;
  }

  async #commit(draft: WriteDraft): Promise<void> {
    const { operations, content, garbage } = draft.seal();
    await this.#backend.write(operations);
    this.#content = content;
    for (const range of garbage) this.#sweeper.add(range);
  }

  async #entry(index: number): Promise<Entry> {
    const record = await this.#backend.get(entryKey(index));
    if (record === undefined) throw corrupt(this.#disk.place, `log entry ${index} is missing`);
    return decodeEntryRecord(record);
  }

  /** Only from within the queue, or where nothing else runs: it must not overtake a vote. */
  #updateSlots(more: Partial<Identity> = {}): Promise<void> {
    const { head, membership } = this.#content;
    return this.#slots.update({
      ...(membership === undefined ? {} : { clusterId: membership.clusterId }),
      ...(head.memberId === undefined ? {} : { memberId: head.memberId }),
      ...(head.hardState === undefined ? {} : { term: head.hardState.term, vote: head.hardState.vote }),
      sequence: head.sequence,
      lastIndex: head.lastIndex,
      ...this.#takeNewFacts(),
      ...more,
    });
  }

  #takeNewFacts(): Pick<Partial<Identity>, 'peers'> {
    const facts = this.#newFacts;
    this.#newFacts = undefined;
    return facts === undefined ? {} : { peers: Object.fromEntries(facts) };
  }

  #scheduleTick(): void {
    if (this.#closed) return;
    this.#cancelTick = this.#disk.clock.after(identityLagMs, () => {
      this.#ticking = this.#tick();
    });
  }

  /** Once a second, beside the writes: what is durable goes into the identity file, and free space is looked at. */
  async #tick(): Promise<void> {
    try {
      const { sequence, lastIndex } = this.#content.head;
      const behind = sequence > this.#slots.identity.sequence || this.#newFacts !== undefined;
      if (this.#failure === undefined && behind) {
        await this.#slots.update({ sequence, lastIndex, ...this.#takeNewFacts() });
      }
      await this.#disk.space.check();
    } catch (error) {
      this.#poison('update the identity file', error);
    }
    this.#scheduleTick();
  }

  /** One at a time, in order; a failure poisons the store, because what reached the disk is unknown. */
  #exclusively<Result>(action: string, work: () => Promise<Result>): Promise<Result> {
    return this.#queue.run(async () => {
      this.#requireUsable();
      try {
        return await work();
      } catch (error) {
        throw this.#poison(action, error);
      }
    });
  }

  #poison(action: string, error: unknown): StoreError {
    const failure = storeError(this.#disk.place, action, error);
    this.#failure ??= failure;
    this.#resolvePoisoned(this.#failure);
    return failure;
  }

  #requireUsable(): void {
    if (this.#failure !== undefined) {
      throw new StoreError(
        'poisoned',
        `The store in ${this.#disk.place} takes nothing more after a failure, and has to be opened anew: ${this.#failure.message}`,
        { cause: this.#failure },
      );
    }
    if (this.#closed) throw new StoreError('io', `The store in ${this.#disk.place} is closed`);
  }
}

/** The snapshot to install; an error for one that is not this store's, or was installed or given up before. */
function takeStaged(install: StagedSnapshot): StagedGeneration | RangeError {
  if (!(install instanceof StagedGeneration)) return new RangeError('a snapshot that this store did not stage');
  if (install.take()) return install;
  return new RangeError(`the snapshot at ${install.meta.index} was installed or given up before`);
}
