/**
 * How a command fails: one place that turns errors into exit codes, words, and what to do next.
 * Exit codes: 0 done, 1 refused or failed, 2 wrong use, 3 no master reachable, 70 a master that must not go on as it is, 71 one
 * that was removed.
 */
import { AddressError } from '#address/brand.js';
import { ExpectedError, isSystemError } from '#errors/expected-error.js';
import { FolderError } from '#files/make-folder.js';
import { StoreError } from '#replica/ports/log-store.js';

export const exitCodes = { done: 0, refused: 1, usage: 2, noMaster: 3, storeFailed: 70, removed: 71 } as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** A failure with its exit code. */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly exitCode: ExitCode;
  /** What to do next, one line each. */
  readonly hints: readonly string[];

  constructor(exitCode: ExitCode, message: string, hints: readonly string[] = []) {
    super(message);
    this.exitCode = exitCode;
    this.hints = hints;
  }
}

export function usage(message: string, ...hints: readonly string[]): Failure {
  return new Failure(exitCodes.usage, message, hints);
}

/** What is no bug: an expected failure of any kind, the system's included. undefined: `error` is none. */
export function expectedFailure(error: unknown): Failure | undefined {
  const isExpected = error instanceof ExpectedError || error instanceof StoreError || isSystemError(error);
  return isExpected ? new Failure(exitCodes.refused, error.message) : undefined;
}

/** A folder that a setting names can't be made; undefined: `error` is another one. `setting` as the user knows it. */
export function folderFailure(setting: string, path: string, error: unknown): Failure | undefined {
  const cause = error instanceof StoreError ? error.cause : error;
  // A full disk has its own way out, which the store tells.
  if (!(cause instanceof FolderError) || (error instanceof StoreError && error.code === 'full')) return undefined;
  return new Failure(exitCodes.refused, `${setting} ${path} can’t be used: ${cause.message}`, [
    'Give another folder, or check who may write there.',
  ]);
}

/** What an argument is, or a usage failure that says what is wrong with it. */
export function argument<T>(name: string, text: string, parse: (text: string) => T): T {
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof AddressError) throw usage(`${name}: ${error.message}`);
    throw error;
  }
}
