/**
 * How soon each planted bug is found without aiming: several tries per bug, each from a fresh seed and with a bound. The
 * tries go round, so that the table is as good for every bug when the time is over.
 */
import { bugs } from '#cluster-test/simulation/planted/bugs.js';
import { runPlanted } from '#cluster-test/simulation/planted/planted-run.js';

/** `seeds` until it was found, or that were tried in vain. */
export type SearchTry = { readonly seeds: number; readonly found: boolean };
export type BugSearch = { readonly name: string; readonly tries: readonly SearchTry[]; readonly seedsMax: number };

export async function searchUnaimed({
  tries: triesMax,
  seedsMax,
  events,
  endMs,
}: {
  readonly tries: number;
  /** Seeds of one try. */
  readonly seedsMax: number;
  readonly events: number;
  /** On the clock of `performance`: no try begins after it. */
  readonly endMs: number;
}): Promise<readonly BugSearch[]> {
  const tries = new Map<string, SearchTry[]>(bugs.map(({ name }) => [name, []]));
  for (let round = 0; round < triesMax; round += 1) {
    for (const [mutation, done] of tries) {
      if (performance.now() > endMs) break;
      const first = Math.floor(Math.random() * 2 ** 31);
      const { seeds, caught } = await runPlanted({ mutation, aimed: false, first, seeds: seedsMax, events });
      done.push({ seeds, found: caught !== undefined });
      const by =
        caught === undefined ? `not found in ${seeds}` : `seed ${caught.seed}, the ${seeds}.: ${caught.violation}`;
      console.log(`${mutation}, try ${done.length}: ${by}`);
    }
  }
  return [...tries].map(([name, done]) => ({ name, tries: done, seedsMax }));
}

/** Median seeds per bug, most laborious last. */
export function searchTable(searches: readonly BugSearch[]): string {
  const rows = searches.map((search) => ({ search, median: median(search) }));
  const lines = rows
    .sort((one, other) => one.median - other.median)
    .map(({ search: { name, tries, seedsMax }, median: seeds }) => {
      const found = tries.filter((each) => each.found).length;
      if (tries.length === 0) return `${''.padStart(8)}  ${name} (not tried: there was no time left)`;
      const text = seeds === Number.POSITIVE_INFINITY ? `> ${seedsMax}` : String(seeds);
      return `${text.padStart(8)}  ${name} (found in ${found} of ${tries.length} tries)`;
    });
  return ['median seeds to find each planted bug, not aimed:', ...lines].join('\n');
}

function median({ tries }: BugSearch): number {
  const counts = tries.map(({ seeds, found }) => (found ? seeds : Number.POSITIVE_INFINITY)).sort((a, b) => a - b);
  return counts[Math.floor(counts.length / 2)] ?? Number.POSITIVE_INFINITY;
}
