import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { siteFolder, writeSite } from '#site/repository.js';
import { renderSite } from '#site/site.js';

const matches = (text: string, pattern: RegExp): readonly string[] =>
  [...text.matchAll(pattern)].map(([, one = '']) => one);
const none = () => false;
const one = (text: string, path = 'docs/a.md') =>
  renderSite([{ path, text }], [{ title: 'Start', pages: [path] }], none).pages.get('a.html') ?? '';

describe('the site of the pages', () => {
  let folder: string;
  let names: readonly string[];
  const read = (name: string): string => readFileSync(join(folder, name), 'utf8');

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'sublet-docs-'));
    const count = writeSite(folder);
    names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.html'));
    assert.equal(names.length, count);
    assert.ok(count > 50, String(count));
  });
  after(() => rmSync(folder, { recursive: true }));

  it('has every page and every part of one that a link names, and every picture', () => {
    const ids = new Map(names.map((name) => [name, new Set(matches(read(name), / id="([^"]*)"/g))]));
    const broken = names.flatMap((name) =>
      matches(read(name), / (?:href|src)="([^"]*)"/g)
        .filter((target) => !/^https?:/.test(target))
        .filter((target) => {
          const [path = '', anchor] = target.split('#');
          const file = path === '' ? name : join(dirname(name), path);
          return !existsSync(join(folder, file)) || (anchor !== undefined && ids.get(file)?.has(anchor) !== true);
        })
        .map((target) => `${name}: ${target}`),
    );
    assert.deepEqual(broken, []);
  });

  it('is made by `npm run docs` in dist/docs, beside the manifest of the repository', () => {
    assert.ok(siteFolder.endsWith('/dist/docs'), siteFolder);
    assert.ok(existsSync(join(siteFolder, '../../package.json')), siteFolder);
  });

  it('gives no two parts of a page one name', () => {
    const repeated = names.flatMap((name) => {
      const ids = matches(read(name), / id="([^"]*)"/g);
      return ids.filter((id, at) => ids.indexOf(id) !== at).map((id) => `${name}#${id}`);
    });
    assert.deepEqual(repeated, []);
  });

  it('loads nothing from elsewhere, and runs nothing', () => {
    for (const name of names) {
      assert.deepEqual(matches(read(name), /(<script\b|\bon[a-z]+="|<(?:link|img)[^>]*"https?:)/g), [], name);
      assert.match(read(name), /<link rel="stylesheet" href="(?:\.\.\/)*style\.css">/, name);
    }
    assert.doesNotMatch(read('style.css'), /@import|url\(/);
  });

  it('leads from each page to the one before and the one after it, through all of them', () => {
    const order = ['index.html'];
    for (let at = 'index.html'; ; ) {
      const [next] = matches(read(at), /<a rel="next" href="([^"]*)"/g);
      if (next === undefined) break;
      const place = join(dirname(at), next);
      const [previous = ''] = matches(read(place), /<a rel="prev" href="([^"]*)"/g);
      assert.equal(join(dirname(place), previous), at);
      order.push(place);
      at = place;
    }
    assert.deepEqual([...order].sort(), [...names].sort());
  });

  it('shows in the sections which page this is', () => {
    for (const name of names) assert.equal(matches(read(name), /( aria-current="page")/g).length, 1, name);
  });
});

describe('a page of the site', () => {
  it('has its text as it is, code and signs of HTML included', () => {
    const html = one('# A & B\n\nWith `<b>` and *c* < d.\n\n```\n<e> & "f"\n```\n');
    assert.match(html, /<title>A &amp; B – Sublet<\/title>/);
    assert.match(html, /<p>With <code>&lt;b&gt;<\/code> and <em>c<\/em> &lt; d\.<\/p>/);
    assert.match(html, /<pre><code>&lt;e&gt; &amp; &quot;f&quot;\n<\/code><\/pre>/);
  });

  it('leaves out comments, and is refused with raw HTML', () => {
    assert.doesNotMatch(one('# A\n\n<!-- made -->\n\ntext\n'), /<!--|-->/);
    assert.throws(() => one('# A\n\n<div>text</div>\n'), /docs\/a\.md: raw HTML: <div>/);
    assert.throws(() => one('# A\n\nsome <b>text</b>\n'), /docs\/a\.md: raw HTML: <b>/);
  });

  it('has anchors as on GitHub, numbered where a heading is repeated', () => {
    const html = one('# A\n\n## What `x` is: 1.2\n\n## Same\n\n## Same\n\n[x](#same-1)\n');
    assert.match(html, /<h2 id="what-x-is-12">/);
    assert.match(html, /<h2 id="same">[\s\S]*<h2 id="same-1">/);
  });

  it('is refused where a link leads nowhere: to no page, no part of one, and no file', () => {
    assert.throws(() => one('# A\n\n[x](b.md)\n'), /docs\/a\.md links to b\.md, which is not there/);
    assert.throws(() => one('# A\n\n[x](#b)\n'), /docs\/a\.md links to #b, which is not there/);
    assert.throws(() => one('# A\n\n![x](b.png)\n'), /docs\/a\.md links to b\.png, which is not there/);
  });

  it('takes along what it shows, and leads to the page of a folder', () => {
    const sources = [
      { path: 'README.md', text: '# A\n\n![x](docs/images/b.png) [tasks](docs/tasks/) [c](docs/c.md#d)\n' },
      { path: 'docs/tasks/README.md', text: '# Tasks\n\n[home](../../README.md)\n' },
      { path: 'docs/c.md', text: '# C\n\n## D\n' },
    ];
    const { pages, files } = renderSite(
      sources,
      [{ title: 'Start', pages: sources.map(({ path }) => path) }],
      (path) => path === 'docs/images/b.png',
    );
    assert.deepEqual([...pages.keys()], ['index.html', 'tasks/index.html', 'c.html']);
    assert.deepEqual([...files], [['docs/images/b.png', 'images/b.png']]);
    assert.match(
      pages.get('index.html') ?? '',
      /src="images\/b\.png"[\s\S]*href="tasks\/index\.html"[\s\S]*href="c\.html#d"/,
    );
    assert.match(pages.get('tasks/index.html') ?? '', /<a href="\.\.\/index\.html">home<\/a>/);
  });

  it('is in one section', () => {
    const source = { path: 'docs/a.md', text: '# A\n' };
    assert.throws(() => renderSite([source], [], none), /docs\/a\.md is in no section/);
    const twice = { title: 'Start', pages: ['docs/a.md', 'docs/a.md'] };
    assert.throws(() => renderSite([source], [twice], none), /docs\/a\.md is in several sections/);
    assert.throws(
      () => renderSite([], [{ title: 'Start', pages: ['docs/b.md'] }], none),
      /docs\/b\.md, which is not there/,
    );
  });
});
