/** Snapshot files on disk: written whole or not at all, encrypted on request, and read back before they are believed. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { AgeEncryption, decryptAge, isAge } from '#age/age-file.js';
import { AgeError, type AgeIdentity, type AgeRecipient } from '#age/age-keys.js';
import { exitCodes, Failure, usage } from '#cli/failure.js';
import { whyUnreadable } from '#cli/operator/unreadable.js';
import { isSystemError } from '#errors/expected-error.js';
import { errorCode } from '#errors/unknown-error.js';
import { WriteError } from '#files/write-failure.js';
import { syncDirectory } from '#storage/files/directory.js';
import { readSnapshotFile, type SnapshotFileContent, SnapshotFileError } from '#storage/snapshots/snapshot-file.js';

export type WholeFile = {
  /** The recipients that it is encrypted to; empty: it is not encrypted. */
  readonly recipients: readonly AgeRecipient[];
  /** Called before the file gets its name; what it throws ends the writing. */
  readonly check: (content: SnapshotFileContent) => void;
};

/**
 * Writes `pieces` to `name` by way of a temporary file beside it, and returns what was read back. A link stays, and what it
 * leads to is written. @throws Failure, also where `name` is something else than a file, whose place a file would take
 */
export async function writeWhole(
  name: string,
  pieces: AsyncIterable<Uint8Array>,
  { recipients, check }: WholeFile,
): Promise<SnapshotFileContent> {
  const file = await placeOf(name);
  const temporary = `${file}.${process.pid}.part`;
  try {
    const content =
      recipients.length === 0
        ? await writePlain(temporary, pieces)
        : await writeEncrypted(temporary, pieces, recipients);
    check(content);
    await rename(temporary, file);
    await syncDirectory(dirname(file));
    return content;
  } catch (error) {
    await rm(temporary, { force: true });
    throw isSystemError(error)
      ? new Failure(exitCodes.refused, new WriteError(file, error).message)
      : fileFailure(file, error);
  }
}

/** The file that a name means; one that is not there yet means itself. */
async function placeOf(name: string): Promise<string> {
  try {
    const file = await realpath(name);
    if ((await stat(file)).isFile()) return file;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return name;
    throw fileFailure(name, error);
  }
  throw new Failure(exitCodes.refused, `${name}: it is not a file, and the snapshot would take its place`, [
    'Name a file: it is written beside, read back, and renamed.',
  ]);
}

async function writePlain(temporary: string, pieces: AsyncIterable<Uint8Array>): Promise<SnapshotFileContent> {
  await writeSynced(temporary, async (write) => {
    for await (const piece of pieces) await write(piece);
  });
  return readWhole(temporary, undefined);
}

/** What is on disk can't be read here, without an identity: its bytes are compared, and the content is read on its way there. */
async function writeEncrypted(
  temporary: string,
  pieces: AsyncIterable<Uint8Array>,
  recipients: readonly AgeRecipient[],
): Promise<SnapshotFileContent> {
  const encryption = new AgeEncryption(recipients);
  const written = createHash('sha256');
  const content = await writeSynced(temporary, (write) => {
    const sealed = async (bytes: Uint8Array): Promise<void> => {
      written.update(bytes);
      await write(bytes);
    };
    const read = async function* (): AsyncGenerator<Uint8Array> {
      await sealed(encryption.head);
      for await (const piece of pieces) {
        await sealed(encryption.add(piece));
        yield piece;
      }
      await sealed(encryption.end());
    };
    return readSnapshotFile(read());
  });
  const found = createHash('sha256');
  for await (const piece of createReadStream(temporary)) found.update(piece);
  if (found.digest('hex') !== written.digest('hex')) {
    throw new SnapshotFileError('what was read back differs from what was written');
  }
  return content;
}

async function writeSynced<T>(
  file: string,
  work: (write: (bytes: Uint8Array) => Promise<void>) => Promise<T>,
): Promise<T> {
  const handle = await open(file, 'wx', 0o600);
  try {
    const result = await work((bytes) => handle.writeFile(bytes));
    await handle.sync();
    return result;
  } finally {
    await handle.close();
  }
}

/**
 * @param identities those of an encrypted file; undefined: none are given
 * @throws Failure when the file is not there, not whole, or encrypted to others
 */
export async function readWhole(
  file: string,
  identities: readonly AgeIdentity[] | undefined,
): Promise<SnapshotFileContent> {
  try {
    return await readSnapshotFile(await decrypted(file, identities));
  } catch (error) {
    const found = whyUnreadable(file, error);
    if (found === undefined) throw fileFailure(file, error);
    throw new Failure(exitCodes.refused, `${file}: ${found.why}`, found.hints);
  }
}

async function decrypted(
  file: string,
  identities: readonly AgeIdentity[] | undefined,
): Promise<AsyncIterable<Uint8Array>> {
  let encrypted = false;
  for await (const piece of createReadStream(file, { end: 63 })) encrypted = isAge(piece);
  const bytes = createReadStream(file);
  if (!encrypted) return bytes;
  if (identities !== undefined) return decryptAge(bytes, identities);
  bytes.destroy();
  throw usage(`${file}: it is encrypted`, 'Name the file with the identity of its recipient: --identity FILE');
}

function fileFailure(file: string, error: unknown): unknown {
  if (error instanceof SnapshotFileError || error instanceof AgeError) {
    return new Failure(exitCodes.refused, `${file}: ${error.message}`);
  }
  return isSystemError(error) ? new Failure(exitCodes.refused, `${file}: ${error.message}`) : error;
}
