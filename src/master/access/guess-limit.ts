/**
 * A bound on wrong guesses at the port for joining, of one address and of all together. A secret has 256 bits: the bound
 * keeps guesses from costing anything, and one address from keeping others out.
 */
import { clientNetwork } from '#address/client-network.js';
import { RefusedError } from '#api/refusal.js';
import type { Clock } from '#replica/ports/clock.js';

/** Guesses in a second, and so many at once after a pause. */
const perAddress = { rate: 5, burst: 10 };
const inAll = { rate: 50, burst: 200 };
/** Addresses that are remembered. */
const addressesMax = 10_000;

type Bucket = { left: number; atMs: number };
type Pace = typeof perAddress;

export class GuessLimit {
  readonly #clock: Pick<Clock, 'now'>;
  /** Oldest first. */
  readonly #addresses = new Map<string, Bucket>();
  readonly #all: Bucket = { left: inAll.burst, atMs: Number.NEGATIVE_INFINITY };
  #refused = 0;

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  /** Attempts refused so far without a look at what they bring. */
  get refused(): number {
    return this.#refused;
  }

  /**
   * Counts an attempt as a wrong guess until `right` is called: so many attempts under way are no way around the bound.
   * @throws RefusedError `overloaded`
   */
  enter(address: string): { right(): void } {
    const key = clientNetwork(address);
    const own = this.#bucketOf(key);
    this.#refill(own, perAddress);
    this.#refill(this.#all, inAll);
    if (own.left < 1 || this.#all.left < 1) {
      this.#refused += 1;
      const whose = own.left < 1 ? `${key} has` : 'hosts have';
      throw new RefusedError('overloaded', `join: ${whose} shown too many tokens that are of no use; try again later`);
    }
    own.left -= 1;
    this.#all.left -= 1;
    return {
      right: () => {
        own.left = Math.min(perAddress.burst, own.left + 1);
        this.#all.left = Math.min(inAll.burst, this.#all.left + 1);
      },
    };
  }

  /** Counts what turned out to be wrong later than `enter`. */
  wrong(address: string): void {
    for (const bucket of [this.#bucketOf(clientNetwork(address)), this.#all]) {
      bucket.left = Math.max(0, bucket.left - 1);
    }
  }

  #bucketOf(key: string): Bucket {
    const known = this.#addresses.get(key) ?? { left: perAddress.burst, atMs: Number.NEGATIVE_INFINITY };
    this.#addresses.delete(key);
    this.#addresses.set(key, known);
    if (this.#addresses.size > addressesMax) {
      const [oldest] = this.#addresses.keys();
      if (oldest !== undefined) this.#addresses.delete(oldest);
    }
    return known;
  }

  #refill(bucket: Bucket, { rate, burst }: Pace): void {
    const now = this.#clock.now();
    bucket.left = Math.min(burst, bucket.left + ((now - bucket.atMs) / 1_000) * rate);
    bucket.atMs = now;
  }
}
