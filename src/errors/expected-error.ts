/** Failures that a user can mend, apart from bugs: by type, so that no bug is ever shown as a plain refusal. */
import { asError, errorCode } from '#errors/unknown-error.js';

/** The message says all that a user needs: what is wrong, and where. Each kind of failure has a subclass of its own. */
export abstract class ExpectedError extends Error {}

/** A call of the operating system that failed, as Node.js reports it. */
export type SystemError = Error & { readonly code: string; readonly address?: string; readonly port?: number };

const causesMax = 8;

/** The failed call of the operating system that `error` is, or that caused it; undefined: there is none. */
export function systemErrorIn(error: unknown): SystemError | undefined {
  let next = error;
  for (let depth = 0; depth < causesMax && next !== undefined; depth++) {
    const { cause } = asError(next);
    if (isSystemError(next)) return next;
    next = cause;
  }
  return undefined;
}

export function isSystemError(error: unknown): error is SystemError {
  return error instanceof Error && 'syscall' in error && errorCode(error) !== '';
}
