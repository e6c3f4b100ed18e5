/**
 * An answer that is costly to work out: once for all concurrent callers, and after a pause in proportion to what it
 * cost.
 */

/** The pause after one that took 1 ms, in ms: a twentieth of the time goes into it at most. */
const pausePerMs = 20;
const pauseMsMax = 1_000;

/**
 * `version` says which state an answer is of; while it stays, so does the answer. `work` is never under way twice.
 */
export function pacedAnswer<T>(
  version: () => unknown,
  work: () => Promise<T>,
  now: () => number = () => performance.now(),
): () => Promise<T> {
  let last: { readonly version: unknown; readonly answer: T } | undefined;
  let inFlight: Promise<T> | undefined;
  let freeAtMs = Number.NEGATIVE_INFINITY;
  const run = async (): Promise<T> => {
    const waitMs = freeAtMs - now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    const [of, begin] = [version(), now()];
    const answer = await work();
    last = { version: of, answer };
    freeAtMs = now() + Math.min(pauseMsMax, (now() - begin) * pausePerMs);
    return answer;
  };
  return async () => {
    for (;;) {
      const asked = version();
      if (last !== undefined && last.version === asked) return last.answer;
      const joined = inFlight;
      inFlight ??= run().finally(() => {
        inFlight = undefined;
      });
      const answer = await inFlight;
      // One that was in flight before may be of an earlier state: later callers get the later one.
      if (joined === undefined) return answer;
    }
  };
}
