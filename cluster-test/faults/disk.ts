/**
 * A small disk for one master's data, whose free space a spec decides: a tmpfs that is made as small as what is on it,
 * and large again. It is unmounted at the end of the process, also when a test fails or is interrupted; what a run
 * left that was killed outright, the next one takes away.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statfsSync } from 'node:fs';
import { atEnd } from '#cluster-test/host/netns.js';

/** Each try races one look at the disk against a write. */
const fillTriesMax = 50;
const device = (pid: number): string => `sublet-disk-${pid}`;

export class Disk {
  readonly #folder: string;
  readonly #bytes: number;
  readonly remove: () => void;

  constructor(folder: string, bytes: number) {
    sweep();
    this.#folder = folder;
    this.#bytes = bytes;
    mkdirSync(folder, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, device(process.pid), folder]);
    // Lazily: a master that is killed at the same time may still have a file open.
    this.remove = atEnd(() => execFileSync('umount', ['--lazy', folder]));
  }

  /** Leaves so many bytes free. */
  fill(freeBytes: number): void {
    for (let tries = 1; ; tries++) {
      const used = this.#usedBytes();
      try {
        this.#resize(used + freeBytes);
        return;
      } catch (error) {
        // The master writes on meanwhile, and a tmpfs can't be made smaller than what is on it by then.
        if (tries === fillTriesMax || this.#usedBytes() <= used + freeBytes) throw error;
      }
    }
  }

  /** Makes it as large as it was. */
  free(): void {
    this.#resize(this.#bytes);
  }

  #usedBytes(): number {
    const { bsize, blocks, bfree } = statfsSync(this.#folder);
    return (blocks - bfree) * bsize;
  }

  #resize(bytes: number): void {
    execFileSync('mount', ['-o', `remount,size=${bytes}`, this.#folder], { stdio: 'pipe' });
  }
}

/** Unmounts the disks of runs that no longer live. */
function sweep(): void {
  for (const line of readFileSync('/proc/mounts', 'utf8').split('\n')) {
    const [source = '', folder = ''] = line.split(' ');
    const pid = /^sublet-disk-(\d+)$/.exec(source)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) execFileSync('umount', ['--lazy', folder]);
  }
}
