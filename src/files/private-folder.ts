/** Folders that no other user may read or change: a store, the identity of a host. */
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { FolderError, makeFolder } from '#files/make-folder.js';

const othersMayWrite = 0o022;
const othersMayRead = 0o055;
/** In a folder with this bit (as /tmp) others can't take away what is not theirs. */
const sticky = 0o1000;

/** Has all files and folders that this process makes from here on belong to its user alone. */
export function keepFilesPrivate(): void {
  process.umask(0o077);
}

/** Has all files and folders that `work` makes belong to the user of this process alone. */
export async function withPrivateFiles<T>(work: () => Promise<T>): Promise<T> {
  const former = process.umask(0o077);
  try {
    return await work();
  } finally {
    process.umask(former);
  }
}

/**
 * Makes the folder for this user alone, if it is not there. Returns what to warn of: others may read it.
 * @throws FolderError when it can't be made, or when others may write there
 */
export function makePrivateFolder(path: string): string | undefined {
  makeFolder(path, 0o700);
  const place = resolve(path);
  const { mode } = statSync(place);
  const writable = writableByOthers(place);
  if (writable !== undefined && (mode & sticky) === 0) throw new FolderError(writable);
  if ((mode & othersMayRead) === 0) return undefined;
  return `other users may read in ${place} (mode ${shown(mode)}): "chmod 700 ${place}" keeps it to its own user`;
}

/**
 * That other users may write in the folder, with the command that ends it; undefined: they may not.
 * @throws Error (fs) when it is not there
 */
export function writableByOthers(path: string): string | undefined {
  const place = resolve(path);
  const { mode } = statSync(place);
  if ((mode & othersMayWrite) === 0) return undefined;
  return `other users may write in ${place} (mode ${shown(mode)}): see that what is in it is yours, and take that right away with "chmod go-w ${place}"`;
}

function shown(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, '0');
}
