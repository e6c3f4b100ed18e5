/**
 * What one member's disk really holds, read from the bytes that landed on it and not from what the store says:
 * the log, the hard state, and the applied position. What a member may say to others is held against it.
 */
import { crc32 } from 'node:zlib';
import type { DiskWatcher, Slots } from '#cluster-test/simulation/world/simulated-disk.js';
import { Violation, type World } from '#cluster-test/simulation/world/world.js';
import type { HardState } from '#raft/log/entry.js';
import { readUint64 } from '#replica/uint64.js';
import type { KeyValueOperation } from '#storage/key-value.js';
import { decodeHead, type Head } from '#storage/records/head-record.js';

/** Of an entry: its term and type, and the CRC-32 of the whole record. */
export type DurableEntry = { readonly term: number; readonly type: number; readonly sum: number };

/** What a member is bound to, whatever it remembers: the newest term it was in, and its vote there. */
export type Promised = { readonly term: number; readonly vote: number };

/** Hears of each step of a disk, after it was taken in. */
export type DurableListener = {
  entry(state: DurableState, index: number, entry: DurableEntry): void;
  head(state: DurableState, before: Head | undefined): void;
  promised(state: DurableState, before: Promised): void;
};

const headByte = 0x68;
const entryByte = 0x6c;

export class DurableState implements DiskWatcher {
  readonly name: string;
  readonly #world: World;
  readonly #listener: DurableListener;
  readonly entries = new Map<number, DurableEntry>();
  head: Head | undefined;
  /** The newest term and vote that the identity file holds. */
  #slotTerm = 0;
  #slotVote = 0;
  /** The disk lied or was wiped: what it holds now may be behind what it held. */
  damaged = false;

  constructor(world: World, name: string, listener: DurableListener) {
    this.#world = world;
    this.name = name;
    this.#listener = listener;
  }

  get lastIndex(): number {
    return this.head?.lastIndex ?? 0;
  }

  get hardState(): HardState | undefined {
    return this.head?.hardState;
  }

  /** The term and vote that a start would come up with. */
  get promise(): Promised {
    const stored = this.head?.hardState;
    const term = Math.max(stored?.term ?? 0, this.#slotTerm);
    if (stored === undefined || this.#slotTerm > stored.term) return { term, vote: this.#slotVote };
    return { term, vote: stored.vote !== 0 || this.#slotTerm < stored.term ? stored.vote : this.#slotVote };
  }

  /** Whether the entry is on this disk, or in the applied state that is. */
  holds(index: number, term: number): boolean {
    if (this.head === undefined) return false;
    if (index <= this.head.compacted.index) return true;
    return index <= this.head.lastIndex && this.entries.get(index)?.term === term;
  }

  /** Changes of membership in the log behind `index`. */
  changesAfter(index: number): number {
    let changes = 0;
    for (let at = index + 1; at <= this.lastIndex; at += 1) if ((this.entries.get(at)?.type ?? 0) !== 0) changes += 1;
    return changes;
  }

  batch(operations: readonly KeyValueOperation[]): void {
    const before = this.head;
    const { promise } = this;
    const head = operations.find(({ key, type }) => key[0] === headByte && type === 'put');
    if (head?.type === 'put') this.head = decodeHead(head.value);
    for (const operation of operations) {
      if (operation.key[0] !== entryByte) continue;
      const index = readUint64(operation.key, 1);
      if (operation.type === 'del') this.entries.delete(index);
      else this.#put(index, operation.value);
    }
    if (head === undefined) return;
    this.#listener.head(this, before);
    this.#listener.promised(this, promise);
  }

  /** Term of the log at `index`. What lies before the log's beginning waits to be swept, whatever it says. */
  termAt(index: number): number | undefined {
    const { compacted } = this.head ?? {};
    if (compacted !== undefined && index <= compacted.index) {
      return index === compacted.index ? compacted.term : undefined;
    }
    return this.entries.get(index)?.term;
  }

  slots(slots: Slots): void {
    const { promise } = this;
    let newest = 0;
    for (const slot of slots) {
      const found = readSlot(slot);
      if (found === undefined || found.write <= newest) continue;
      newest = found.write;
      this.#slotTerm = found.term;
      this.#slotVote = found.vote;
    }
    this.#listener.promised(this, promise);
  }

  #put(index: number, record: Uint8Array): void {
    const view = new DataView(record.buffer, record.byteOffset, record.byteLength);
    const entry = { type: view.getUint8(1), term: readUint64(record, 2), sum: view.getUint32(18) };
    if (readUint64(record, 10) !== index) throw new Violation('entry in its place', `${this.name} at ${index}`);
    const old = this.entries.get(index);
    if (old !== undefined && old.term !== entry.term) this.#world.count('mark: conflicting entries replaced');
    this.entries.set(index, entry);
    this.#listener.entry(this, index, entry);
  }

  get world(): World {
    return this.#world;
  }
}

function readSlot(
  bytes: Uint8Array,
): { readonly write: number; readonly term: number; readonly vote: number } | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const rest = text.subarray(8);
  if (text.toString('latin1', 0, 8) !== crc32(rest).toString(16).padStart(8, '0')) return undefined;
  const found = /"write":(\d+).*"term":(\d+),"vote":(\d+)/.exec(rest.toString('latin1'));
  if (found === null) return undefined;
  return { write: Number(found[1]), term: Number(found[2]), vote: Number(found[3]) };
}
