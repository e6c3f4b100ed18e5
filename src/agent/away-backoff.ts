import type { Backoff } from '#time/backoff.js';

/** Agents that a fresh agent takes for granted: it does not know yet how many others there are. */
const agentsAssumed = 25_000;
/** How often a second all agents together try while no master serves, as far as the bounds of `awayCapMs` allow. */
const triesPerSecond = 10_000;
/** The longest wait of one agent is between these, ms; the average wait is half of it. */
const awayCapMs = { min: 1_000, max: 8_000 };

/**
 * How to wait for masters that are away. An attempt at a master that is away costs little, so a small network tries
 * often, and is connected again as soon as it has a leader; in a large one each agent tries less often, since all of
 * them find the masters back at the same moment. `agents` is how many there are; undefined: not known yet.
 */
export function awayBackoff(agents: number | undefined): Backoff {
  const capMs = (2_000 * (agents ?? agentsAssumed)) / triesPerSecond;
  return { baseMs: 500, capMs: Math.min(awayCapMs.max, Math.max(awayCapMs.min, capMs)) };
}
