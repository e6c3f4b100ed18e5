/** The applied state at one moment, for a follower: head, membership and records from one and the same view of the database. */
import type { SnapshotSource, StoreError } from '#replica/ports/log-store.js';
import type { AppliedMeta } from '#replica/ports/membership.js';
import type { StateRecord } from '#replica/ports/state-machine.js';
import { scanState } from '#storage/checks/state-scan.js';
import { readHead, readMembership } from '#storage/checks/store-check.js';
import { corrupt, storeError } from '#storage/checks/store-failure.js';
import type { KeyValueBackend, KeyValueSnapshot } from '#storage/key-value.js';
import type { Head } from '#storage/records/head-record.js';

export type SnapshotHooks = {
  /** The records are not what was written: the store can be trusted no more. */
  readonly damaged: (failure: StoreError) => void;
  /** Called once, when the source is closed. */
  readonly closed: () => void;
};

export class StoredSnapshot implements SnapshotSource {
  readonly meta: AppliedMeta;
  readonly #snapshot: KeyValueSnapshot;
  readonly #head: Head;
  readonly #place: string;
  readonly #hooks: SnapshotHooks;
  #closing: Promise<void> | undefined;

  private constructor(
    meta: AppliedMeta,
    parts: {
      readonly snapshot: KeyValueSnapshot;
      readonly head: Head;
      readonly place: string;
      readonly hooks: SnapshotHooks;
    },
  ) {
    this.meta = meta;
    this.#snapshot = parts.snapshot;
    this.#head = parts.head;
    this.#place = parts.place;
    this.#hooks = parts.hooks;
  }

  /** @throws StoreError */
  static async open(backend: KeyValueBackend, place: string, hooks: SnapshotHooks): Promise<StoredSnapshot> {
    const snapshot = backend.snapshot();
    try {
      const head = await readHead(snapshot, place);
      if (head === undefined || head.generation === 0) {
        throw corrupt(place, 'it has no applied state to make a snapshot of');
      }
      const meta = { ...head.applied, membership: await readMembership(snapshot, head, place) };
      return new StoredSnapshot(meta, { snapshot, head, place, hooks });
    } catch (error) {
      await snapshot.close();
      throw storeError(place, 'open a snapshot', error);
    }
  }

  /** @throws StoreError, at the latest at the end, when the records are not what was written */
  async *chunks(chunkBytesMax: number): AsyncIterable<readonly StateRecord[]> {
    let chunk: StateRecord[] = [];
    let bytes = 0;
    for await (const batch of this.batches()) {
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
  async *batches(): AsyncIterable<readonly StateRecord[]> {
    try {
      yield* scanState(this.#snapshot, this.#head, this.#place);
    } catch (error) {
      const failure = storeError(this.#place, 'read a snapshot', error);
      if (failure.code === 'corrupt') this.#hooks.damaged(failure);
      throw failure;
    }
  }

  /** Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#snapshot.close().finally(this.#hooks.closed);
    return this.#closing;
  }
}
