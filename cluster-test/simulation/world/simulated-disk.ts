/**
 * A disk that fails on purpose, under the real log store: a table of records that survives crashes, and handles that
 * die with their process. A batch is atomic, as LevelDB's are. What is in flight at a crash is lost or kept, a slot of
 * the identity file torn, too. After a write that failed, a handle that is used on answers as if all were well, and
 * what it wrote is gone at the next opening: LevelDB does just that.
 */
import type { SimulatedProcess, World } from '#cluster-test/simulation/world/world.js';
import type { StoreSpace } from '#replica/ports/log-store.js';
import type { SeededRandom } from '#replica/testing/seeded-random.js';
import { readUint64 } from '#replica/uint64.js';
import type { IdentityFile, SlotNumber } from '#storage/files/identity-file.js';
import type { KeyValueBackend, KeyValueOperation, KeyValueSnapshot } from '#storage/key-value.js';
import type { StoreDisk } from '#storage/key-value-log-store.js';
import { decodeHead } from '#storage/records/head-record.js';
import { applyBatch, type Table, TableView, textOfKey } from '#storage/testing/key-value-table.js';
import { copySlots } from '#storage/testing/memory-disk.js';

/** What the disk does with one write. `stored`: the data are there although the write failed. */
export type WriteFate =
  | { readonly kind: 'ok'; readonly afterMs: number }
  | { readonly kind: 'fail'; readonly afterMs: number; readonly code: 'EIO' | 'ENOSPC'; readonly stored: boolean }
  /** The process dies at this step. */
  | { readonly kind: 'crash'; readonly afterMs: number; readonly stored: boolean };

export type Slots = readonly [Uint8Array, Uint8Array];

/** Whose store it is, and which opening of it. */
export type DiskSession = { readonly storeId: string; readonly starts: number; readonly nonce: string };

/** All that is durable at one moment. */
export type DiskCopy = {
  readonly table: ReadonlyMap<string, Uint8Array>;
  readonly slots: Slots;
  readonly session: DiskSession;
};

/** Called with everything that becomes durable, in order. */
export type DiskWatcher = {
  batch(operations: readonly KeyValueOperation[]): void;
  slots(slots: Slots): void;
};

type InFlight = { readonly land: (torn: boolean) => void; readonly tearable: boolean };

export class SimulatedDisk {
  readonly name: string;
  readonly #world: World;
  readonly #random: SeededRandom;
  readonly #newStoreId: () => string;
  readonly #inFlight = new Set<InFlight>();
  table = new Map<string, Uint8Array>();
  slots: Slots | undefined;
  watcher: DiskWatcher | undefined;
  /** Decides about each write. `delicate`: it takes log entries back, so that nothing else may see it half done. */
  fate: (delicate: boolean) => WriteFate = () => ({ kind: 'ok', afterMs: 1 });
  /** Whether a read fails with EIO. */
  readFails: () => boolean = () => false;
  /** Writes fail with ENOSPC while it is set. */
  full = false;
  /** The store is asked to refuse proposals. */
  nearlyFull = false;
  /** No write ends before this time. */
  hungUntilMs = 0;
  /** Failures that were made on purpose since the disk was last opened. */
  failures = 0;
  /** The newest batches, for taking them back. */
  readonly #undo: { readonly key: string; readonly before: Uint8Array | undefined }[][] = [];

  constructor(world: World, name: string, newStoreId: () => string) {
    this.#world = world;
    this.name = name;
    this.#random = world.random(`disk ${name}`);
    this.#newStoreId = newStoreId;
  }

