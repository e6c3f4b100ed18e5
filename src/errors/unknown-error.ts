/** What was caught, as an error or as text: JavaScript throws any value. */

export function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

export function errorText(error: unknown): string {
  return asError(error).message;
}
