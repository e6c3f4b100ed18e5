/** A file that a reader never sees half of. */
import { open, rename, rm } from 'node:fs/promises';

/**
 * Writes `path` by way of `temporary`, which is on the same file system; durable when it resolves. Whatever stands at
 * `temporary` is removed, and never written to: it is of a process that crashed, or a link of another user.
 */
export async function writeWholeFile(path: string, temporary: string, content: string, mode: number): Promise<void> {
  await rm(temporary, { force: true });
  try {
    const file = await open(temporary, 'wx', mode);
    try {
      // The mask of this process does not count.
      await file.chmod(mode);
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
