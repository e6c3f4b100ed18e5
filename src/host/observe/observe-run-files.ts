/** Reads what there is where the lease is written as files. */
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errorCode, errorText } from '#errors/unknown-error.js';
import { writableByOthers } from '#files/private-folder.js';
import { envEnding, leaseFile } from '#host/desired/desired-run-files.js';
import type { RunFileSettings } from '#host/input.js';
import type { ObservedHost } from '#host/observe/observed.js';

/** Files beyond this many are not looked at; there is one for each overlay. */
const filesMax = 1000;

/** A folder that is not there has no files. One in which other users may write is not used: scripts of root read it. */
export async function observeRunFiles({ runDir, flannelFile }: RunFileSettings): Promise<ObservedHost['runFiles']> {
  const files = new Map<string, string>();
  try {
    if (runDir !== undefined) {
      for (const name of (await listed(runDir, 'run_dir')).slice(0, filesMax)) {
        if (name !== leaseFile && !name.endsWith(envEnding)) continue;
        await read(join(runDir, name), files);
      }
    }
    if (flannelFile !== undefined) {
      await listed(dirname(flannelFile), 'the folder of flannel_subnet_file');
      await read(flannelFile, files);
    }
    return { kind: 'read', value: files };
  } catch (error) {
    return { kind: 'unreadable', error: errorText(error) };
  }
}

async function listed(folder: string, what: string): Promise<readonly string[]> {
  try {
    const writable = writableByOthers(folder);
    if (writable !== undefined) throw new Error(`${what} is not used: ${writable}`);
    return await readdir(folder);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** One that can't be read (a folder, a link that leads nowhere) is there all the same, and not ours. */
async function read(path: string, files: Map<string, string>): Promise<void> {
  try {
    files.set(path, await readFile(path, 'utf8'));
  } catch (error) {
    if (!isMissing(error)) files.set(path, '');
  }
}

function isMissing(error: unknown): boolean {
  return errorCode(error) === 'ENOENT';
}
