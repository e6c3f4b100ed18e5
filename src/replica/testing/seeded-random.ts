/** Chance from a seed: the same seed gives the same numbers on every machine (xorshift32, Marsaglia 2003). */
export class SeededRandom {
  #state: number;

  constructor(seed: number) {
    // The generator stays at 0 forever, so 0 is mapped elsewhere; the multiplication spreads small seeds.
    this.#state = Math.imul(seed + 1, 0x9e3779b1) | 0 || 1;
    for (let warmUp = 0; warmUp < 8; warmUp += 1) this.below(2);
  }

  /** A uniform integer in [0, limit), for limits far below 2^32. */
  below(limit: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % limit;
  }

  chance(probability: number): boolean {
    return this.below(1_000_000) < probability * 1_000_000;
  }
}
