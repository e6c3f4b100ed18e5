/** Makes names durable: a new file is on disk only when its directory is. And whose a directory is. */
import { lchown, open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Gives `place`, and all that is in it, to the owner of `model`: a service that runs as that user could not open what
 * root made in its place. Without root there is nothing to do.
 */
export async function ownAs(place: string, model: string): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = await stat(model);
  const inside = await readdir(place, { recursive: true });
  for (const path of [place, ...inside.map((name) => join(place, name))]) await lchown(path, uid, gid);
}
