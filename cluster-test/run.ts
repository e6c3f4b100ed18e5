/**
 * The test command: lint, then every spec under dist/ in one mocha run, two files at a time in processes of their own.
 * Arguments pick files by part of their path: `npm test -- storage raft`. Ends with mocha's summary, what was skipped and
 * why, and the plain line `N passed, N failed`.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import Mocha from 'mocha';
import '#cluster-test/first-seed.js';
import { noteSkipped } from '#cluster-test/requirement.js';
import { reportingMocha } from '#cluster-test/test-report.js';
import { handOver } from '#runtime/hand-over.js';

const dist = join(dirname(fileURLToPath(import.meta.url)), '..');
const top = join(dist, '..');

/** Spec files at a time. */
const lanes = 2;

function specs(parts: readonly string[]): string[] {
  return ['src', 'proto', 'deploy/site', 'cluster-test']
    .flatMap((folder) =>
      readdirSync(join(dist, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)),
    )
    .filter((name) => name.endsWith('.spec.js'))
    .filter((name) => parts.length === 0 || parts.some((part) => name.includes(part)))
    .sort(byLength)
    .map((name) => join(dist, name));
}

/** The specs of real processes take longest and go first; those of the rooms fill the time while the last of them run. */
function byLength(a: string, b: string): number {
  const long = (name: string): number => (name.startsWith('cluster-test/') ? 0 : 1);
  return long(a) - long(b) || (a < b ? -1 : 1);
}

function lint(): boolean {
  const run = spawnSync(join(top, 'node_modules/.bin/biome'), ['check', '--error-on-warnings', '.'], {
    cwd: top,
    encoding: 'utf8',
  });
  if (run.status !== 0) console.error(`lint: failed\n${run.stdout}${run.stderr}`);
  return run.status === 0;
}

async function main(): Promise<void> {
  const lintOk = lint();
  const files = specs(process.argv.slice(2));
  const jobs = Math.min(lanes, files.length);
  const mocha = reportingMocha(process.stdout.isTTY === true, jobs);
  for (const file of files) mocha.addFile(file);
  if (jobs < 2) await mocha.loadFilesAsync();
  const skipped = noteSkipped();
  let passed = 0;
  let failed = lintOk ? 0 : 1;
  mocha
    .run((failures) => {
      failed += failures;
      report(passed, failed, skipped());
      // Whatever a spec left open must not keep the command from ending; mocha's own command does the same.
      process.exit(failed === 0 ? 0 : 1);
    })
    .on(Mocha.Runner.constants.EVENT_TEST_PASS, () => {
      passed += 1;
    });
}

function report(passed: number, failed: number, skipped: readonly { title: string; reason: string }[]): void {
  if (skipped.length > 0) {
    console.log(`${skipped.length} skipped:`);
    for (const { title, reason } of skipped) console.log(`  ${title}: ${reason}`);
  }
  console.log(`${passed} passed, ${failed} failed`);
}

if (!(await handOver())) {
  process.chdir(relative(process.cwd(), top) || '.');
  await main();
}
