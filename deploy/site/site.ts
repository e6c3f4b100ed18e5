/**
 * The pages of the repository as a site that is read from a folder: plain HTML, one style sheet, and no script. Every link
 * between pages, and to a part of one, has to lead somewhere.
 */
import { posix } from 'node:path';
import { type RenderedPage, renderMarkdown } from '#site/markdown.js';
import type { Section } from '#site/sections.js';
import { pageHtml } from '#site/template.js';

export type Source = {
  /** From the top of the repository. */
  readonly path: string;
  readonly text: string;
};

export type Site = {
  /** By path in the folder of the site. */
  readonly pages: ReadonlyMap<string, string>;
  /** What pages show or link to beside pages: path in the folder of the site, by path in the repository. */
  readonly files: ReadonlyMap<string, string>;
};

/** Where pages go whose names would meet those of others. */
const places: Readonly<Record<string, string>> = {
  'README.md': 'index.html',
  'docs/README.md': 'pages.html',
  'SECURITY.md': 'reporting.html',
};
const readme = /(^|\/)README$/;

/** @throws Error that lists every link that leads nowhere, and every page that is in no section or in two */
export function renderSite(
  sources: readonly Source[],
  sections: readonly Section[],
  isFile: (path: string) => boolean,
): Site {
  const problems = [...misplaced(sources, sections)];
  const plain = new Map<string, RenderedPage>();
  for (const { path, text } of sources) {
    try {
      plain.set(
        path,
        renderMarkdown(text, (target) => target),
      );
    } catch (error) {
      problems.push(`${path}: ${error instanceof Error ? error.message : error}`);
    }
  }
  if (problems.length > 0) throw new Error(problems.join('\n'));

  const files = new Map<string, string>();
  const hrefs = (from: string) => (target: string) => {
    const found = resolve(from, target, plain, isFile);
    if (found === undefined) {
      problems.push(`${from} links to ${target}, which is not there`);
      return target;
    }
    if (found.file !== undefined) files.set(found.file, placeOf(found.file));
    return found.href;
  };
  const order = sections.flatMap((section) => section.pages.map((path) => ({ path, section })));
  const titleOf = (path: string): string => plain.get(path)?.title ?? path;
  const entry = (from: string) => (path: string) => ({ title: titleOf(path), href: relative(from, placeOf(path)) });
  const pages = sources.map(({ path, text }): readonly [string, string] => {
    const at = order.findIndex((one) => one.path === path);
    const [previous, own, next] = [order[at - 1], order[at], order[at + 1]];
    const html = pageHtml({
      page: renderMarkdown(text, hrefs(path)),
      path,
      home: relative(path, 'index.html'),
      style: relative(path, 'style.css'),
      sections: sections.map(({ title, pages }) => ({
        title,
        isOpen: title === own?.section.title,
        entries: pages.map((one) => ({ ...entry(path)(one), isHere: one === path })),
      })),
      previous: previous && entry(path)(previous.path),
      next: next && entry(path)(next.path),
    });
    return [placeOf(path), html];
  });
  if (problems.length > 0) throw new Error(problems.join('\n'));
  return { pages: new Map(pages), files };
}

function* misplaced(sources: readonly Source[], sections: readonly Section[]): Generator<string> {
  const listed = sections.flatMap(({ pages }) => pages);
  for (const { path } of sources) {
    const times = listed.filter((one) => one === path).length;
    const where = times === 0 ? 'no section' : 'several sections';
    if (times !== 1) yield `${path} is in ${where} of deploy/site/sections.ts`;
  }
  for (const path of listed) {
    const isThere = sources.some((source) => source.path === path);
    if (!isThere) yield `deploy/site/sections.ts has ${path}, which is not there`;
  }
}

/** Undefined: it leads nowhere. `file`: what it leads to is no page, by its path in the repository. */
function resolve(
  from: string,
  target: string,
  pages: ReadonlyMap<string, RenderedPage>,
  isFile: (path: string) => boolean,
): { readonly href: string; readonly file?: string } | undefined {
  if (/^https?:\/\//.test(target)) return { href: target };
  const [path = '', anchor] = target.split('#');
  const named = path === '' ? from : posix.join(posix.dirname(from), path);
  const page = [named, posix.join(named, 'README.md')].find((one) => pages.has(one));
  if (page === undefined) {
    if (anchor !== undefined || !isFile(named)) return undefined;
    return { href: relative(from, placeOf(named)), file: named };
  }
  if (anchor === undefined) return { href: relative(from, placeOf(page)) };
  if (!pages.get(page)?.headings.some((heading) => heading.anchor === anchor)) return undefined;
  return { href: page === from ? `#${anchor}` : `${relative(from, placeOf(page))}#${anchor}` };
}

/** Where a page or a file of the repository is on the site. */
function placeOf(path: string): string {
  const special = places[path];
  if (special !== undefined) return special;
  const place = path.replace(/^docs\//, '');
  if (!place.endsWith('.md')) return place;
  return `${place.slice(0, -'.md'.length).replace(readme, '$1index').toLowerCase()}.html`;
}

/** From the page of this path in the repository to a place on the site. */
function relative(from: string, place: string): string {
  return posix.relative(posix.dirname(placeOf(from)), place);
}
