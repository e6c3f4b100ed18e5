/** Blocks of the pages, for tests that run them as they stand. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

const fence = /^( *)```\w*\n([\s\S]*?)^\1```$/gm;

/** The one block of a page that has this text, without the blanks that stand before each of its lines. */
export function pageBlock(page: string, text: string): string {
  const found = [...readFileSync(page, 'utf8').matchAll(fence)]
    .map(([, blanks = '', lines = '']) => lines.replaceAll(new RegExp(`^${blanks}`, 'gm'), ''))
    .filter((lines) => lines.includes(text));
  assert.equal(found.length, 1, `one block of ${page} has "${text}"`);
  return found[0] ?? '';
}
