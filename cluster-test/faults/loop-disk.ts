/**
 * A file system of its own for one master's data, ext4 in a file, that a spec can freeze: every write waits in the kernel, as
 * on a disk that does not answer. It is thawed and unmounted at the end of the process, also when a test fails.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { atEnd } from '#cluster-test/host/netns.js';
import { command, type Requirement, root } from '#cluster-test/requirement.js';

export const loopDiskTools: readonly Requirement[] = [
  root,
  ...['mount', 'umount', 'mkfs.ext4', 'fsfreeze', 'losetup'].map((name) => command(name)),
];

export class LoopDisk {
  readonly #folder: string;
  readonly remove: () => void;
  #frozen = false;

  constructor(folder: string, bytes: number) {
    this.#folder = folder;
    const image = `${folder}.ext4`;
    writeFileSync(image, '');
    truncateSync(image, bytes);
    execFileSync('mkfs.ext4', ['-q', '-F', image]);
    mkdirSync(folder, { recursive: true });
    execFileSync('mount', ['-o', 'loop', image, folder]);
    this.remove = atEnd(() => {
      this.thaw();
      execFileSync('umount', ['--lazy', folder]);
    });
  }

  freeze(): void {
    execFileSync('fsfreeze', ['--freeze', this.#folder]);
    this.#frozen = true;
  }

  thaw(): void {
    if (!this.#frozen) return;
    this.#frozen = false;
    execFileSync('fsfreeze', ['--unfreeze', this.#folder]);
  }
}
