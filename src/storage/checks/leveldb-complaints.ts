/**
 * LevelDB drops what it can't read when it opens, and says so only in its own LOG file. What it dropped is gone from
 * then on, so a complaint in the LOG of the last opening counts, too; the LOG stays as it is until the database is
 * opened, which is refused while there are complaints.
 */
import { open } from 'node:fs/promises';
import { join } from 'node:path';

const logNames = ['LOG', 'LOG.old'];

/** Recovery comes first in a LOG; what follows are months of compactions. */
const readBytesMax = 1024 * 1024;

/** The lines, without their date and thread. */
export async function levelDbComplaints(directory: string): Promise<readonly string[]> {
  const complaints: string[] = [];
  for (const name of logNames) {
    for (const line of (await head(join(directory, name))).split('\n')) {
      if (/ignoring error|dropping \d+ bytes/i.test(line)) complaints.push(line.split(' ').slice(2).join(' '));
    }
  }
  return complaints;
}

async function head(path: string): Promise<string> {
  const handle = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (handle === undefined) return '';
  try {
    const bytes = Buffer.alloc(readBytesMax);
    const { bytesRead } = await handle.read(bytes, 0, readBytesMax, 0);
    return bytes.toString('utf8', 0, bytesRead);
  } finally {
    await handle.close();
  }
}
