/** The clock of a real process: monotonic time and timers of Node. */
import type { Clock } from '#replica/clock.js';

export class SystemClock implements Clock {
  now(): number {
    return performance.now();
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  }
}
