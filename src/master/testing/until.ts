/** Waits for something that happens on real sockets: looks at every turn of the event loop, and gives up after a bound. */
import { setImmediate as nextTurn } from 'node:timers/promises';

/** Certificates are looked at every 5 s, and a busy machine does all later: well below the time that a test has. */
const boundMs = 30_000;

/** @throws Error naming `what` when it does not hold in time */
export async function until(what: string, holds: () => boolean): Promise<void> {
  const end = performance.now() + boundMs;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`${what}: not within ${boundMs} ms`);
    await nextTurn();
  }
}
