/** Files that tests hand to processes, and what to do when a test that owns processes fails. */
import { fileURLToPath } from 'node:url';
import type { Context } from 'mocha';
import type { Child } from '#cluster-test/process/child.js';

/** The path of a file in `cluster-test/fixtures/`; the sources are used, since the build copies no JSON. */
export function fixture(name: string): string {
  return fileURLToPath(new URL(`../../../cluster-test/fixtures/${name}`, import.meta.url));
}

/** For `afterEach`: prints what the processes said if the test failed. */
export function showOnFailure(context: Context, processes: Iterable<readonly [name: string, child: Child]>): void {
  if (context.currentTest?.state !== 'failed') return;
  for (const [name, child] of processes) console.error(`--- ${name} said:\n${child.output}`);
}