  /** What a process opens. `died` is called when the disk's fate for a write is a crash. */
  open(process: SimulatedProcess): StoreDisk {
    this.failures = 0;
    process.onDeath(() => this.#crash());
    const handle = new Handle(this, process);
    return {
      place: `/${this.name}`,
      identityFile: this.#identityFile(process),
      openBackend: () => Promise.resolve(handle),
      space: {
        check: () => Promise.resolve(),
        space: () => (this.full || this.nearlyFull ? little : plenty),
      },
      clock: process.clock,
      newStoreId: this.#newStoreId,
      newNonce: () => this.#newStoreId().slice(0, 8),
    };
  }

  /** Takes the newest `count` batches back, as a disk that lied about its syncs does. Returns how many it took. */
  loseTail(count: number): number {
    let lost = 0;
    for (; lost < count; lost += 1) {
      const undo = this.#undo.pop();
      if (undo === undefined) break;
      for (const { key, before } of undo.reverse()) {
        if (before === undefined) this.table.delete(key);
        else this.table.set(key, before);
      }
    }
    return lost;
  }

  /** As a snapshot of the disk, or a copy of the folder, has it. undefined: there is no store yet. */
  copy(): DiskCopy | undefined {
    const { slots, session } = this;
    if (slots === undefined || session === undefined) return undefined;
    return { table: new Map(this.table), slots: copySlots(slots), session };
  }

  /** Puts a copy in place of what there is. Not while a process has it open. */
  putBack({ table, slots }: DiskCopy): void {
    this.table = new Map(table);
    this.slots = slots;
    this.#undo.length = 0;
    this.watcher?.batch([...table].map(([key, value]) => ({ type: 'put', key: Buffer.from(key, 'latin1'), value })));
    this.watcher?.slots(slots);
  }

  /** By the identity file. */
  get session(): DiskSession | undefined {
    let newest: { readonly write: number; readonly session: DiskSession } | undefined;
    for (const slot of this.slots ?? []) {
      const found = sessionPattern.exec(Buffer.from(slot).toString('latin1'));
      const [, write, storeId = '', starts, nonce = ''] = found ?? [];
      if (found === null || Number(write) <= (newest?.write ?? 0)) continue;
      newest = { write: Number(write), session: { storeId, starts: Number(starts), nonce } };
    }
    return newest?.session;
  }

  /** Whether the identity file has this session of a peer's store. */
  hasSeen(nonce: string): boolean {
    return (this.slots ?? []).some((slot) => Buffer.from(slot).includes(`"nonce":"${nonce}"`));
  }

  /** Whether the database ends before what the identity file says was durable: the store must see that. */
  behindItsIdentity(): boolean {
    const head = this.table.get('h');
    const sequences = (this.slots ?? []).map((slot) => /"sequence":(\d+)/.exec(Buffer.from(slot).toString('latin1')));
    const known = Math.max(0, ...sequences.map((found) => Number(found?.[1] ?? 0)));
    return head !== undefined && decodeHead(head).sequence < known;
  }

  apply(operations: readonly KeyValueOperation[]): void {
    const undo = operations.map((operation) => {
      const key = textOfKey(operation.key);
      return { key, before: this.table.get(key) };
    });
    applyBatch(this.table, operations);
    this.#undo.push(undo);
    if (this.#undo.length > undoMax) this.#undo.shift();
    this.watcher?.batch(operations);
  }

  /** Where the log begins: what is before it waits to be swept. */
  get compactedIndex(): number {
    const head = this.table.get('h');
    return head === undefined ? 0 : decodeHead(head).compacted.index;
  }

  /** To be asked before each read. @throws Error with the code EIO */
  checkRead(): void {
    if (!this.readFails()) return;
    this.failures += 1;
    this.#world.count('disk read errors');
    this.#world.trace('disk read failure', this.failures, () => this.name);
    throw Object.assign(new Error('EIO: simulated, reading'), { code: 'EIO' });
  }

  /** Carries out one write; resolves in the process when it is durable. */
  write(
    process: SimulatedProcess,
    { tearable = false, delicate = false }: { readonly tearable?: boolean; readonly delicate?: boolean },
    store: (torn: boolean) => void,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      if (!process.alive) return;
      const full: WriteFate = { kind: 'fail', afterMs: 1, code: 'ENOSPC', stored: false };
      const fate = this.full ? full : this.fate(delicate);
      const inFlight: InFlight = { land: store, tearable };
      this.#inFlight.add(inFlight);
      const end = (): void => {
        if (!this.#inFlight.has(inFlight)) return;
        const { now } = { now: this.#world.time.now() };
        if (now < this.hungUntilMs) {
          this.#world.count('writes that hung');
          this.#world.time.after(this.hungUntilMs - now, end);
          return;
        }
        this.#inFlight.delete(inFlight);
        this.#end(process, fate, store, { resolve, reject });
      };
      this.#world.time.after(fate.afterMs, end);
    });
  }

  #end(
    process: SimulatedProcess,
    fate: WriteFate,
    store: (torn: boolean) => void,
    { resolve, reject }: { readonly resolve: () => void; readonly reject: (error: Error) => void },
  ): void {
    switch (fate.kind) {
      case 'ok':
        store(false);
        process.run(resolve);
        return;
      case 'fail': {
        this.failures += 1;
        this.#world.count(fate.code === 'EIO' ? 'disk errors' : 'disk full errors');
        this.#world.count(fate.stored ? 'failed writes whose data was there' : 'failed writes whose data was gone');
        this.#world.trace('disk failure', this.failures, () => `${this.name} ${fate.code} stored=${fate.stored}`);
        if (fate.stored) store(false);
        const error = Object.assign(new Error(`${fate.code}: simulated`), { code: fate.code });
        process.run(() => reject(error));
        return;
      }
      case 'crash':
        this.#world.count('crashes at a storage step');
        this.#world.trace('crash at a storage step', 0, () => `${this.name} stored=${fate.stored}`);
        if (fate.stored) store(false);
        process.kill();
    }
  }

  /** Each write in flight is lost or kept on its own. */
  #crash(): void {
    for (const { land, tearable } of this.#inFlight) {
      const outcome = this.#random.below(tearable ? 3 : 2);
      this.#world.count(inFlightCounts[outcome] ?? '');
      if (outcome === 1) land(false);
      if (outcome === 2) land(true);
    }
    this.#inFlight.clear();
  }

