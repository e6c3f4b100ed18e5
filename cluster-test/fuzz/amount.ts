/**
 * How much a fuzz spec does: a fixed number of inputs in a test run, or as many as fit into SUBLET_FUZZ_MINUTES, of which
 * each layer of a spec gets an equal share.
 */
import { randomInt } from 'node:crypto';

const seedLimit = 2 ** 31;
const soakMinutes = Number(process.env.SUBLET_FUZZ_MINUTES ?? 0);
/** Whether the inputs go on for minutes. */
export const fuzzSoaks = soakMinutes > 0;

/** SUBLET_FUZZ_SEED, or a fresh number; it is printed either way. */
export function fuzzSeed(spec: string): number {
  const given = process.env.SUBLET_FUZZ_SEED;
  const seed = given === undefined ? randomInt(seedLimit) : Number(given);
  if (!Number.isSafeInteger(seed) || seed < 0 || seed >= seedLimit) {
    throw new RangeError(`SUBLET_FUZZ_SEED=${given}: a whole number from 0 to ${seedLimit - 1} is allowed`);
  }
  console.log(`${spec}: SUBLET_FUZZ_SEED=${seed}`);
  return seed;
}

export type AmountOptions = {
  /** Inputs in a test run. */
  readonly inputs: number;
  /** Layers that share the minutes of a soak. */
  readonly layers: number;
};

export class Amount {
  readonly #inputs: number;
  readonly #endMs: number | undefined;
  readonly #beginMs = performance.now();
  #done = 0;

  constructor({ inputs, layers }: AmountOptions) {
    this.#inputs = inputs;
    this.#endMs = soakMinutes > 0 ? this.#beginMs + (soakMinutes * 60_000) / layers : undefined;
  }

  /** Whether there is one more input to do; it is counted. */
  next(): boolean {
    if (this.#endMs === undefined ? this.#done >= this.#inputs : performance.now() >= this.#endMs) return false;
    this.#done += 1;
    return true;
  }

  /** `20,000 messages in 5.2 s`. */
  report(what: string): void {
    const seconds = (performance.now() - this.#beginMs) / 1000;
    console.log(`      ${this.#done.toLocaleString('en')} ${what} in ${seconds.toFixed(1)} s`);
  }
}

/** Of a property of fast-check: so many runs in a test run, or as many as fit into the minutes of a soak. */
export function fuzzRuns(
  inTestRun: number,
): { readonly numRuns: number } & Partial<{ readonly interruptAfterTimeLimit: number }> {
  if (soakMinutes === 0) return { numRuns: inTestRun };
  return { numRuns: Number.MAX_SAFE_INTEGER, interruptAfterTimeLimit: soakMinutes * 60_000 };
}

/** What mocha waits for a spec of so many layers, in ms. */
export const fuzzTimeoutMs = soakMinutes * 60_000 + 120_000;
