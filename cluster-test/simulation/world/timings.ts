/** How fast a simulated cluster ticks. */
import type { ReplicaTiming } from '#replica/replica-options.js';

export const defaultTiming: ReplicaTiming = { heartbeatMs: 100, electionMs: 1000 };
/** Few events a minute, so that leases run out. */
export const slowTiming: ReplicaTiming = { heartbeatMs: 1000, electionMs: 10_000 };
/** To draw from. */
export const timings: readonly ReplicaTiming[] = [
  defaultTiming,
  defaultTiming,
  { heartbeatMs: 300, electionMs: 1500 },
  slowTiming,
];
