/** A configuration file, read; and why a file can't be, in words. */
import { readFileSync } from 'node:fs';
import { type ExitCode, Failure } from '#cli/failure.js';

/** Reads a configuration file; `-` is the standard input. @throws Failure with `exitCode` when it can't be read */
export function readConfigFile(file: string, exitCode: ExitCode): { readonly name: string; readonly text: string } {
  if (file === '-') return { name: 'stdin', text: readFileSync(0, 'utf8') };
  try {
    return { name: file, text: readFileSync(file, 'utf8') };
  } catch (error) {
    const why = whyUnreadable(error);
    if (why === undefined) throw error;
    throw new Failure(exitCode, `${file}: ${why}`);
  }
}

/** Undefined for what is no answer of the file system, or a rare one. */
export function whyUnreadable(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return { ENOENT: 'there is no such file', EACCES: 'it may not be read', EISDIR: 'it is a folder' }[code];
}
