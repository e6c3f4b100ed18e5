/**
 * A storm of calls, measured in one order whatever is called: warm up, the load, then one call at a time. Ratios between two of
 * them so compare like with like, compiled code and grown heaps included.
 */

import { cpuMsOf } from '#cluster-test/bench/process-usage.js';
import { type LoadResult, load } from '#cluster-test/bench/storms/load.js';

/** Processes that have just started compile as they go. */
const warmCalls = 2_000;
const singleCalls = 500;

export type StormOptions<Sample> = {
  /** Under load; some more come before and after. */
  readonly calls: number;
  /** At a time, under load. */
  readonly concurrency: number;
  /** Each number is called once: 0, 1, and so on. */
  readonly call: (number: number) => Promise<unknown>;
  /** Processes whose time is taken under load, this one not among them. */
  readonly pids: readonly number[];
  /** What else is read right before the load and right after it. */
  readonly sample: () => Promise<Sample>;
};

export type StormResult<Sample> = {
  readonly loaded: LoadResult;
  readonly single: LoadResult;
  /** Processor time of a call under load, in µs: of each of `pids` in their order, and of this process. */
  readonly cpuUs: { readonly servers: readonly number[]; readonly client: number };
  readonly before: Sample;
  readonly after: Sample;
};

/** Carries the storm out. The first call that fails fails the whole. */
export async function storm<Sample>(options: StormOptions<Sample>): Promise<StormResult<Sample>> {
  const { calls, concurrency, call, pids, sample } = options;
  const warm = Math.min(warmCalls, calls);
  await load(warm, concurrency, call);
  const before = await sample();
  const cpuMs = (): number[] => [...pids, process.pid].map(cpuMsOf);
  const cpuBefore = cpuMs();
  const loaded = await load(calls, concurrency, (number) => call(warm + number));
  const cpuUs = cpuMs().map((ms, at) => ((ms - (cpuBefore[at] ?? Number.NaN)) * 1000) / calls);
  const after = await sample();
  const single = await load(Math.min(singleCalls, calls), 1, (number) => call(warm + calls + number));
  return { loaded, single, cpuUs: { servers: cpuUs.slice(0, -1), client: cpuUs.at(-1) ?? Number.NaN }, before, after };
}
