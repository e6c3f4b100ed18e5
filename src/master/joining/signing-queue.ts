/**
 * The pace at which a master signs: each signature takes some 4 ms of a processor that consensus needs, too. Callers wait
 * in order; beyond the bound they are refused.
 */
import { RefusedError } from '#api/refusal.js';
import type { Clock } from '#replica/ports/clock.js';

/** Signatures in a second. */
export const signaturesPerSecond = 50;
/** Callers that wait. */
export const signingQueueMax = 1_000;

const everyMs = 1_000 / signaturesPerSecond;

export class SigningQueue {
  readonly #clock: Clock;
  #next = Number.NEGATIVE_INFINITY;
  #waiting = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when it is the caller's turn. @throws RefusedError `overloaded` */
  async turn(): Promise<void> {
    if (this.#waiting >= signingQueueMax) {
      throw new RefusedError(
        'overloaded',
        `${signingQueueMax} hosts wait for a certificate of this master, which signs ${signaturesPerSecond} in a second`,
      );
    }
    const now = this.#clock.now();
    const at = Math.max(now, this.#next);
    this.#next = at + everyMs;
    if (at === now) return;
    this.#waiting += 1;
    await new Promise<void>((resolve) => this.#clock.after(at - now, resolve));
    this.#waiting -= 1;
  }
}
