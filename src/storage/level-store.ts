/**
 * The log store of a member in a directory: `db/` is LevelDB's, `identity` the identity file, `ballast` space
 * to give up. Formats, what damage is found, and what an operator does then: docs/storage.md.
 */
import { randomBytes } from 'node:crypto';
import { dirname, join, resolve } from 'node:path';
import { makeFolder } from '#files/make-folder.js';
import type { Clock } from '#replica/ports/clock.js';
import type { LogStore } from '#replica/ports/log-store.js';
import { isDiskFull, storeError } from '#storage/checks/store-failure.js';
import { syncDirectory } from '#storage/files/directory.js';
import { FileDiskSpace } from '#storage/files/disk-space.js';
import { FileIdentity } from '#storage/files/identity-file.js';
import type { KeyValueBackend } from '#storage/key-value.js';
import { openLogStore } from '#storage/key-value-log-store.js';
import { openLevelKeyValue } from '#storage/level-key-value.js';

const mebibyte = 1024 * 1024;

export type LevelStoreOptions = {
  readonly clock: Clock;
  /** Below it `space()` asks that proposals be refused. */
  readonly freeBytesFloor?: number;
  /** Held in reserve for opening on a full disk: at least four times `writeBufferBytes`. */
  readonly ballastBytes?: number;
  /** LevelDB's: what it keeps in memory and in a `.log` before it writes a table. */
  readonly writeBufferBytes?: number;
};

export const levelStoreDefaults = {
  freeBytesFloor: 64 * mebibyte,
  ballastBytes: 16 * mebibyte,
  writeBufferBytes: 4 * mebibyte,
} as const;

/**
 * Opens the store in `directory`, or makes it if there never was one.
 * @throws StoreError `corrupt`, `amnesia`, `locked`, `full`, `io`: nothing is changed then that a later start would need
 */
export async function openLevelStore(directory: string, options: LevelStoreOptions): Promise<LogStore> {
  const place = resolve(directory);
  const sizes = { ...levelStoreDefaults, ...options };
  const space = new FileDiskSpace(place, join(place, 'ballast'), {
    floorBytes: sizes.freeBytesFloor,
    ballastBytes: sizes.ballastBytes,
  });
  try {
    makeFolder(place);
    await syncDirectory(dirname(place));
  } catch (error) {
    throw storeError(place, 'make its directory', error);
  }
  return openLogStore({
    place,
    identityFile: new FileIdentity(join(place, 'identity')),
    openBackend: (mayCreate) =>
      openWithBallast(space, () =>
        openLevelKeyValue(join(place, 'db'), { place, mayCreate, writeBufferBytes: sizes.writeBufferBytes }),
      ),
    space,
    clock: options.clock,
    newStoreId: () => randomBytes(16).toString('hex'),
    newNonce: () => randomBytes(4).toString('hex'),
  });
}

/** LevelDB writes when it opens. On a full disk the ballast makes room for that, once. */
async function openWithBallast(space: FileDiskSpace, open: () => Promise<KeyValueBackend>): Promise<KeyValueBackend> {
  try {
    return await open();
  } catch (error) {
    if (!isDiskFull(error) || !(await space.giveUpBallast())) throw error;
    return await open();
  }
}
