/**
 * A disk in memory that crashes at a given step: `KeyValueBackend` and `IdentityFile` over one durable content. Every
 * write to either is a step. At the step of the crash the write is lost, or kept without being acknowledged, or torn
 * (the identity file only: a database batch is atomic); from then on nothing answers any more but with `DiskCrash`,
 * until `reboot` gives the disk as the next process finds it.
 */
import { type IdentityFile, type SlotNumber, slotBytes } from '#storage/files/identity-file.js';
import type { KeyValueBackend, KeyValueOperation, KeyValueSnapshot } from '#storage/key-value.js';
import { applyBatch, type Table, TableView } from '#storage/testing/key-value-table.js';

export class DiskCrash extends Error {
  override readonly name = 'DiskCrash';
}

export type CrashKind = 'lost' | 'kept' | 'torn';
export const crashKinds: readonly CrashKind[] = ['lost', 'kept', 'torn'];

type Slots = readonly [Uint8Array, Uint8Array];

/** Pairs a scan hands over at once. */
const scanBatchCount = 100;

export class MemoryDisk {
  table: Table;
  slots: Slots | undefined;
  /** Writes so far, by what they were. */
  readonly steps: string[] = [];
  /** The database's batches so far. */
  readonly batches: (readonly KeyValueOperation[])[] = [];
  #crashAt = Number.POSITIVE_INFINITY;
  #crashKind: CrashKind = 'lost';
  #crashed = false;

  constructor(table: Table = new Map(), slots?: Slots) {
    this.table = table;
    this.slots = slots;
  }

  /** Step numbers count from 0. */
  crashAt(step: number, kind: CrashKind): void {
    this.#crashAt = step;
    this.#crashKind = kind;
  }

  get crashed(): boolean {
    return this.#crashed;
  }

  /** The same content, sound and working; also a copy to damage. */
  reboot(): MemoryDisk {
    return new MemoryDisk(new Map(this.table), this.slots && copySlots(this.slots));
  }

  backend(): KeyValueBackend {
    return new MemoryKeyValue(this);
  }

  identityFile(): IdentityFile {
    return {
      read: async () => {
        this.requireUp();
        return this.slots && copySlots(this.slots);
      },
      create: (slots) =>
        // The file gets its name at the end, so a torn one is none.
        this.step('create identity', (kind) => {
          if (kind !== 'torn') this.slots = copySlots(slots);
        }),
      write: (slot, bytes) =>
        this.step('write identity', (kind) => {
          this.#writeSlot(slot, kind === 'torn' ? this.#tear(slot, bytes) : bytes);
        }),
      close: () => Promise.resolve(),
    };
  }

  requireUp(): void {
    if (this.#crashed) throw new DiskCrash('the disk is gone');
  }

  /** `change` makes the write durable; it is left out where the crash loses it. */
  async step(what: string, change: (kind: CrashKind) => void): Promise<void> {
    this.requireUp();
    const number = this.steps.push(what) - 1;
    // What is in flight takes a turn of the event loop, as a real disk would.
    await new Promise((resolve) => setImmediate(resolve));
    this.requireUp();
    if (number < this.#crashAt) {
      change('kept');
      return;
    }
    if (this.#crashKind !== 'lost') change(this.#crashKind);
    this.#crashed = true;
    throw new DiskCrash(`crash at step ${number} (${what}), ${this.#crashKind}`);
  }

  #writeSlot(slot: SlotNumber, bytes: Uint8Array): void {
    if (this.slots === undefined) throw new DiskCrash('no identity file');
    const now = copy(bytes);
    this.slots = slot === 0 ? [now, this.slots[1]] : [this.slots[0], now];
  }

  #tear(slot: SlotNumber, bytes: Uint8Array): Uint8Array {
    const torn = copy(bytes);
    torn.set((this.slots?.[slot] ?? new Uint8Array(slotBytes)).subarray(100), 100);
    return torn;
  }
}

class MemoryView extends TableView {
  constructor(disk: MemoryDisk, table: () => Table) {
    super({ table, beforeRead: () => disk.requireUp(), batchCount: scanBatchCount });
  }
}

class MemoryKeyValue extends MemoryView implements KeyValueBackend {
  readonly #disk: MemoryDisk;

  constructor(disk: MemoryDisk) {
    super(disk, () => disk.table);
    this.#disk = disk;
  }

  write(operations: readonly KeyValueOperation[]): Promise<void> {
    return this.#disk.step('write batch', (kind) => {
      if (kind === 'torn') return;
      this.#disk.batches.push(operations);
      this.#disk.table = applied(this.#disk.table, operations);
    });
  }

  snapshot(): KeyValueSnapshot {
    this.#disk.requireUp();
    const { table } = this.#disk;
    return new MemorySnapshot(this.#disk, () => table);
  }

  async close(): Promise<void> {
    // There is nothing to release.
  }
}

class MemorySnapshot extends MemoryView implements KeyValueSnapshot {
  async close(): Promise<void> {
    // There is nothing to release.
  }
}

/** `table` after one batch. */
export function applied(table: Table, operations: readonly KeyValueOperation[]): Table {
  const next = new Map(table);
  applyBatch(next, operations);
  return next;
}

export function copySlots(slots: Slots): Slots {
  return [copy(slots[0]), copy(slots[1])];
}

/** A real one: `slice` of a Buffer shares its memory. */
function copy(of: Uint8Array): Uint8Array {
  return new Uint8Array(of);
}
