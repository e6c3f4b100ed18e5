/** Keeps one identity from taking all turns to sign: one renewal of it in a while. */
import { RefusedError } from '#api/refusal.js';
import type { Clock } from '#replica/ports/clock.js';
import { formatDuration } from '#text/duration.js';

/** A process whose answer was lost asks again after five minutes. */
export const renewalEveryMs = 60_000;
/** Identities that are remembered: more than a cluster has. */
const identitiesMax = 100_000;

export class RenewalPace {
  readonly #clock: Pick<Clock, 'now'>;
  /** By identity, when it asked last; oldest first. */
  readonly #asked = new Map<string, number>();

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  /** @throws RefusedError `overloaded` */
  enter(identity: string): void {
    const now = this.#clock.now();
    const last = this.#asked.get(identity);
    if (last !== undefined && now - last < renewalEveryMs) {
      throw new RefusedError(
        'overloaded',
        `renew: ${identity} has asked within the last ${formatDuration(renewalEveryMs)}; ask again later`,
      );
    }
    this.#asked.delete(identity);
    this.#asked.set(identity, now);
    const [oldest] = this.#asked.keys();
    if (this.#asked.size > identitiesMax && oldest !== undefined) this.#asked.delete(oldest);
  }
}
