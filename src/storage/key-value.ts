/**
 * What the log store asks of the database under it: ordered keys, atomic synced batches, consistent views.
 * LevelDB is one implementation (`level-key-value.ts`), a disk in memory that crashes on purpose another
 * (`memory-disk.ts`). It knows nothing of logs.
 */

export type KeyValueOperation =
  | { readonly type: 'put'; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: Uint8Array };

export type KeyValue = readonly [key: Uint8Array, value: Uint8Array];

/** Keys from `from`, inclusive, up to `to`, exclusive, in byte order. */
export type KeyRange = { readonly from: Uint8Array; readonly to: Uint8Array };

export type KeyValueView = {
  get(key: Uint8Array): Promise<Uint8Array | undefined>;
  /** Ascending, in batches of about `scanBatchBytes`; consistent in itself. Throws when a part can't be read. */
  scan(range: KeyRange): AsyncIterable<readonly KeyValue[]>;
  /** The first keys of the range, `countMax` at most. */
  keys(range: KeyRange, countMax: number): Promise<readonly Uint8Array[]>;
};

/** The content at one moment, whatever is written later. */
export interface KeyValueSnapshot extends KeyValueView {
  close(): Promise<void>;
}

export interface KeyValueBackend extends KeyValueView {
  /** All or nothing, in order, and on stable storage when it resolves. A rejection leaves the outcome unknown. */
  write(operations: readonly KeyValueOperation[]): Promise<void>;
  snapshot(): KeyValueSnapshot;
  close(): Promise<void>;
}

/** Keys and values that a scan hands over at once; one larger pair comes alone. */
export const scanBatchBytes = 1024 * 1024;
