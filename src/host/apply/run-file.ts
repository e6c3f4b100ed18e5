/** Writes a file of the run folder so that a reader never gets half of one. */
import { existsSync } from 'node:fs';
import { chmod, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { makeFolder } from '#files/make-folder.js';
import { writableByOthers } from '#files/private-folder.js';
import { writeWholeFile } from '#files/whole-file.js';

/** Mode 0644, in a folder of mode 0755 where it is made: the lease is no secret, and programs of other users read it. */
export async function writeRunFile(path: string, content: string): Promise<void> {
  const folder = dirname(path);
  const isNew = !existsSync(folder);
  makeFolder(folder);
  if (isNew) await chmod(folder, 0o755);
  const writable = writableByOthers(folder);
  if (writable !== undefined) throw new Error(writable);
  // In the folder itself, in which no other user may write: its parent may be read-only for this process.
  const temporary = join(folder, `.${basename(path)}.${process.pid}`);
  await writeWholeFile(path, temporary, content, 0o644);
}

export async function deleteRunFile(path: string): Promise<void> {
  await rm(path, { force: true });
}
