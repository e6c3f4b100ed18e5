/**
 * Snapshots of the stored state that a program holds, for backups. Each keeps the log behind it, and opening one takes a
 * turn at the disk, which the member's own writes wait for as well: so there are few at a time, however many are asked for.
 */
import type { SnapshotSource } from '#replica/ports/log-store.js';
import { ProposeError } from '#replica/ports/replicated-log.js';

/** Open, or being opened, at a time; beyond it callers are refused as `overloaded`. */
export const openSnapshotsMax = 16;

export class OpenSnapshots {
  #count = 0;

  /** What `open` gives, counted until it is closed. @throws ProposeError `overloaded`, as a rejection; what `open` rejects with */
  async open(open: () => Promise<SnapshotSource>): Promise<SnapshotSource> {
    if (this.#count >= openSnapshotsMax) {
      throw new ProposeError(
        'overloaded',
        `${openSnapshotsMax} snapshots of the state are open already, as many as may be: try again when one is done`,
      );
    }
    this.#count += 1;
    try {
      return this.#counted(await open());
    } catch (error) {
      this.#count -= 1;
      throw error;
    }
  }

  #counted(source: SnapshotSource): SnapshotSource {
    let closing: Promise<void> | undefined;
    return {
      meta: source.meta,
      chunks: (chunkBytesMax) => source.chunks(chunkBytesMax),
      close: () => {
        closing ??= source.close().finally(() => {
          this.#count -= 1;
        });
        return closing;
      },
    };
  }
}
