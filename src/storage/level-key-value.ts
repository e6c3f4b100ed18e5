/**
 * `KeyValueBackend` on LevelDB (classic-level, by package `level`), opened with the care that LevelDB itself does
 * not take: never an empty database in place of a lost one, never past its own complaints.
 */

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { makeFolder } from '#files/make-folder.js';
import { StoreError } from '#replica/ports/log-store.js';
import { levelDbComplaints } from '#storage/checks/leveldb-complaints.js';
import { corrupt } from '#storage/checks/store-failure.js';
import { lockHolder } from '#storage/files/lock-holder.js';
import {
  type KeyRange,
  type KeyValue,
  type KeyValueBackend,
  type KeyValueOperation,
  type KeyValueSnapshot,
  type KeyValueView,
  scanBatchBytes,
} from '#storage/key-value.js';

type Database = ClassicLevel<Uint8Array, Uint8Array>;
type Snapshot = ReturnType<Database['snapshot']>;

export type LevelOptions = {
  /** What messages call the store that the database is part of. */
  readonly place: string;
  /** Whether an empty database may be made: only before the member has an identity. */
  readonly mayCreate: boolean;
  /** What LevelDB keeps in memory and in a `.log` before it writes a table. */
  readonly writeBufferBytes: number;
};

/** Pairs per call into LevelDB; `scanBatchBytes` ends a batch earlier when they are large. */
const scanBatchCount = 4096;

/** What a crash in the middle of making a database can leave behind. */
const newbornFiles = /^(LOCK|LOG|LOG\.old|MANIFEST-000001|000001\.dbtmp)$/;

/**
 * @throws StoreError `corrupt`, `locked`; other failures as LevelDB reports them
 */
export async function openLevelKeyValue(directory: string, options: LevelOptions): Promise<KeyValueBackend> {
  await refuseIncomplete(directory, options);
  await refuseComplaints(directory, options.place);
  if (options.mayCreate) makeFolder(directory);
  const database: Database = new ClassicLevel(directory, {
    keyEncoding: 'view',
    valueEncoding: 'view',
    createIfMissing: options.mayCreate,
    writeBufferSize: options.writeBufferBytes,
  });
  await openDatabase(database, directory, options.place);
  try {
    await refuseComplaints(directory, options.place);
  } catch (error) {
    await database.close();
    throw error;
  }
  return new LevelKeyValue(database);
}

/** LevelDB takes a directory without CURRENT for a new one and would delete the tables in it. */
async function refuseIncomplete(directory: string, { mayCreate, place }: LevelOptions): Promise<void> {
  const none: readonly string[] = [];
  const names = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return none;
    throw error;
  });
  if (names.includes('CURRENT')) {
    const manifest = (await readFile(join(directory, 'CURRENT'), 'utf8')).trim();
    if (!names.includes(manifest)) throw corrupt(place, `its CURRENT file names "${manifest}", which is not there`);
    return;
  }
  if (!mayCreate) throw corrupt(place, 'its CURRENT file is missing, and with it the database');
  const others = names.filter((name) => !newbornFiles.test(name));
  if (others.length > 0) throw corrupt(place, `its CURRENT file is missing, but there are ${others.join(', ')}`);
}

async function refuseComplaints(directory: string, place: string): Promise<void> {
  const [first, ...others] = await levelDbComplaints(directory);
  if (first === undefined) return;
  const more = others.length > 0 ? `, and ${others.length} more like it` : '';
  throw corrupt(place, `LevelDB could not read all of it ("${first}"${more})`);
}

async function openDatabase(database: Database, directory: string, place: string): Promise<void> {
  try {
    await database.open();
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'LEVEL_LOCKED')) throw error;
    const holder = /already held by process/.test(cause.message)
      ? `this process (${process.pid})`
      : ((await lockHolder(join(directory, 'LOCK'))) ?? 'another process');
    throw new StoreError(
      'locked',
      `The store in ${place} is in use by ${holder}. One process at a time can have it: stop that one, or give this one ` +
        'a data directory of its own.',
      { cause: error },
    );
  }
}

class LevelView implements KeyValueView {
  readonly #database: Database;
  readonly #options: { readonly snapshot?: Snapshot };

  constructor(database: Database, snapshot?: Snapshot) {
    this.#database = database;
    this.#options = snapshot === undefined ? {} : { snapshot };
  }

  get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#database.get(key, this.#options);
  }

  async *scan(range: KeyRange): AsyncIterable<readonly KeyValue[]> {
    const iterator = this.#database.iterator({
      gte: range.from,
      lt: range.to,
      highWaterMarkBytes: scanBatchBytes,
      ...this.#options,
    });
    const read = () => {
      const batch = iterator.nextv(scanBatchCount);
      // The caller handles its failure, perhaps later: until then it must not count as an unhandled rejection.
      batch.catch(() => undefined);
      return batch;
    };
    // The next batch is read while the caller works on this one.
    let ahead = read();
    try {
      for (let batch = await ahead; batch.length > 0; batch = await ahead) {
        ahead = read();
        yield batch;
      }
    } finally {
      // A caller that stopped early has no use for what was read ahead, nor for its failure; else it is settled already.
      await ahead.catch(() => undefined);
      await iterator.close();
    }
  }

  keys(range: KeyRange, countMax: number): Promise<readonly Uint8Array[]> {
    return this.#database.keys({ gte: range.from, lt: range.to, limit: countMax, ...this.#options }).all();
  }
}

class LevelKeyValueSnapshot extends LevelView implements KeyValueSnapshot {
  readonly #snapshot: Snapshot;

  constructor(database: Database, snapshot: Snapshot) {
    super(database, snapshot);
    this.#snapshot = snapshot;
  }

  close(): Promise<void> {
    return this.#snapshot.close();
  }
}

class LevelKeyValue extends LevelView implements KeyValueBackend {
  readonly #database: Database;

  constructor(database: Database) {
    super(database);
    this.#database = database;
  }

  async write(operations: readonly KeyValueOperation[]): Promise<void> {
    // A chained batch costs a tenth of an array of operations, which abstract-level clones one by one.
    const batch = this.#database.batch();
    for (const operation of operations) {
      if (operation.type === 'put') batch.put(operation.key, operation.value);
      else batch.del(operation.key);
    }
    await batch.write({ sync: true });
  }

  snapshot(): KeyValueSnapshot {
    return new LevelKeyValueSnapshot(this.#database, this.#database.snapshot());
  }

  close(): Promise<void> {
    return this.#database.close();
  }
}
