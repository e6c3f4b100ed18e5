/** The form of a page of the site: sections beside it, what is on it, and the pages before and after it. */
import { escapeHtml } from '#site/escape.js';
import type { RenderedPage } from '#site/markdown.js';

export type Entry = { readonly title: string; readonly href: string };

export type PageParts = {
  readonly page: RenderedPage;
  /** In the repository. */
  readonly path: string;
  /** Addresses, from this page. */
  readonly home: string;
  readonly style: string;
  readonly sections: readonly {
    readonly title: string;
    readonly isOpen: boolean;
    readonly entries: readonly (Entry & { readonly isHere: boolean })[];
  }[];
  readonly previous: Entry | undefined;
  readonly next: Entry | undefined;
};

const descriptionCharacters = 160;
/** Fewer headings than this are seen without a list of them; with more than `contentsMax` it has those of the second level alone. */
const contentsMin = 3;
const contentsMax = 45;

export function pageHtml({ page, path, home, style, sections, previous, next }: PageParts): string {
  const title = page.title === 'Sublet' ? page.title : `${page.title} – Sublet`;
  const contents = contentsList(page);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="description" content="${escapeHtml(shortened(page.description))}">
<title>${escapeHtml(title)}</title>
<link rel="stylesheet" href="${style}">
</head>
<body>
<a class="skip" href="#text">To the text</a>
<header>
<a class="name" href="${home}">Sublet</a>
<button type="button" popovertarget="sections">Sections</button>
</header>
<nav id="sections" class="sections" popover aria-label="Sections">
${sections.map(sectionHtml).join('\n')}
</nav>
<main id="text" tabindex="-1">
${contents && `<details class="contents"><summary>On this page</summary>\n${contents}\n</details>`}
<article>
${page.html}</article>
<footer>
<nav class="turn" aria-label="Pages before and after">${turn('prev', previous)}${turn('next', next)}</nav>
<p>This page is made from <code>${escapeHtml(path)}</code>.</p>
</footer>
</main>
${contents && `<nav class="contents" aria-label="On this page">\n<p>On this page</p>\n${contents}\n</nav>`}
</body>
</html>
`;
}

function sectionHtml({ title, isOpen, entries }: PageParts['sections'][number]): string {
  const links = entries.map(
    (entry) =>
      `<a href="${escapeHtml(entry.href)}"${entry.isHere ? ' aria-current="page"' : ''}>${escapeHtml(entries.length === 1 ? title : entry.title)}</a>`,
  );
  if (links.length === 1) return `<p>${links[0]}</p>`;
  const items = links.map((link) => `<li>${link}</li>`).join('\n');
  return `<details${isOpen ? ' open' : ''}><summary>${escapeHtml(title)}</summary>\n<ul>\n${items}\n</ul>\n</details>`;
}

/** Headings below the title; empty where they are few. */
function contentsList({ headings }: RenderedPage): string {
  const deep = headings.filter(({ depth }) => depth === 2 || depth === 3);
  const listed = deep.length <= contentsMax ? deep : deep.filter(({ depth }) => depth === 2);
  if (listed.length < contentsMin) return '';
  const items = listed.map(
    ({ depth, text, anchor }) =>
      `<li${depth === 3 ? ' class="below"' : ''}><a href="#${anchor}">${escapeHtml(text)}</a></li>`,
  );
  return `<ul>\n${items.join('\n')}\n</ul>`;
}

function turn(rel: 'prev' | 'next', entry: Entry | undefined): string {
  if (entry === undefined) return '<span></span>';
  return `<a rel="${rel}" href="${escapeHtml(entry.href)}">${escapeHtml(entry.title)}</a>`;
}

/** Ends at a word. */
function shortened(text: string): string {
  if (text.length <= descriptionCharacters) return text;
  return `${text.slice(0, descriptionCharacters).replace(/\s+\S*$/, '')} …`;
}
