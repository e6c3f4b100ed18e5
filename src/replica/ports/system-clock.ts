/** The process's own monotonic clock and event loop, to be handed to replicas, masters and agents as arguments. */
import type { Clock, Defer } from '#replica/ports/clock.js';

/** Node keeps timers in 31 bits of ms, and takes a longer one for one that is due at once. */
const timerMaxMs = 2 ** 31 - 1;

/** Goes on while the process is stopped (SIGSTOP), and knows nothing of the time of day. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after(delayMs, run) {
    let leftMs = delayMs;
    let timer: NodeJS.Timeout;
    const wait = (): void => {
      const stepMs = Math.min(leftMs, timerMaxMs);
      leftMs -= stepMs;
      timer = setTimeout(leftMs > 0 ? wait : run, stepMs);
    };
    wait();
    return () => clearTimeout(timer);
  },
};

/** After the sockets that have something were read, once per turn of the event loop. */
export const systemDefer: Defer = (run) => {
  setImmediate(run);
};
