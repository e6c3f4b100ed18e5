/** Files that are whole or as they were: written beside, synced, and renamed. */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { WriteError } from '#files/write-failure.js';

/**
 * For this user alone (0600); durable on return. Of several processes that write it, the last one counts. Whatever
 * stands at the temporary name is removed, and never written to. @throws WriteError
 */
export function writeDurably(path: string, text: string): void {
  const beside = `${path}.${process.pid}.new`;
  try {
    rmSync(beside, { force: true });
    const file = openSync(beside, 'wx', 0o600);
    try {
      writeFileSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(beside, path);
    const folder = openSync(dirname(path), 'r');
    try {
      fsyncSync(folder);
    } finally {
      closeSync(folder);
    }
  } catch (error) {
    rmSync(beside, { force: true });
    throw new WriteError(path, error);
  }
}
