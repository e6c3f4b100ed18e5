/** Where a fault spec's chance comes from: SUBLET_FAULT_SEED, or else a fresh number; it is printed either way. */
import { randomInt } from 'node:crypto';

const seedLimit = 2 ** 31;

export function faultSeed(spec: string): number {
  const given = process.env.SUBLET_FAULT_SEED;
  const seed = given === undefined ? randomInt(seedLimit) : Number(given);
  if (!Number.isSafeInteger(seed) || seed < 0 || seed >= seedLimit) {
    throw new RangeError(`SUBLET_FAULT_SEED=${given}: a whole number from 0 to ${seedLimit - 1} is allowed`);
  }
  console.log(`${spec}: SUBLET_FAULT_SEED=${seed}`);
  return seed;
}
