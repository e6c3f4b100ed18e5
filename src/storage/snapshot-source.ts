/** The applied state at one moment, for a follower: head, membership and records from one and the same view of the database. */
import type { SnapshotSource } from '#replica/log-store.js';
import type { AppliedMeta } from '#replica/membership.js';
import type { StateRecord } from '#replica/state-machine.js';
import type { Head } from '#storage/head-record.js';
import type { KeyValueBackend, KeyValueSnapshot } from '#storage/key-value.js';
import { scanState } from '#storage/state-scan.js';
import { readHead, readMembership } from '#storage/store-check.js';
import { corrupt, storeError } from '#storage/store-failure.js';

export class StoredSnapshot implements SnapshotSource {
  readonly meta: AppliedMeta;
  readonly #snapshot: KeyValueSnapshot;
  readonly #head: Head;
  readonly #place: string;
  readonly #closed: () => void;
  #closing: Promise<void> | undefined;

  private constructor(
    meta: AppliedMeta,
    parts: {
      readonly snapshot: KeyValueSnapshot;
      readonly head: Head;
      readonly place: string;
      readonly closed: () => void;
    },
  ) {
    this.meta = meta;
    this.#snapshot = parts.snapshot;
    this.#head = parts.head;
    this.#place = parts.place;
    this.#closed = parts.closed;
  }

  /** `closed` is called once, when the source lets go. @throws StoreError */
  static async open(backend: KeyValueBackend, place: string, closed: () => void): Promise<StoredSnapshot> {
    const snapshot = backend.snapshot();
    try {
      const head = await readHead(snapshot, place);
      if (head === undefined || head.generation === 0)
        throw corrupt(place, 'it has no applied state to make a snapshot of');
      const meta = { ...head.applied, membership: await readMembership(snapshot, head, place) };
      return new StoredSnapshot(meta, { snapshot, head, place, closed });
    } catch (error) {
      await snapshot.close();
      throw storeError(place, 'open a snapshot', error);
    }
  }

  /** @throws StoreError, at the latest at the end, when the records are not what was written */
  async *chunks(chunkBytesMax: number): AsyncIterable<readonly StateRecord[]> {
    let chunk: StateRecord[] = [];
    let bytes = 0;
    for await (const batch of scanState(this.#snapshot, this.#head, this.#place)) {
      for (const { key, value } of batch) {
        const size = key.byteLength + value.byteLength;
        if (chunk.length > 0 && bytes + size > chunkBytesMax) {
          yield chunk;
          chunk = [];
          bytes = 0;
        }
        chunk.push({ key, value });
        bytes += size;
      }
    }
    if (chunk.length > 0) yield chunk;
  }

  /** The same, in batches as they are read: about `scanBatchBytes` each. */
  batches(): AsyncIterable<readonly StateRecord[]> {
    return scanState(this.#snapshot, this.#head, this.#place);
  }

  /** Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#snapshot.close().finally(this.#closed);
    return this.#closing;
  }
}
