/**
 * Writes to the CNI folder so that an engine never reads half a file: a container engine may list it at any moment,
 * and Mesos reads every file in it, so the temporary file stands elsewhere on the same file system.
 */
import { existsSync } from 'node:fs';
import { chmod, lstat, rm, rmdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { makeFolder } from '#files/make-folder.js';
import { writableByOthers } from '#files/private-folder.js';
import { writeWholeFile } from '#files/whole-file.js';

export async function writeCniFile(dir: string, name: string, content: string): Promise<void> {
  // Engines read it, also those of other users: the mask of this process does not count here.
  const isNew = !existsSync(dir);
  makeFolder(dir);
  if (isNew) await chmod(dir, 0o755);
  const staging = await stagingFolder(dir);
  makeFolder(staging);
  await refuseForeign(staging);
  const temporary = join(staging, `${name}.${process.pid}`);
  try {
    await writeWholeFile(join(dir, name), temporary, content, 0o644);
  } finally {
    await rmdir(staging).catch(() => undefined); // Another agent's file is in it: that one removes it.
  }
}

/** Beside the folder another user may have been first, where its parent is for all (/tmp). */
async function refuseForeign(staging: string): Promise<void> {
  const { uid } = await lstat(staging);
  if (uid === process.getuid?.() && writableByOthers(staging) === undefined) return;
  throw new Error(`${staging} is another user's, or one in which others may write: remove it`);
}

export async function deleteCniFile(dir: string, name: string): Promise<void> {
  await rm(join(dir, name), { force: true });
}

/** A sibling of the folder; inside it (engines skip folders) where the folder is a mount of its own. */
async function stagingFolder(dir: string): Promise<string> {
  const parent = dirname(dir);
  const [inside, beside] = await Promise.all([stat(dir), stat(parent)]);
  return inside.dev === beside.dev ? join(parent, `.${basename(dir)}.sublet`) : join(dir, '.sublet');
}
