/** Waiting for something that another process brings about: look, look again, and fail with what was last seen. */
import { setTimeout as delay } from 'node:timers/promises';

const lookEveryMs = 20;

/**
 * Resolves with what `look` returns once that is not undefined. An error that `look` throws counts as "not yet".
 * @throws Error naming `what` and the last error after `boundMs`.
 */
export async function until<T>(
  what: string,
  boundMs: number,
  look: () => Promise<T | undefined> | T | undefined,
): Promise<T> {
  const end = performance.now() + boundMs;
  let last: unknown;
  for (;;) {
    try {
      const seen = await look();
      if (seen !== undefined) return seen;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (performance.now() > end) {
      const why = last instanceof Error ? `: ${last.message}` : '';
      throw new Error(`${what}: not within ${boundMs} ms${why}`, { cause: last });
    }
    await delay(lookEveryMs);
  }
}

/** A promise for `true`, to be waited for with `until`: undefined means "not yet". */
export function holds(met: boolean): true | undefined {
  return met ? true : undefined;
}
