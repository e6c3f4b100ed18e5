/** The site of the pages in a real browser, read from a folder: on a phone, by the keyboard, in the light and in the dark. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Browser } from '#cluster-test/page/browser.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { command, requires } from '#cluster-test/requirement.js';
import { writeSite } from '#site/repository.js';

const boundMs = 20_000;
const phone = { width: 390, height: 844, touch: true };

describe('the site of the pages in a browser', function () {
  this.timeout(60_000);
  let folder: string;
  let browser: Browser;

  before(async function () {
    requires(this, command('chromium'));
    folder = mkdtempSync(join(tmpdir(), 'sublet-docs-'));
    writeSite(folder);
    browser = await Browser.start();
  });
  afterEach(() => assert.deepEqual(browser.problems, []));
  after(async () => {
    await browser?.[Symbol.asyncDispose]();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  });

  async function open(name: string): Promise<void> {
    const { href } = pathToFileURL(join(folder, name));
    await browser.open(href);
    await until(`${name} is there`, boundMs, async () =>
      holds(await browser.value(`document.readyState === 'complete' && location.href === ${JSON.stringify(href)}`)),
    );
  }

  it('has no page that is wider than a phone: code and tables scroll in their places', async () => {
    await browser.screen(phone);
    const wide: string[] = [];
    for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
      if (!name.endsWith('.html')) continue;
      await open(name);
      const width = await browser.value<number>('document.scrollingElement.scrollWidth');
      if (width > phone.width) wide.push(`${name}: ${width}`);
    }
    assert.deepEqual(wide, []);
  });

  it('has its sections behind a button on a phone, which the keyboard opens and closes', async () => {
    await browser.screen(phone);
    await open('concepts.html');
    const shown = (): Promise<boolean> =>
      browser.value("getComputedStyle(document.querySelector('#sections')).display !== 'none'");
    assert.equal(await shown(), false);
    await browser.value("document.querySelector('header button').focus()");
    await browser.press('Enter');
    await browser.shows('#sections [aria-current]', /^Concepts$/);
    await browser.press('Escape');
    assert.equal(await shown(), false);
  });

  it('has them beside the text on a wide screen, and the contents of the page too', async () => {
    await browser.screen({ width: 1440, height: 900 });
    await open('concepts.html');
    await browser.shows('#sections', /^Start\nConcepts\n[\s\S]*Tasks/);
    await browser.shows('nav.contents', /Processes\nNetwork\nThe plan/);
  });

  it('takes the colours of the system', async () => {
    const ground = async (dark: boolean): Promise<string> => {
      await browser.screen({ ...phone, dark });
      return browser.value('getComputedStyle(document.body).backgroundColor');
    };
    await open('index.html');
    assert.deepEqual([await ground(false), await ground(true)], ['rgb(255, 255, 255)', 'rgb(18, 23, 29)']);
  });
});
