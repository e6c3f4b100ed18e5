/**
 * The records' side of a command: which of them changed, in bytes, and the hash over all of them. Old bytes are made
 * anew from the old value rather than kept, so that a record lives in memory once.
 */

import { encodeRecord, type PlanRecord, recordKey } from '#ipam/codec/record.js';
import type { RecordHash } from '#ipam/codec/record-hash.js';
import type { PlanRecordChange } from '#ipam/commands/change.js';

export class Ledger {
  readonly #hash: RecordHash;
  /** In the order in which they were made; no record changes twice in one command. */
  readonly #made: PlanRecordChange[] = [];

  constructor(hash: RecordHash) {
    this.#hash = hash;
  }

  get empty(): boolean {
    return this.#made.length === 0;
  }

  get changes(): readonly PlanRecordChange[] {
    return this.#made;
  }

  /** Puts a record where there was none. Returns its bytes. */
  add(record: PlanRecord): Uint8Array {
    const key = recordKey(record);
    const value = encodeRecord(record);
    this.#hash.add(key, value);
    this.#made.push({ key, value });
    return value;
  }

  /** Deletes a record that is there, exactly as it is. */
  remove(record: PlanRecord): void {
    const key = recordKey(record);
    this.#hash.remove(key, encodeRecord(record));
    this.#made.push({ key, value: undefined });
  }

  /** Puts a record in place of one with the same key; `oldBytes` if they are at hand. Returns the new one's bytes. */
  replace(old: PlanRecord, next: PlanRecord, oldBytes = encodeRecord(old)): Uint8Array {
    const key = recordKey(next);
    const value = encodeRecord(next);
    this.#hash.remove(key, oldBytes);
    this.#hash.add(key, value);
    this.#made.push({ key, value });
    return value;
  }
}
