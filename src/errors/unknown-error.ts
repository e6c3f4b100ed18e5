/** What was caught, as an error or as text: JavaScript throws any value. */

export function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

/** Its `code` as the system and Node.js name it: `ENOENT`; empty: it has none. */
export function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/**
 * Its message; of `fetch`, which says `fetch failed` of each failure, that of the cause, and of a connection that was
 * tried at several addresses, which has none of its own, those of the tries.
 */
export function errorText(error: unknown): string {
  const { message, cause } = asError(error);
  if (message === '' && error instanceof AggregateError) return [...new Set(error.errors.map(errorText))].join('; ');
  return message === 'fetch failed' && cause instanceof Error && cause.message !== '' ? cause.message : message;
}
