/** Ordered keys and values in memory, for disks that stand for LevelDB in specs and in the simulator. */
import type { KeyRange, KeyValue, KeyValueOperation, KeyValueView } from '#storage/key-value.js';

/** By the key, one character a byte, so that texts compare as bytes do. */
export type Table = ReadonlyMap<string, Uint8Array>;

export type TableViewOptions = {
  /** What is to be read now. */
  readonly table: () => Table;
  /** Called before each read; throws where the disk fails. */
  readonly beforeRead: () => void;
  /** Pairs that a scan hands over at once. */
  readonly batchCount: number;
};

export class TableView implements KeyValueView {
  readonly #options: TableViewOptions;

  constructor(options: TableViewOptions) {
    this.#options = options;
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    const { table, beforeRead } = this.#options;
    beforeRead();
    return table().get(textOfKey(key));
  }

  async *scan(range: KeyRange): AsyncGenerator<readonly KeyValue[], void, undefined> {
    const { table, beforeRead, batchCount } = this.#options;
    // All of it at once: what is written while the reader is busy must not show.
    const pairs = within(table(), range);
    for (let at = 0; at < pairs.length; at += batchCount) {
      beforeRead();
      yield pairs.slice(at, at + batchCount).map(([key, value]) => [bytesOfKey(key), value] as const);
    }
  }

  async keys(range: KeyRange, countMax: number): Promise<readonly Uint8Array[]> {
    const { table, beforeRead } = this.#options;
    beforeRead();
    return within(table(), range)
      .slice(0, countMax)
      .map(([key]) => bytesOfKey(key));
  }
}

/** Carries out one batch. Values are copied: the caller may use its buffers again. */
export function applyBatch(table: Map<string, Uint8Array>, operations: readonly KeyValueOperation[]): void {
  for (const operation of operations) {
    if (operation.type === 'put') table.set(textOfKey(operation.key), new Uint8Array(operation.value));
    else table.delete(textOfKey(operation.key));
  }
}

export function textOfKey(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1');
}

function bytesOfKey(key: string): Uint8Array {
  return new Uint8Array(Buffer.from(key, 'latin1'));
}

function within(table: Table, range: KeyRange): readonly (readonly [string, Uint8Array])[] {
  const from = textOfKey(range.from);
  const to = textOfKey(range.to);
  const pairs: (readonly [string, Uint8Array])[] = [];
  for (const pair of table) if (pair[0] >= from && pair[0] < to) pairs.push(pair);
  return pairs.sort(([a], [b]) => (a < b ? -1 : 1));
}
