/** How long to wait before the next attempt: twice as long each time, up to a limit. */

export type Backoff = { readonly baseMs: number; readonly capMs: number };

/** `min(capMs, baseMs · 2^attempt)`, in ms. `attempt` counts from 0. */
export function backoffMs({ baseMs, capMs }: Backoff, attempt: number): number {
  // Beyond 2^30 every cap in use is reached, and the power stays a safe integer.
  return Math.min(capMs, baseMs * 2 ** Math.min(attempt, 30));
}

/**
 * Full jitter: a wait from `[0, backoffMs)`, so that thousands that failed together do not come back together. `random`
 * gives [0, 1).
 */
export function jitteredBackoffMs(backoff: Backoff, attempt: number, random: () => number): number {
  return random() * backoffMs(backoff, attempt);
}

/** A wait from `[fromMs, toMs)`. */
export function between(fromMs: number, toMs: number, random: () => number): number {
  return fromMs + random() * (toMs - fromMs);
}
