/** Reads the CNI folder: every network file, and whose it is. */

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode, errorText } from '#errors/unknown-error.js';
import { writableByOthers } from '#files/private-folder.js';
import { cniFileOf } from '#host/observe/cni-file.js';
import type { ObservedCniFile, ObservedHost } from '#host/observe/observed.js';

/** Files beyond this many are not looked at; a container engine reads a handful. */
const filesMax = 1000;

/**
 * A folder that is not there has no files: it is made with the first one. One in which other users may write is not
 * used: engines run as root what its files ask for.
 */
export async function observeCni(dir: string): Promise<ObservedHost['cni']> {
  try {
    const writable = writableByOthers(dir);
    if (writable !== undefined) return { kind: 'unreadable', error: `cni_dir is not used: ${writable}` };
    const names = (await readdir(dir)).filter((name) => /\.(conf|conflist)$/.test(name)).slice(0, filesMax);
    const files = await Promise.all(names.map(async (name) => [name, await readCniFile(join(dir, name))] as const));
    return { kind: 'read', value: new Map(files) };
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return { kind: 'read', value: new Map() };
    const why = errorText(error);
    return { kind: 'unreadable', error: `the CNI folder ${dir} can't be read: ${why}` };
  }
}

/** A file that can't be read (a folder, a link that leads nowhere) is not ours, and hides none of the others. */
async function readCniFile(path: string): Promise<ObservedCniFile> {
  const content = await readFile(path, 'utf8').catch(() => '');
  return cniFileOf(content);
}
