/** The storm of random kills on real processes, made to last: for `npm run soak`. */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { faultTools } from '#cluster-test/faults/fault-cluster.js';

export type KillSoak = 'held' | 'failed' | { readonly skipped: string };

/** Runs it for so many minutes, its output to this process's; skipped where the machine can't have it. */
export function killSoak(minutes: number): KillSoak {
  if (minutes <= 0) return { skipped: 'no minutes are given to it' };
  const missing = faultTools.flatMap(({ missing: tool }) => tool ?? []);
  if (missing.length > 0) return { skipped: missing.join('; ') };
  const mocha = createRequire(import.meta.url).resolve('mocha/bin/mocha.js');
  const spec = fileURLToPath(new URL('./random-kills.spec.js', import.meta.url));
  const { status } = spawnSync(process.execPath, [mocha, spec], {
    stdio: 'inherit',
    // What it needs is here, so that nothing may be left out.
    env: { ...process.env, SUBLET_FAULT_SOAK_MINUTES: String(minutes), SUBLET_TEST_ALL: '1' },
  });
  return status === 0 ? 'held' : 'failed';
}
