/** Closed-loop load: so many calls, so many at a time; and what a list of latencies says. */

export type Percentiles = { readonly p50: number; readonly p99: number; readonly max: number };

export type LoadResult = {
  readonly calls: number;
  readonly seconds: number;
  readonly perSecond: number;
  /** Of single calls, in ms. */
  readonly latencyMs: Percentiles;
};

/** Runs `call(0)` … `call(calls − 1)`, `concurrency` at a time; the first failure fails the whole. */
export async function load(
  calls: number,
  concurrency: number,
  call: (number: number) => Promise<unknown>,
): Promise<LoadResult> {
  const latencies = new Float64Array(calls);
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < calls) {
      const number = next++;
      const begin = performance.now();
      await call(number);
      latencies[number] = performance.now() - begin;
    }
  };
  const begin = performance.now();
  await Promise.all(Array.from({ length: Math.min(concurrency, calls) }, worker));
  const seconds = (performance.now() - begin) / 1000;
  return { calls, seconds, perSecond: calls / seconds, latencyMs: percentiles(latencies) };
}

/** Nearest-rank percentiles of a non-empty list. */
export function percentiles(values: ArrayLike<number>): Percentiles {
  const sorted = Float64Array.from(values).sort();
  const rank = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
  return { p50: rank(0.5), p99: rank(0.99), max: rank(1) };
}
