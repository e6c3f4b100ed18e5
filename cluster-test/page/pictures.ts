/**
 * Pictures of the page for a person to look at, and how long it takes with many agents:
 *   node dist/cluster-test/page/pictures.js FOLDER [AGENTS...]
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { operatorService } from '#api/services.js';
import { Browser } from '#cluster-test/page/browser.js';
import { PageMaster } from '#cluster-test/page/page-master.js';
import { byAddress } from '#tls/caller.js';

const screens = [
  ['desktop', { width: 1280, height: 800 }],
  ['phone', { width: 390, height: 844, touch: true }],
] as const;
/** The longest that the page did not answer, and how often it drew, while it follows `run`. */
const watchFrames = `(() => { const it = globalThis.frames_ = { longestMs: 0, count: 0, last: performance.now() };
  const each = () => { const now = performance.now(); it.longestMs = Math.max(it.longestMs, now - it.last); it.last = now; it.count += 1; requestAnimationFrame(each); };
  requestAnimationFrame(each); })()`;

const [folder = 'dist/page-pictures', ...amounts] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
await using browser = await Browser.start();
for (const agents of (amounts.length === 0 ? ['0', '50', '65000'] : amounts).map(Number)) {
  await using master = await PageMaster.start();
  const { services } = master.masters.master(0);
  const change = (path: string, bytes: Uint8Array): Promise<Uint8Array> =>
    services.call(path, bytes, byAddress('10.9.9.9:1'), 10_000);
  const { reserve, releaseAgents } = operatorService;
  for (const [subnet, agentId] of [
    ['9.0.200.0/24', 'host-later'],
    ['9.1.0.0/18', ''],
  ] as const) {
    await change(reserve.path, reserve.request.encode({ overlay: 'dcos', subnet, agentId }).finish());
  }
  await master.register(0, agents);
  const gone = [3, 4, 9, 17]
    .filter((number) => number < agents)
    .map((number) => `host-${String(number).padStart(5, '0')}`);
  if (gone.length > 0) {
    await change(releaseAgents.path, releaseAgents.request.encode({ agentIds: gone, force: true }).finish());
  }

  await browser.screen(screens[0][1]);
  const begin = performance.now();
  await browser.open(master.url);
  await browser.shows('header .following', /^live/);
  const shownMs = performance.now() - begin;
  await browser.value(watchFrames);
  await master.register(agents, agents + 400);
  await browser.shows('nav a:nth-child(2)', new RegExp((agents + 400 - gone.length).toLocaleString('en-US')));
  const { longestMs, count } = await browser.value<{ longestMs: number; count: number }>('globalThis.frames_');
  const heap = await browser.value<number>('performance.memory.usedJSHeapSize');
  console.log(
    `${agents} agents: live after ${Math.round(shownMs)} ms; while 400 registered ${count} frames, the longest ${Math.round(longestMs)} ms; heap ${Math.round(heap / 2 ** 20)} MiB`,
  );
  for (const [name, screen] of screens) {
    for (const dark of [false, true]) {
      await browser.screen({ ...screen, dark });
      for (const view of ['map', 'agents', 'masters', 'history', 'block']) {
        await browser.open('about:blank');
        await browser.open(`${master.url}#${view === 'block' ? 'map' : view}`);
        await browser.shows('nav a.chosen', new RegExp(view === 'block' ? 'map' : view, 'i'));
        await browser.shows('header .following', /^live/);
        if (view === 'block') {
          await browser.press('/');
          await browser.type('9.0.5.77');
          await browser.press('Enter');
          await browser.shows('aside', /VTEP/);
        }
        await browser.value('new Promise((done) => setTimeout(done, 700))');
        writeFileSync(
          join(folder, `${agents}-${name}-${dark ? 'dark' : 'light'}-${view}.png`),
          await browser.picture(),
        );
      }
    }
  }
  await browser.open('about:blank');
}
console.log(browser.problems.length === 0 ? 'no errors in the console' : browser.problems.join('\n'));
