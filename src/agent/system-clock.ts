/** The clock of a real process. */
import type { Clock } from '#replica/clock.js';

/** Node keeps timers in 31 bits of ms; longer waits are cut there, and every user looks at the time again. */
const delayMaxMs = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, Math.min(delayMs, delayMaxMs));
    return () => clearTimeout(timer);
  },
};
