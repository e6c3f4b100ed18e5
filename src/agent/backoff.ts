/** How long to wait before the next try. */

/** Waits are drawn from `[0, min(capMs, baseMs · 2^attempt)]`: full jitter, so that thousands that failed together do not come back together. */
export type Backoff = { readonly baseMs: number; readonly capMs: number };

/** `attempt` counts from 0; `random` gives [0, 1). The wait is in ms. */
export function backoffMs({ baseMs, capMs }: Backoff, attempt: number, random: () => number): number {
  // Beyond 2^30 every cap in use is reached, and the power stays a safe integer.
  return random() * Math.min(capMs, baseMs * 2 ** Math.min(attempt, 30));
}

/** A wait from `[fromMs, toMs)`. */
export function between(fromMs: number, toMs: number, random: () => number): number {
  return fromMs + random() * (toMs - fromMs);
}
