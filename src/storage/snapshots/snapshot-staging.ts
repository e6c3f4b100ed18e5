/** A snapshot on its way in: records under a generation of their own, which nothing reads until it is installed. */
import type { SnapshotSink, StagedSnapshot } from '#replica/ports/log-store.js';
import type { AppliedMeta } from '#replica/ports/membership.js';
import type { StateRecord } from '#replica/ports/state-machine.js';
import type { KeyValueOperation } from '#storage/key-value.js';
import { stateKey } from '#storage/records/keys.js';
import { RecordSums, recordName } from '#storage/records/record-sums.js';
import { encodeStateRecord } from '#storage/records/state-record.js';

/** All in, and durable: to be installed, or to be given up, once. */
export class StagedGeneration implements StagedSnapshot {
  readonly meta: AppliedMeta;
  readonly generation: number;
  readonly sums: RecordSums;
  #fate: 'open' | 'taken' | 'given up' = 'open';

  constructor(meta: AppliedMeta, generation: number, sums: RecordSums) {
    this.meta = meta;
    this.generation = generation;
    this.sums = sums;
  }

  /** It becomes the state with the write that is asked for now. False: it did before, or was given up. */
  take(): boolean {
    return this.#decide('taken');
  }

  /** It is not wanted. False: it is the state, or was one, or was given up before. */
  giveUp(): boolean {
    return this.#decide('given up');
  }

  #decide(fate: 'taken' | 'given up'): boolean {
    if (this.#fate !== 'open') return false;
    this.#fate = fate;
    return true;
  }
}

export class SnapshotStaging implements SnapshotSink {
  readonly #meta: AppliedMeta;
  readonly #generation: number;
  readonly #sums = new RecordSums();
  readonly #write: (operations: readonly KeyValueOperation[]) => Promise<void>;
  readonly #discard: (generation: number) => void;
  #staged: StagedGeneration | undefined;
  #ended = false;

  constructor(
    meta: AppliedMeta,
    generation: number,
    disk: {
      readonly write: (operations: readonly KeyValueOperation[]) => Promise<void>;
      readonly discard: (generation: number) => void;
    },
  ) {
    this.#meta = meta;
    this.#generation = generation;
    this.#write = disk.write;
    this.#discard = disk.discard;
  }

  /** Durable when it resolves. @throws StoreError; RangeError at a record beyond its limits, and nothing is written */
  async append(records: readonly StateRecord[]): Promise<void> {
    this.#requireOpen();
    const encoded = records.map((record) => ({ key: record.key, ...encodeStateRecord(record) }));
    for (const { key, sum } of encoded) this.#sums.put(recordName(key), sum);
    await this.#write(
      encoded.map(({ key, stored }) => ({ type: 'put', key: stateKey(this.#generation, key), value: stored })),
    );
  }

  async finish(): Promise<StagedGeneration> {
    this.#requireOpen();
    this.#ended = true;
    this.#staged = new StagedGeneration(this.#meta, this.#generation, this.#sums);
    return this.#staged;
  }

  /** After `finish` too; nothing once the snapshot is installed, or about to be. */
  async abort(): Promise<void> {
    const unused = this.#staged === undefined ? !this.#ended : this.#staged.giveUp();
    this.#ended = true;
    if (unused) this.#discard(this.#generation);
  }

  #requireOpen(): void {
    if (this.#ended) throw new RangeError('the snapshot was finished or aborted before');
  }
}
