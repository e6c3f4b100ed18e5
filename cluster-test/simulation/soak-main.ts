/**
 * `npm run soak -- [--minutes M] [--table-minutes T] [--tries N] [--seeds S] [--jobs J]`: first how many seeds it takes to
 * find each planted bug without aiming, then fresh seeds for the rest of the time. Ends with 1 if a seed fails, or a bug
 * was found in none of its tries.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type BugSearch, searchTable, searchUnaimed } from '#cluster-test/simulation/unaimed-search.js';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '480' },
    'table-minutes': { type: 'string', default: '60' },
    tries: { type: 'string', default: '5' },
    seeds: { type: 'string', default: '150' },
    events: { type: 'string', default: '20000' },
    jobs: { type: 'string' },
  },
});

/** Seeds that one run of `npm run simulate` works off. */
const seedsAtOnce = 200;
const endMs = performance.now() + Number(values.minutes) * 60_000;

const searches: readonly BugSearch[] = await searchUnaimed({
  tries: Number(values.tries),
  seedsMax: Number(values.seeds),
  events: Number(values.events),
  endMs: Math.min(endMs, performance.now() + Number(values['table-minutes']) * 60_000),
});
console.log(searchTable(searches));
let failed = searches.filter(({ tries }) => tries.length > 0 && tries.every(({ found }) => !found)).length;
while (performance.now() < endMs) {
  const main = fileURLToPath(new URL('./main.js', import.meta.url));
  const jobs = values.jobs === undefined ? [] : ['--jobs', values.jobs];
  const { status } = spawnSync(process.execPath, [main, '--seeds', String(seedsAtOnce), ...jobs], { stdio: 'inherit' });
  if (status !== 0) failed += 1;
}
process.exitCode = failed === 0 ? 0 : 1;
