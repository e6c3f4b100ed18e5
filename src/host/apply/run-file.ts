/** Writes a file of the run folder so that a reader never gets half of one. */
import { existsSync } from 'node:fs';
import { chmod, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { makeFolder } from '#files/make-folder.js';
import { writableByOthers } from '#files/private-folder.js';

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
  await rm(temporary, { force: true });
  try {
    const file = await open(temporary, 'wx', 0o644);
    try {
      await file.chmod(0o644);
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
}

export async function deleteRunFile(path: string): Promise<void> {
  await rm(path, { force: true });
}