  #identityFile(process: SimulatedProcess): IdentityFile {
    return {
      read: () => Promise.resolve(this.slots && copySlots(this.slots)),
      create: (slots) =>
        this.write(process, {}, () => {
          this.slots = copySlots(slots);
          this.watcher?.slots(this.slots);
        }),
      write: (slot, bytes) =>
        this.slots === undefined
          ? Promise.reject(new Error(`${this.name} has no identity file`))
          : this.write(process, { tearable: true }, (torn) => this.#writeSlot(slot, bytes, torn)),
      close: () => Promise.resolve(),
    };
  }

  #writeSlot(slot: SlotNumber, bytes: Uint8Array, torn: boolean): void {
    if (this.slots === undefined) throw new Error(`${this.name} has no identity file`);
    const now = new Uint8Array(bytes);
    if (torn) now.set(this.slots[slot].subarray(tornAt), tornAt);
    this.slots = slot === 0 ? [now, this.slots[1]] : [this.slots[0], now];
    this.watcher?.slots(this.slots);
  }
}

/** The first of each are the store's own; those of peers come last. */
const sessionPattern = /"write":(\d+),"storeId":"([0-9a-f]{32})".*?"starts":(\d+),"nonces":\["([0-9a-f]{8})"/;

const plenty: StoreSpace = { freeBytes: 1_000_000, neededBytes: 1000, problem: undefined };
const little: StoreSpace = { freeBytes: 100, neededBytes: 1000, problem: 'the simulated disk is nearly full' };

/** Keys of log entries begin with it. */
const entryByte = 0x6c;
/** Batches that can be taken back. */
const undoMax = 64;
/** By what becomes of a write in flight when its process dies. */
const inFlightCounts = [
  'writes in flight that were lost',
  'writes in flight that landed',
  'writes in flight that were torn',
];
/** Where a torn slot goes on with its old content. */
const tornAt = 100;
/** Pairs that a scan hands over at once. */
const scanBatchCount = 256;

class View extends TableView {
  constructor(disk: SimulatedDisk, table: () => Table) {
    super({ table, beforeRead: () => disk.checkRead(), batchCount: scanBatchCount });
  }
}

class Snapshot extends View implements KeyValueSnapshot {
  close(): Promise<void> {
    return Promise.resolve();
  }
}

class Handle extends View implements KeyValueBackend {
  readonly #disk: SimulatedDisk;
  readonly #process: SimulatedProcess;
  /** After a failed write: what the handle believes, which the disk never saw. */
  #believed: Map<string, Uint8Array> | undefined;

  constructor(disk: SimulatedDisk, process: SimulatedProcess) {
    super(disk, () => this.#believed ?? disk.table);
    this.#disk = disk;
    this.#process = process;
  }

  async write(operations: readonly KeyValueOperation[]): Promise<void> {
    try {
      await this.#disk.write(this.#process, { delicate: this.#takesBack(operations) }, () => this.#store(operations));
    } catch (error) {
      this.#believed ??= new Map(this.#disk.table);
      throw error;
    }
  }

  snapshot(): KeyValueSnapshot {
    const frozen = new Map(this.#table);
    return new Snapshot(this.#disk, () => frozen);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  get #table(): Table {
    return this.#believed ?? this.#disk.table;
  }

  /** Whether entries that are still part of the log are replaced or deleted. */
  #takesBack(operations: readonly KeyValueOperation[]): boolean {
    const compacted = this.#disk.compactedIndex;
    return operations.some(({ key }) => {
      if (key[0] !== entryByte || readUint64(key, 1) <= compacted) return false;
      return this.#table.has(textOfKey(key));
    });
  }

  #store(operations: readonly KeyValueOperation[]): void {
    if (this.#believed === undefined) {
      this.#disk.apply(operations);
      return;
    }
    applyBatch(this.#believed, operations);
  }
}
