/**
 * `npm run soak -- [--minutes M] [--tries T]`: first how many seeds it takes to find each planted bug without aiming
 * (the median of T tries), then fresh seeds for the rest of the time. Ends with 1 if a seed fails or a bug is not found.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { bugs } from '#cluster-test/simulation/bugs.js';
import { runPlanted } from '#cluster-test/simulation/planted-run.js';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '480' },
    tries: { type: 'string', default: '5' },
    seeds: { type: 'string', default: '500' },
    events: { type: 'string', default: '20000' },
  },
});
const endMs = performance.now() + Number(values.minutes) * 60_000;
const seedsAtOnce = 200;

async function median(mutation: string): Promise<number | undefined> {
  const found: number[] = [];
  for (let attempt = 0; attempt < Number(values.tries); attempt += 1) {
    const first = Math.floor(Math.random() * 2 ** 31);
    const run = await runPlanted({
      mutation,
      aimed: false,
      first,
      seeds: Number(values.seeds),
      events: Number(values.events),
    });
    found.push(run.caught === undefined ? Number.POSITIVE_INFINITY : run.seeds);
  }
  const middle = found.sort((a, b) => a - b)[Math.floor(found.length / 2)];
  return middle === Number.POSITIVE_INFINITY ? undefined : middle;
}

let failed = 0;
console.log('median seeds to find each planted bug, not aimed:');
for (const { name } of bugs) {
  const seeds = await median(name);
  if (seeds === undefined) failed += 1;
  console.log(`${String(seeds ?? `> ${values.seeds}`).padStart(8)}  ${name}`);
}
while (performance.now() < endMs) {
  const main = fileURLToPath(new URL('./main.js', import.meta.url));
  const { status } = spawnSync(process.execPath, [main, '--seeds', String(seedsAtOnce)], { stdio: 'inherit' });
  if (status !== 0) failed += 1;
}
process.exitCode = failed === 0 ? 0 : 1;
