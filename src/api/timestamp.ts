/** A `google.protobuf.Timestamp` of an answer or a request, as a number. */
export type TimestampMessage = { readonly seconds?: number | null; readonly nanos?: number | null };

/** Whole ms since 1970; a fraction is cut off. */
export function timestampMs({ seconds, nanos }: TimestampMessage): number {
  return (seconds ?? 0) * 1_000 + Math.floor((nanos ?? 0) / 1_000_000);
}
