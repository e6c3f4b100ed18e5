/** One spec file, made to last: for `npm run soak`. */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

export type SpecSoak = 'held' | 'failed' | { readonly skipped: string };

export type SpecSoakOptions = {
  /** Below `cluster-test/`, built. */
  readonly spec: string;
  /** The environment variable that tells the spec how long it lasts. */
  readonly minutesVariable: string;
  readonly minutes: number;
  /** What the machine lacks for it. */
  readonly missing?: readonly string[];
};

/** Runs it for so many minutes, its output to this process's; skipped where the machine can't have it. */
export function soakSpec({ spec, minutesVariable, minutes, missing = [] }: SpecSoakOptions): SpecSoak {
  if (minutes <= 0) return { skipped: 'no minutes are given to it' };
  if (missing.length > 0) return { skipped: missing.join('; ') };
  const mocha = createRequire(import.meta.url).resolve('mocha/bin/mocha.js');
  const file = fileURLToPath(new URL(`../${spec}`, import.meta.url));
  const { status } = spawnSync(process.execPath, [mocha, file], {
    stdio: 'inherit',
    // What it needs is here, so that nothing may be left out.
    env: { ...process.env, [minutesVariable]: String(minutes), SUBLET_TEST_ALL: '1' },
  });
  return status === 0 ? 'held' : 'failed';
}

/** For the account at the end. */
export function soakOutcome(soak: SpecSoak): string {
  return typeof soak === 'object' ? `SKIPPED: ${soak.skipped}` : soak;
}
