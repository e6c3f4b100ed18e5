/**
 * The addresses that an operator has set for members, in a file beside the database: nothing that the log says of the
 * members is changed on one member alone. See `replica/moved-members.ts`.
 */
import { open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ExpectedError } from '#errors/expected-error.js';
import type { MovedMember } from '#replica/members/moved-members.js';
import { syncDirectory } from '#storage/files/directory.js';

const fileName = 'moved.json';
const membersMax = 64;
const address = z.string().min(1).max(512);
const schema = z.strictObject({
  format: z.literal(1),
  moved: z.array(z.strictObject({ storeId: z.string(), from: address, to: address })).max(membersMax),
});

/** The file holds no addresses: it was changed by hand, or damaged. */
export class MovedFileError extends ExpectedError {
  override readonly name = 'MovedFileError';
}

/** Empty: there is no file. `place` is the folder of the store. @throws MovedFileError with what is wrong with the file */
export async function readMoved(place: string): Promise<readonly MovedMember[]> {
  const path = join(place, fileName);
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (text === undefined) return [];
  try {
    return schema.parse(JSON.parse(text)).moved;
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error) : error instanceof Error ? error.message : '';
    const way = 'remove it, and say again where the masters are with `sublet members move --data-dir`';
    throw new MovedFileError(`${path} can not be read: ${why}: ${way}`, { cause: error });
  }
}

/** Whole or not at all; durable when it resolves. */
export async function writeMoved(place: string, moved: readonly MovedMember[]): Promise<void> {
  const path = join(place, fileName);
  const handle = await open(`${path}.new`, 'w', 0o600);
  try {
    await handle.writeFile(`${JSON.stringify(schema.parse({ format: 1, moved }), undefined, 2)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${path}.new`, path);
  await syncDirectory(place);
}

export async function removeMoved(place: string): Promise<void> {
  await rm(join(place, fileName), { force: true });
}
