/** One page of Markdown as HTML, with the headings that it has. Raw HTML is refused, but for comments, which are left out. */
import { Marked, Renderer, type Tokens } from 'marked';
import { Anchors } from '#site/anchors.js';
import { escapeHtml } from '#site/escape.js';

export type Heading = {
  /** 1 is the title of the page. */
  readonly depth: number;
  /** Without any form. */
  readonly text: string;
  readonly anchor: string;
};

export type RenderedPage = {
  readonly title: string;
  /** The first paragraph, without any form. */
  readonly description: string;
  readonly headings: readonly Heading[];
  /** The title included. */
  readonly html: string;
};

/** `hrefOf` gives what a link or an image of the page is to point at. @throws Error for raw HTML, or without a title */
export function renderMarkdown(text: string, hrefOf: (target: string) => string): RenderedPage {
  const renderer = new PageRenderer(hrefOf);
  const html = new Marked().parse(text, { async: false, renderer });
  const { headings, description } = renderer;
  const [title, ...others] = headings.filter(({ depth }) => depth === 1);
  if (title === undefined || others.length > 0) throw new Error('a page has one heading of the first level');
  return { title: title.text, description, headings, html };
}

class PageRenderer extends Renderer {
  readonly headings: Heading[] = [];
  description = '';
  readonly #anchors = new Anchors();
  readonly #hrefOf: (target: string) => string;

  constructor(hrefOf: (target: string) => string) {
    super();
    this.#hrefOf = hrefOf;
  }

  override heading({ tokens, depth }: Tokens.Heading): string {
    const text = this.parser.parseInline(tokens, this.parser.textRenderer);
    const anchor = this.#anchors.next(text);
    this.headings.push({ depth, text, anchor });
    const content = this.parser.parseInline(tokens);
    if (depth === 1) return `<h1 id="${anchor}">${content}</h1>\n`;
    // Not in the order of the tab key: the contents beside the page lead to the same places.
    const mark = `<a class="anchor" href="#${anchor}" tabindex="-1" aria-hidden="true">#</a>`;
    return `<h${depth} id="${anchor}">${content} ${mark}</h${depth}>\n`;
  }

  override paragraph({ tokens }: Tokens.Paragraph): string {
    this.description ||= this.parser.parseInline(tokens, this.parser.textRenderer).replaceAll('\n', ' ');
    return `<p>${this.parser.parseInline(tokens)}</p>\n`;
  }

  override code({ text }: Tokens.Code): string {
    return `<pre><code>${escapeHtml(text)}\n</code></pre>\n`;
  }

  override table(token: Tokens.Table): string {
    return `<div class="table">${super.table(token)}</div>\n`;
  }

  override link({ href, tokens }: Tokens.Link): string {
    return `<a href="${escapeHtml(this.#hrefOf(href))}">${this.parser.parseInline(tokens)}</a>`;
  }

  override image({ href, text }: Tokens.Image): string {
    return `<img src="${escapeHtml(this.#hrefOf(href))}" alt="${escapeHtml(text)}">`;
  }

  override html({ text }: Tokens.HTML | Tokens.Tag): string {
    if (/^\s*(<!--[\s\S]*?-->\s*)+$/.test(text)) return '';
    throw new Error(`raw HTML: ${text.trim()}`);
  }
}
