/**
 * Pages of docs/reference whose parts, between `<!-- name -->` and `<!-- end -->`, are made from the program itself. A
 * spec holds them to it; with SUBLET_WRITE_DOCS=1 it writes them anew.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../../../../docs/reference/', import.meta.url));

/** Asserts that the part of the page is this text, or writes it. */
export function holdPart(file: string, name: string, text: string): void {
  const page = readFileSync(folder + file, 'utf8');
  const wanted = withPart(page, name, text);
  if (process.env.SUBLET_WRITE_DOCS === '1') writeFileSync(folder + file, wanted);
  else assert.equal(page, wanted, `docs/reference/${file} is out of date: SUBLET_WRITE_DOCS=1 npx mocha … writes it`);
}

/** The page with the part `name` replaced. @throws Error when the page has no such part */
function withPart(page: string, name: string, text: string): string {
  const begin = `<!-- ${name} -->\n`;
  const [before, after] = page.split(begin);
  const end = after?.indexOf('<!-- end -->') ?? -1;
  if (before === undefined || after === undefined || end < 0) throw new Error(`the page has no part ${name}`);
  return `${before}${begin}\n${text.trim()}\n\n${after.slice(end)}`;
}

export function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(titles), line(titles.map(() => '---')), ...rows.map(line)].join('\n');
}
