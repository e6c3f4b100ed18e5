/** Runs in Node's loader thread: puts the fragments of one bug into the modules that they belong to. */
import type { BugChange } from '#cluster-test/simulation/planted/bug.js';
import { fragmentPattern } from '#cluster-test/simulation/planted/fragment-pattern.js';

type Loaded = { readonly format: string; readonly source?: string | ArrayBuffer | Uint8Array };
type NextLoad = (url: string, context: object) => Promise<Loaded>;

let changes: readonly BugChange[] = [];

export function initialize(planted: readonly BugChange[]): void {
  changes = planted;
}

export async function load(url: string, context: object, nextLoad: NextLoad): Promise<Loaded> {
  const concerned = changes.filter(({ file }) => url.endsWith(`/dist/src/${file}`));
  const loaded = await nextLoad(url, context);
  if (concerned.length === 0) return loaded;
  const { source } = loaded;
  if (source === undefined) throw new Error(`${url} was loaded without its source`);
  let text = typeof source === 'string' ? source : new TextDecoder().decode(source);
  for (const { file, right, wrong } of concerned) {
    const pattern = fragmentPattern(right);
    const found = [...text.matchAll(pattern)].length;
    if (found !== 1) throw new Error(`${file} holds the fragment ${found} times instead of once: ${right}`);
    text = text.replace(pattern, () => wrong);
    text += `\n(globalThis.subletPlantedBugs ??= []).push(${JSON.stringify(right)});\n`;
  }
  return { ...loaded, source: text };
}
