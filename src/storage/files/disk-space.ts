/**
 * Free space: below a floor the store asks that proposals be refused, until a quarter more than the floor is free; and
 * a ballast file holds what opening needs, to be given up when the disk is full all the same. LevelDB can't open,
 * and so can't even be read, on a disk without any room.
 */
import { randomBytes } from 'node:crypto';
import { open, rename, rm, stat, statfs } from 'node:fs/promises';
import type { StoreSpace } from '#replica/ports/log-store.js';
import { isDiskFull, storeFailureReason } from '#storage/checks/store-failure.js';
import { formatSize } from '#text/size.js';

export type DiskSpace = {
  /** Looks at the disk, and rebuilds the ballast when there is room for it. Never throws: what fails is a problem. */
  check(): Promise<void>;
  /** As of the last look. */
  space(): StoreSpace;
};

const mebibyte = 1024 * 1024;
/** Once below the floor, so much of it has to be free on top before all counts as well again. */
const marginAboveFloor = 1 / 4;

export class FileDiskSpace implements DiskSpace {
  readonly #directory: string;
  readonly #ballast: string;
  readonly #floorBytes: number;
  readonly #ballastBytes: number;
  #space: StoreSpace;

  constructor(
    directory: string,
    ballast: string,
    sizes: { readonly floorBytes: number; readonly ballastBytes: number },
  ) {
    this.#directory = directory;
    this.#ballast = ballast;
    this.#floorBytes = sizes.floorBytes;
    this.#ballastBytes = sizes.ballastBytes;
    this.#space = { freeBytes: undefined, neededBytes: sizes.floorBytes, problem: undefined };
  }

  space(): StoreSpace {
    return this.#space;
  }

  async check(): Promise<void> {
    try {
      this.#space = await this.#look();
    } catch (error) {
      const problem = `can't tell how much space is free on the file system of ${this.#directory}: ${storeFailureReason(error)}`;
      this.#space = { freeBytes: undefined, neededBytes: this.#floorBytes, problem };
    }
  }

  /** Frees the ballast. False: there was none. */
  async giveUpBallast(): Promise<boolean> {
    const bytes = await this.#ballastSize();
    await rm(this.#ballast, { force: true });
    return bytes > 0;
  }

  async #look(): Promise<StoreSpace> {
    const freeBytes = await this.#freeBytes();
    const missing = this.#ballastBytes - (await this.#ballastSize());
    const floor = this.#floorBytes + missing;
    // What is freed and used again right at the floor must not turn proposals on and off.
    const enough = floor + this.#floorBytes * marginAboveFloor;
    if (freeBytes < (this.#space.problem === undefined ? floor : enough)) {
      const given = missing > 0 ? ` beside the ${formatSize(this.#ballastBytes)} of ballast that were given up` : '';
      const problem =
        `${formatSize(freeBytes)} free on the file system of ${this.#directory}; ${formatSize(enough)} are ` +
        `needed${given}. Free some space, or enlarge it; it is looked at again every second.`;
      return { freeBytes, neededBytes: enough, problem };
    }
    if (missing > 0) await this.#writeBallast();
    return { freeBytes, neededBytes: floor, problem: undefined };
  }

  async #freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.#directory);
    return bavail * bsize;
  }

  async #ballastSize(): Promise<number> {
    const found = await stat(this.#ballast).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    return found?.size ?? 0;
  }

  /** Random, so that a file system that compresses holds as much space as is asked of it. */
  async #writeBallast(): Promise<void> {
    const temporary = `${this.#ballast}.new`;
    try {
      const handle = await open(temporary, 'w', 0o600);
      try {
        for (let left = this.#ballastBytes; left > 0; left -= mebibyte) {
          await handle.writeFile(randomBytes(Math.min(left, mebibyte)));
        }
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(temporary, this.#ballast);
    } catch (error) {
      await rm(temporary, { force: true });
      // Another program has taken the free space; the next look shows it.
      if (!isDiskFull(error)) throw error;
    }
  }
}
