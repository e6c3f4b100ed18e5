/**
 * A lock on a file, by which one process at a time has a folder. The kernel gives it back when the process ends, however it ends.
 * Node has no call for it: flock(1) of util-linux takes it for the open file of this process, and leaves it to it.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';

/** Exit code of flock(1) when another process has the lock. */
const taken = 1;

export type FileLock = { release(): void };

/**
 * `taken`: another process has it. `no-tool`: this machine has no flock(1).
 * @throws the error of the system when the file can't be opened
 */
export function lockFile(path: string): FileLock | 'taken' | 'no-tool' {
  const file = openSync(path, 'a', 0o600);
  const { status, error } = spawnSync('flock', ['--nonblock', '3'], { stdio: ['ignore', 'ignore', 'ignore', file] });
  if (status === 0) return { release: () => closeSync(file) };
  closeSync(file);
  return status === taken && error === undefined ? 'taken' : 'no-tool';
}
