/** What the machine could do at all: the echo before and after what is measured, so that one that slows down on the way shows. */
import { measureFdatasync } from '#cluster-test/bench/disk.js';
import { measureEcho } from '#cluster-test/bench/echo.js';
import type { StormResult } from '#cluster-test/bench/storms/storm.js';

export type Yardstick = {
  /** Calls a second under load. */
  readonly echoPerSecond: number;
  /** Of the echo under load, in µs. */
  readonly echoCpuUs: StormResult<void>['cpuUs'];
  /** A small append made durable, p50, in ms. */
  readonly fdatasyncMs: number;
  /** A lone echo and one such append, p50 each, in ms: what a lone call that is stored can't go below. */
  readonly floorMs: number;
};

/** Measures `work` between two echoes of `calls` calls at `concurrency`, and the disk below `folder`. */
export async function besideYardstick<Result>(
  calls: number,
  concurrency: number,
  folder: string,
  work: () => Promise<Result>,
): Promise<{ readonly result: Result; readonly yardstick: Yardstick }> {
  const fdatasyncMs = measureFdatasync(folder).p50;
  const before = await measureEcho(calls, concurrency);
  const result = await work();
  const after = await measureEcho(calls, concurrency);
  const yardstick = {
    echoPerSecond: (before.loaded.perSecond + after.loaded.perSecond) / 2,
    echoCpuUs: after.cpuUs,
    fdatasyncMs,
    floorMs: (before.single.latencyMs.p50 + after.single.latencyMs.p50) / 2 + fdatasyncMs,
  };
  return { result, yardstick };
}
