/** Files that tests hand to processes, and what to do when a test that owns processes fails. */
import { fileURLToPath } from 'node:url';
import type { Context } from 'mocha';
import type { Child } from '#cluster-test/process/child.js';

/** The path of a file in `cluster-test/fixtures/`; the sources are used, since the build copies no JSON. */
export function fixture(name: string): string {
  return fileURLToPath(new URL(`../../../cluster-test/fixtures/${name}`, import.meta.url));
}

/** A master has a name, an agent an id. */
type NamedProcess = ({ readonly name: string } | { readonly id: string }) & { readonly child: Child };

/** For `afterEach`: prints the output of the processes if the test failed. A group that was not started yet is undefined. */
export function showOnFailure(context: Context, ...groups: readonly (readonly NamedProcess[] | undefined)[]): void {
  if (context.currentTest?.state !== 'failed') return;
  for (const process of groups.flatMap((group) => group ?? [])) {
    const name = 'name' in process ? process.name : process.id;
    console.error(`--- ${name} said:\n${process.child.output}`);
  }
}
