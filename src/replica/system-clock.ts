/** The process's own monotonic clock and event loop, to be handed to a replica as arguments. */
import type { Clock } from '#replica/clock.js';
import type { Defer } from '#replica/replica-options.js';

/** Goes on while the process is stopped (SIGSTOP), and knows nothing of the time of day. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};

/** After the sockets that have something were read, once per turn of the event loop. */
export const systemDefer: Defer = (run) => {
  setImmediate(run);
};
