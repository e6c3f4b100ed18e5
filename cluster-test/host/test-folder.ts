/**
 * Temporary folders of tests on real hosts, which may hold daemons and mounts: removed with all of that at the end of
 * the process, and, after a run that was killed outright, by the next run.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atEnd } from '#cluster-test/host/netns.js';

const prefix = 'sublet-host';
let isSwept = false;

/** A new folder, and what removes it at once. */
export function testFolder(role: string): { readonly folder: string; readonly remove: () => void } {
  if (!isSwept) sweep();
  isSwept = true;
  const folder = mkdtempSync(join(tmpdir(), `${prefix}-${process.pid}-${role}-`));
  return { folder, remove: atEnd(() => clear(folder)) };
}

/** Takes away folders of runs that no longer live. */
function sweep(): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = new RegExp(`^${prefix}-(\\d+)-`).exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) clear(join(tmpdir(), name));
  }
}

function clear(folder: string): void {
  for (const pid of processesNaming(folder)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended by itself meanwhile.
    }
  }
  for (const mount of mountsUnder(folder)) spawnSync('umount', ['-l', mount]);
  rmSync(folder, { recursive: true, force: true });
}

/** Processes whose command line names the folder: daemons, and what they started. */
function processesNaming(folder: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(folder);
      } catch {
        return false; // It ended by itself meanwhile.
      }
    })
    .map(Number);
}

function mountsUnder(folder: string): string[] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .filter((path) => path.startsWith(folder))
    .sort()
    .reverse();
}
