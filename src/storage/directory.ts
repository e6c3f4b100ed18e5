/** Makes names durable: a new file is on disk only when its directory is. */
import { open } from 'node:fs/promises';

export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
