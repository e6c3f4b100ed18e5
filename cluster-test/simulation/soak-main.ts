/**
 * `npm run soak -- [--minutes M] [--kill-minutes K] [--site-minutes P] [--fuzz-minutes F] [--package-minutes Q] [--alert-minutes A] [--move-minutes V] [--table-minutes T] [--tries N] [--seeds S] [--jobs J]`:
 * first real masters that are killed at random (as root), then inputs of every kind at readers and real masters, then a site of real masters with clones, masters put back and
 * restores, then the Debian package on booted hosts, then each alert under a real Prometheus, then hosts that move from DC/OS and flannel and back, then how many seeds it takes to find each planted bug without aiming, then fresh seeds for the rest of the time.
 * Ends with 1 if the masters lose something or grant it twice, a seed fails, a rare branch was never met, or a bug was found
 * in none of its tries.
 */
import { parseArgs } from 'node:util';
import { alertSoak } from '#cluster-test/alerts/alert-soak.js';
import { killSoak } from '#cluster-test/faults/kill-soak.js';
import { fuzzSoak } from '#cluster-test/fuzz/fuzz-soak.js';
import { moveSoak } from '#cluster-test/host/move-soak.js';
import { packageSoak } from '#cluster-test/packages/package-soak.js';
import { soakOutcome } from '#cluster-test/process/spec-soak.js';
import { withUsage } from '#cluster-test/process/usage.js';
import { Report } from '#cluster-test/simulation/report.js';
import { runCommand } from '#cluster-test/simulation/run-command.js';
import { type BugSearch, searchTable, searchUnaimed } from '#cluster-test/simulation/unaimed-search.js';
import { siteSoak } from '#cluster-test/site/site-soak.js';

const usage = `npm run soak -- [--minutes M] [--kill-minutes K] [--site-minutes P] [--fuzz-minutes F] [--package-minutes Q] [--alert-minutes A] [--move-minutes V] [--table-minutes T] [--tries N] [--seeds S] [--events E] [--jobs J]
docs/simulation.md says what it does.`;

/** Seeds that one run of `npm run simulate` works off. */
const seedsAtOnce = 200;

const args = process.argv.slice(2);
await withUsage(usage, args, async () => {
  const { values } = parseArgs({
    args,
    options: {
      minutes: { type: 'string', default: '480' },
      'kill-minutes': { type: 'string', default: '30' },
      'site-minutes': { type: 'string', default: '30' },
      'fuzz-minutes': { type: 'string', default: '30' },
      'package-minutes': { type: 'string', default: '10' },
      'alert-minutes': { type: 'string', default: '10' },
      'move-minutes': { type: 'string', default: '5' },
      'table-minutes': { type: 'string', default: '60' },
      tries: { type: 'string', default: '5' },
      seeds: { type: 'string', default: '150' },
      events: { type: 'string', default: '20000' },
      jobs: { type: 'string' },
    },
  });

  const endMs = performance.now() + Number(values.minutes) * 60_000;

  const kills = killSoak(Math.min(Number(values.minutes), Number(values['kill-minutes'])));
  if (typeof kills === 'object') console.log(`masters killed at random: ${soakOutcome(kills)}`);

  const minutesLeft = (): number => Math.max(0, endMs - performance.now()) / 60_000;
  const fuzz = fuzzSoak(Math.min(minutesLeft(), Number(values['fuzz-minutes'])));
  if (typeof fuzz === 'object') console.log(`inputs of every kind: ${soakOutcome(fuzz)}`);

  const site = siteSoak(Math.min(minutesLeft(), Number(values['site-minutes'])));
  if (typeof site === 'object') console.log(`clones, masters put back and restores: ${soakOutcome(site)}`);

  const packages = packageSoak(Math.min(minutesLeft(), Number(values['package-minutes'])));
  if (typeof packages === 'object') console.log(`packages on hosts: ${soakOutcome(packages)}`);

  const alerts = alertSoak(Math.min(minutesLeft(), Number(values['alert-minutes'])));
  if (typeof alerts === 'object') console.log(`alerts: ${soakOutcome(alerts)}`);

  const moves = moveSoak(Math.min(minutesLeft(), Number(values['move-minutes'])));
  if (typeof moves === 'object') console.log(`hosts that move: ${soakOutcome(moves)}`);

  const searches: readonly BugSearch[] = await searchUnaimed({
    tries: Number(values.tries),
    seedsMax: Number(values.seeds),
    events: Number(values.events),
    endMs: Math.min(endMs, performance.now() + Number(values['table-minutes']) * 60_000),
  });
  console.log(searchTable(searches));
  const unfound = searches.filter(({ tries }) => tries.length > 0 && tries.every(({ found }) => !found));

  const report = new Report();
  let first = Math.floor(Math.random() * 2 ** 31);
  while (performance.now() < endMs) {
    const { events, jobs } = values;
    const batch = { seeds: String(seedsAtOnce), first: String(first), events, jobs };
    await runCommand({ ...batch, aimed: false, trace: false, json: false }, undefined, report);
    first += seedsAtOnce;
  }

  console.log(`
masters killed at random: ${soakOutcome(kills)}
inputs of every kind: ${soakOutcome(fuzz)}
clones, masters put back and restores: ${soakOutcome(site)}
packages on hosts: ${soakOutcome(packages)}
alerts: ${soakOutcome(alerts)}
hosts that move: ${soakOutcome(moves)}
planted bugs that were tried and not found: ${unfound.map(({ name }) => name).join(', ') || 'none'}
fresh seeds: ${report.seeds}, of which ${report.failed} failed; never met: ${report.missed.join('; ') || 'nothing'}`);
  const stormFailed = [kills, fuzz, site, packages, alerts, moves].includes('failed');
  process.exitCode = stormFailed || unfound.length > 0 || report.failed > 0 || report.marksMissing ? 1 : 0;
});
