/**
 * Small text files that are whole or not there: written to a temporary file, synced, and renamed over the old one.
 * The last line is the sum of the lines before it, so that a flipped digit in an address is not taken for an address.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { type FileHandle, open, rename } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { errorCode } from '#errors/unknown-error.js';
import { WriteError } from '#files/write-failure.js';

/** The file is there, and not as it was written. */
export class DamagedFileError extends Error {
  override readonly name = 'DamagedFileError';
}

const chunkCharacters = 1 << 18;

/** Writes the lines and their sum; durable on return. One writer at a time. @throws WriteError */
export function writeSealed(path: string, lines: Iterable<string>): void {
  try {
    write(path, lines);
  } catch (error) {
    throw new WriteError(path, error);
  }
}

function write(path: string, lines: Iterable<string>): void {
  const file = openSync(temporary(path), 'w', 0o600);
  try {
    for (const chunk of sealed(lines)) writeFileSync(file, chunk);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary(path), path);
  const folder = openSync(dirname(path), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** As `writeSealed`, without holding up the process: for files of many lines. */
export async function writeSealedSlowly(path: string, lines: Iterable<string>): Promise<void> {
  try {
    await writeSlowly(path, lines);
  } catch (error) {
    throw new WriteError(path, error);
  }
}

async function writeSlowly(path: string, lines: Iterable<string>): Promise<void> {
  await using file = await disposable(open(temporary(path), 'w', 0o600));
  for (const chunk of sealed(lines)) await file.handle.writeFile(chunk);
  await file.handle.sync();
  await rename(temporary(path), path);
  await using folder = await disposable(open(dirname(path), 'r'));
  await folder.handle.sync();
}

/**
 * The lines as they were written; undefined when there is no such file.
 * @throws DamagedFileError
 */
export function readSealed(path: string): string[] | undefined {
  const text = readIfThere(path);
  if (text === undefined) return undefined;
  const seal = /(?:^|\n)crc32 ([0-9a-f]{8})\n$/.exec(text);
  if (seal === null) throw new DamagedFileError(`${path} has no sum in its last line: it is cut or was edited`);
  const body = text.slice(0, text.lastIndexOf('crc32 '));
  if (format(crc32(body)) !== seal[1]) {
    throw new DamagedFileError(`${path} is not what was written: its sum is ${format(crc32(body))}, not ${seal[1]}`);
  }
  return body.split('\n').slice(0, -1);
}

function* sealed(lines: Iterable<string>): Generator<string> {
  let sum = 0;
  let chunk = '';
  for (const line of lines) {
    chunk += `${line}\n`;
    if (chunk.length < chunkCharacters) continue;
    sum = crc32(chunk, sum);
    yield chunk;
    chunk = '';
  }
  sum = crc32(chunk, sum);
  yield `${chunk}crc32 ${format(sum)}\n`;
}

function format(sum: number): string {
  return sum.toString(16).padStart(8, '0');
}

function temporary(path: string): string {
  return join(dirname(path), `.${basename(path)}.new`);
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function disposable(opening: Promise<FileHandle>): Promise<AsyncDisposable & { readonly handle: FileHandle }> {
  const handle = await opening;
  return { handle, [Symbol.asyncDispose]: () => handle.close() };
}
