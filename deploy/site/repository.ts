/** The pages of this repository, and the site written to a folder. */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sections } from '#site/sections.js';
import { renderSite, type Source } from '#site/site.js';

const top = fileURLToPath(new URL('../../../', import.meta.url));
/** Where `npm run docs` makes the site. */
export const siteFolder = join(top, 'dist/docs');
/** Folders that have pages, beside the top itself. */
const folders = ['docs', 'deploy'];

/** Every page there is, by its path from the top. */
export function pagesOfRepository(): readonly Source[] {
  const below = folders.flatMap((folder) =>
    readdirSync(join(top, folder), { recursive: true, encoding: 'utf8' }).map((name) => `${folder}/${name}`),
  );
  return [...readdirSync(top), ...below]
    .filter((path) => path.endsWith('.md'))
    .sort()
    .map((path) => ({ path, text: readFileSync(join(top, path), 'utf8') }));
}

/** Returns the number of pages. Other files of the folder stay. @throws Error as `renderSite` does */
export function writeSite(folder: string, sources = pagesOfRepository()): number {
  const isFile = (path: string): boolean => statSync(join(top, path), { throwIfNoEntry: false })?.isFile() === true;
  const { pages, files } = renderSite(sources, sections, isFile);
  const place = (path: string): string => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    return join(folder, path);
  };
  for (const [path, html] of pages) writeFileSync(place(path), html);
  for (const [from, path] of files) copyFileSync(join(top, from), place(path));
  copyFileSync(join(top, 'deploy/site/style.css'), place('style.css'));
  return pages.size;
}
