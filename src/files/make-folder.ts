/**
 * Makes folders, one part of the path after the other. Node's own recursive way never ends where a file system refuses
 * to make any (procfs: there is no such folder, and no parent is missing), and its errors name a call of the system.
 */

import { mkdirSync, type Stats, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { errorCode, errorText } from '#errors/unknown-error.js';

/** A folder can't be made: the message says of which part of its path, and why. */
export class FolderError extends Error {
  override readonly name = 'FolderError';
}

/** In words where the system's are too few. */
const reasons: Readonly<Record<string, string>> = {
  EACCES: 'this user may not write there',
  EPERM: 'this user may not write there',
  EROFS: 'its file system is read-only',
  ENOENT: 'its file system has no folders that can be made',
  ENAMETOOLONG: 'a name in it is too long',
  ELOOP: 'its symbolic links lead in a circle',
};

/**
 * The folder is there afterwards, with all above it. `mode` is for those that are made.
 * @throws FolderError
 */
export function makeFolder(path: string, mode = 0o777): void {
  const missing: string[] = [];
  for (let at = resolve(path); !isFolder(at); at = dirname(at)) missing.unshift(at);
  for (const each of missing) make(each, mode);
}

/** False: there is nothing. @throws FolderError when something else is there */
function isFolder(path: string): boolean {
  const found = look(path);
  if (found !== undefined && !found.isDirectory()) throw new FolderError(`${path} is not a folder`);
  return found !== undefined;
}

function look(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch (error) {
    const code = errorCode(error);
    // Below a file, too, there is nothing: the file is come to on the way up.
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw failure(path, error);
  }
}

function make(path: string, mode: number): void {
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    // Another process was faster.
    if (errorCode(error) === 'EEXIST' && isFolder(path)) return;
    throw failure(path, error);
  }
}

function failure(path: string, error: unknown): FolderError {
  const code = errorCode(error);
  const known = reasons[code];
  // The code stays: callers, which know what the folder is for, decide by it.
  const why = known === undefined ? errorText(error) : `${known} (${code})`;
  return new FolderError(`${path} can't be made: ${why}`, { cause: error });
}
