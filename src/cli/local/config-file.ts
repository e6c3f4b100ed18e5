/** A configuration file, read. */
import { readFileSync } from 'node:fs';
import { type ExitCode, Failure } from '#cli/failure.js';
import { whyUnreadable } from '#cli/operator/unreadable.js';

/** Reads a configuration file; `-` is the standard input. @throws Failure with `exitCode` when it can't be read */
export function readConfigFile(file: string, exitCode: ExitCode): { readonly name: string; readonly text: string } {
  if (file === '-') return { name: 'stdin', text: readFileSync(0, 'utf8') };
  try {
    return { name: file, text: readFileSync(file, 'utf8') };
  } catch (error) {
    const found = whyUnreadable(file, error);
    if (found === undefined) throw error;
    throw new Failure(exitCode, `${file}: ${found.why}`, found.hints);
  }
}
