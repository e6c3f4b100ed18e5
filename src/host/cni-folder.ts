/**
 * Writes to the CNI folder so that an engine never reads half a file: a container engine may list it at any moment,
 * and Mesos reads every file in it, so the temporary file stands elsewhere on the same file system.
 */
import { mkdir, open, rename, rm, rmdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

export async function writeCniFile(dir: string, name: string, content: string): Promise<void> {
  await mkdir(dir, { recursive: true });
  const staging = await stagingFolder(dir);
  await makeFolder(staging);
  const temporary = join(staging, `${name}.${process.pid}`);
  try {
    const file = await open(temporary, 'w', 0o644);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, join(dir, name));
  } finally {
    await rm(temporary, { force: true });
    await rmdir(staging).catch(() => undefined); // Another agent's file is in it: that one removes it.
  }
}

export async function deleteCniFile(dir: string, name: string): Promise<void> {
  await rm(join(dir, name), { force: true });
}

/** Not by `recursive`, which on a read-only file system says that there is no such folder. */
async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    const isThere = error instanceof Error && 'code' in error && error.code === 'EEXIST';
    if (!isThere) throw error;
  }
}

/** A sibling of the folder; inside it (engines skip folders) where the folder is a mount of its own. */
async function stagingFolder(dir: string): Promise<string> {
  const parent = dirname(dir);
  const [inside, beside] = await Promise.all([stat(dir), stat(parent)]);
  return inside.dev === beside.dev ? join(parent, `.${basename(dir)}.sublet`) : join(dir, '.sublet');
}
