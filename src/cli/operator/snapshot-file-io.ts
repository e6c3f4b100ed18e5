/** Snapshot files on disk: written whole or not at all, and read back before they are believed. */
import { createReadStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { exitCodes, Failure } from '#cli/failure.js';
import { whyUnreadable } from '#cli/operator/unreadable.js';
import { WriteError } from '#files/write-failure.js';
import { syncDirectory } from '#storage/files/directory.js';
import { readSnapshotFile, type SnapshotFileContent, SnapshotFileError } from '#storage/snapshots/snapshot-file.js';

/** Writes `pieces` to `file` by way of a temporary one beside it, and returns what was read back. @throws Failure */
export async function writeWhole(file: string, pieces: AsyncIterable<Uint8Array>): Promise<SnapshotFileContent> {
  const temporary = `${file}.${process.pid}.part`;
  try {
    const handle = await open(temporary, 'wx', 0o600);
    try {
      for await (const piece of pieces) await handle.writeFile(piece);
      await handle.sync();
    } finally {
      await handle.close();
    }
    const content = await readWhole(temporary);
    await rename(temporary, file);
    await syncDirectory(dirname(file));
    return content;
  } catch (error) {
    await rm(temporary, { force: true });
    throw isOfFiles(error)
      ? new Failure(exitCodes.refused, new WriteError(file, error).message)
      : fileFailure(file, error);
  }
}

/** @throws Failure when the file is not there, or not whole */
export async function readWhole(file: string): Promise<SnapshotFileContent> {
  try {
    return await readSnapshotFile(createReadStream(file));
  } catch (error) {
    const found = whyUnreadable(file, error);
    if (found === undefined) throw fileFailure(file, error);
    throw new Failure(exitCodes.refused, `${file}: ${found.why}`, found.hints);
  }
}

function fileFailure(file: string, error: unknown): unknown {
  if (error instanceof SnapshotFileError) return new Failure(exitCodes.refused, `${file}: ${error.message}`);
  return isOfFiles(error) ? new Failure(exitCodes.refused, `${file}: ${error.message}`) : error;
}

/** Whether the file system has refused. */
function isOfFiles(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && 'syscall' in error;
}
