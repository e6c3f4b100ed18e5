/** Has the modules of the product loaded with one deliberate bug, from here on in this process. */
import { register } from 'node:module';
import type { Bug } from '#cluster-test/simulation/planted/bug.js';
import { bugs } from '#cluster-test/simulation/planted/bugs.js';

declare global {
  /** The fragments that were replaced so far, for `assertPlanted`. */
  var subletPlantedBugs: string[] | undefined;
}

/** To be called before anything of `src/` is imported. @throws Error for a name that is no bug's */
export function plantBug(name: string): Bug {
  const bug = bugs.find((each) => each.name === name);
  if (bug === undefined) throw new Error(`no bug is called ${name}: ${bugs.map((each) => each.name).join(', ')}`);
  register('./bug-loader.js', { parentURL: import.meta.url, data: bug.changes });
  return bug;
}

/** After the imports: a bug that is not there can't be found. @throws Error */
export function assertPlanted({ name, changes }: Bug): void {
  const planted = globalThis.subletPlantedBugs ?? [];
  const missing = changes.filter(({ right }) => !planted.includes(right));
  if (missing.length > 0) throw new Error(`${name} was not planted in ${missing.map(({ file }) => file).join(', ')}`);
}
