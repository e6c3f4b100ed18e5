/**
 * How a command fails: one place that turns errors into exit codes, words, and what to do next.
 * Exit codes: 0 done, 1 refused or failed, 2 wrong use, 3 no master reachable, 70 a master that must not go on as it is.
 */
import { AddressError } from '#address/brand.js';

export const exitCodes = { done: 0, refused: 1, usage: 2, noMaster: 3, storeFailed: 70 } as const;
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

/** What an argument is, or a usage failure that says what is wrong with it. */
export function argument<T>(name: string, text: string, parse: (text: string) => T): T {
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof AddressError) throw usage(`${name}: ${error.message}`);
    throw error;
  }
}
