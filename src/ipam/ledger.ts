/**
 * The records' side of a command: which of them changed, in bytes, and the hash over all of them. Old bytes are made
 * anew from the old value rather than kept, so that a record lives in memory once.
 */
import type { RecordChange } from '#ipam/change.js';
import { encodeRecord, type PlanRecord, recordKey } from '#ipam/record.js';
import type { RecordHash } from '#ipam/record-hash.js';

export class Ledger {
  private readonly hash: RecordHash;
  /** By key, as text: a record that changes twice in a command is stored once. */
  private readonly byKey = new Map<string, RecordChange>();

  constructor(hash: RecordHash) {
    this.hash = hash;
  }

  get empty(): boolean {
    return this.byKey.size === 0;
  }

  get changes(): readonly RecordChange[] {
    return [...this.byKey.values()];
  }

  /** Puts a record where there was none. */
  add(record: PlanRecord): void {
    const key = recordKey(record);
    const value = encodeRecord(record);
    this.hash.add(key, value);
    this.note({ key, value });
  }

  /** Deletes a record that is there, exactly as it is. */
  remove(record: PlanRecord): void {
    const key = recordKey(record);
    this.hash.remove(key, encodeRecord(record));
    this.note({ key, value: undefined });
  }

  /** Puts a record in place of one with the same key. */
  replace(old: PlanRecord, next: PlanRecord): void {
    this.hash.remove(recordKey(old), encodeRecord(old));
    this.add(next);
  }

  private note(change: RecordChange): void {
    this.byKey.set(String.fromCharCode(...change.key), change);
  }
}
