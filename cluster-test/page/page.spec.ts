/** The page of the plan in a real browser: what it shows, what is clicked, and that its console stays empty. */
import assert from 'node:assert/strict';
import { agentService, operatorService } from '#api/services.js';
import { Browser } from '#cluster-test/page/browser.js';
import { PageMaster } from '#cluster-test/page/page-master.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { command, requires } from '#cluster-test/requirement.js';
import { Token } from '#http/access.js';
import { sublet } from '#proto/sublet.js';
import { byAddress } from '#tls/caller.js';

const secret = '0123456789abcdef0123456789abcdef';
const agents = 40;
const boundMs = 20_000;
/** Beyond the 30 s after which an agent counts as silent. */
const silentMs = 31_000;

describe('the page of the plan in a browser', function () {
  this.timeout(120_000);
  let master: PageMaster;
  let browser: Browser;
  before(async function () {
    requires(this, command('chromium'));
    master = await PageMaster.start();
    await master.register(0, agents);
    const { reserve } = operatorService;
    await change(reserve.path, reserve.request.encode({ overlay: 'dcos', subnet: '9.1.0.0/18', agentId: '' }).finish());
    browser = await Browser.start();
  });
  beforeEach(async () => {
    await browser.block();
    await browser.screen({ width: 1280, height: 800 });
    await browser.open('about:blank');
    await browser.open(master.url);
    await browser.shows('header .following', /^live, revision \d/);
  });
  afterEach(() => assert.deepEqual(browser.problems, []));
  after(async () => {
    await browser?.[Symbol.asyncDispose]();
    await master?.[Symbol.asyncDispose]();
  });

  const change = (path: string, bytes: Uint8Array): Promise<Uint8Array> =>
    master.masters.master(0).services.call(path, bytes, byAddress('10.9.9.9:1'), 5_000);
  const colourOf = (state: string): Promise<string> =>
    browser.value(`getComputedStyle(document.querySelector('.legend i.${state}')).backgroundColor`);
  /** An expression on the canvas `it` and the edge `side` of its square, once it is as large as its place. */
  const onCanvas = <Value>(expression: string): Promise<Value> =>
    until('the canvas is drawn', boundMs, async () => {
      const value = await browser.value<Value | null>(`(() => { const it = document.querySelector('canvas');
        if (it === null || it.width !== it.clientWidth || it.height !== it.clientHeight) return null;
        const side = Math.min(it.width, it.height); return ${expression}; })()`);
      return value ?? undefined;
    });
  /** Waits until the map has the colour of the state at a share of its square. */
  const coloured = async (x: number, y: number, state: string): Promise<void> => {
    const colour = await colourOf(state);
    await until(`${state} at ${x}, ${y}`, boundMs, async () => {
      const [red, green, blue] = await onCanvas<number[]>(
        `[...it.getContext('2d').getImageData((it.width - side) / 2 + ${x} * side, (it.height - side) / 2 + ${y} * side, 1, 1).data]`,
      );
      return holds(colour === `rgb(${red}, ${green}, ${blue})`);
    });
  };
  const pressAll = async (keys: readonly string[]): Promise<void> => {
    for (const key of keys) await browser.press(key);
  };

  it('shows the overlay in five states, and follows it', async () => {
    await browser.shows('[data-state="held"]', new RegExp(`^${agents}$`));
    await browser.shows('[data-state="excluded"]', /^64$/);
    await coloured(0.5 / 256, 0.5 / 256, 'held');
    await coloured(0.9, 0.9, 'free');
    await coloured(18 / 256, 2 / 256, 'excluded');
    await master.register(agents, agents + 1);
    await browser.shows('[data-state="held"]', new RegExp(`^${agents + 1}$`));
    const { releaseAgents } = operatorService;
    const agentIds = [`host-000${agents}`];
    await change(releaseAgents.path, releaseAgents.request.encode({ agentIds, force: true }).finish());
    await browser.shows('[data-state="quarantined"]', /^1$/);
    await browser.shows('nav a:nth-child(2)', new RegExp(`Agents ${agents}$`));
  });

  it('names the block under the pointer, and shows the agent that is clicked', async () => {
    const [x = 0, y = 0] = await onCanvas<number[]>('[(it.width - side) / 2 + 1, (it.height - side) / 2 + 1]');
    await browser.hover('canvas', [x, y]);
    await browser.shows('.readout', /^9\.0\.0\.0\/24 · held · host-00000 · 10\.0\.0\.0$/);
    await browser.click('canvas', [x, y]);
    await browser.shows('aside', /host-00000\.example[\s\S]*44\.128\.0\.1[\s\S]*9\.0\.0\.0\/24/);
    await browser.press('Escape');
    await browser.shows('body', /^((?!host-00000\.example)[\s\S])*$/);
  });

  it('finds an address, an agent and an overlay', async () => {
    await browser.press('/');
    await browser.type('9.0.7.99');
    await browser.press('Enter');
    await browser.shows('.result', /^9\.0\.7\.99: dcos · 9\.0\.7\.0\/24 · held · host-00007 · m-dcos$/);
    await browser.shows('.readout', /^9\.0\.7\.0\/24 · held/);
    await browser.shows('aside', /host-00007/);
    await pressAll(['Escape', '/']);
    await browser.type('host-00012');
    await browser.press('Enter');
    await browser.shows('aside', /host-00012\.example/);
    await browser.press('/');
    await browser.type('dco');
    await browser.shows('.suggestions', /^dcos overlay, IPv4/);
    await browser.type('x');
    await browser.press('Enter');
    await browser.shows('.result', /^nothing here is named dcox$/);
  });

  it('is used by the keyboard: views, and the map block by block', async () => {
    await browser.press('2');
    await browser.shows('nav a.chosen', /^Agents/);
    await browser.press('1');
    await browser.value('document.querySelector("canvas").focus()');
    await browser.click('canvas', [5, 5]);
    await pressAll(Array.from({ length: 140 }, () => 'ArrowLeft'));
    await pressAll(Array.from({ length: 140 }, () => 'ArrowUp'));
    await browser.shows('.readout', /^9\.0\.0\.0\/24 · held · host-00000/);
    await browser.press('ArrowRight');
    await browser.shows('.readout', /^9\.0\.[13]\.0\/24 · held/);
    const before = await onCanvas<string>('it.toDataURL()');
    await browser.press('+');
    await until('the map is nearer', boundMs, async () => holds((await onCanvas('it.toDataURL()')) !== before));
    await browser.press('Enter');
    await browser.shows('aside', /host-0000[13]\.example/);
  });

  it('lists agents with presence, masters with lag, and the history with filters', async () => {
    await browser.click('nav a:nth-child(2)');
    await browser.shows('.rows', /host-00000[\s\S]*10\.0\.0\.0[\s\S]*dcos 9\.0\.0\.0\/24[\s\S]*live/);
    await browser.value('document.querySelector(".rows").scrollTo({ top: 1e6 })');
    await browser.shows('.rows', new RegExp(`host-000${agents - 1}`));
    await browser.click('.filters label:nth-child(2) input');
    await browser.shows('.rows', /^None\.$/);
    await browser.click('nav a:nth-child(3)');
    await browser.shows('tbody tr', /^m1\s+leader\s+alive\s+0\s/);
    await browser.click('nav a:nth-child(4)');
    await browser.shows('tbody', /register/);
    await browser.shows('tbody .link', /^host-/);
    await browser.click('input[name="what"]');
    await browser.type('exclude');
    await browser.shows('tbody', /^[^\n]*\texclude\t[\s\S]*9\.1\.0\.0\/18/);
    await browser.shows('tbody', /^((?!register)[\s\S])*$/);
    assert.equal(await browser.value('document.querySelectorAll("tbody .link").length'), 0, 'an operator is no agent');
  });

  it('says that the connection is lost, and goes on where it was', async () => {
    const { services } = master.masters.master(0);
    const snapshots = services.hub.snapshotsServed;
    await browser.value(`globalThis.said = []; new MutationObserver(() => said.push(document.querySelector('.following').innerText))
      .observe(document.querySelector('.following'), { childList: true, characterData: true, subtree: true })`);
    const before = await browser.value<number>('document.querySelectorAll("nav a small")[0].innerText.trim()');
    master.cut();
    await master.register(agents + 5, agents + 6);
    await browser.shows('nav a:nth-child(2)', new RegExp(`Agents ${Number(before) + 1}$`));
    await browser.shows('header .following', /^live/);
    const said = await browser.value<string[]>('said');
    assert.ok(said.includes('not connected'), said.join());
    assert.equal(services.hub.snapshotsServed, snapshots);
    // A lost connection is what it is here.
    for (const problem of browser.problems.splice(0)) assert.match(problem, /net::ERR_/);
  });

  it('says that it loads until it has the plan', async () => {
    await browser.block('*/ui/events*');
    await browser.open('about:blank');
    await browser.open(`${master.url}#agents`);
    await browser.shows('.rows', /^Loading: 0 agents$/);
    await browser.press('1');
    await browser.shows('main', /^Loading: 0 agents$/);
    await browser.block();
    await browser.press('2');
    await browser.shows('.rows', /^host-00000/);
    for (const problem of browser.problems.splice(0)) assert.match(problem, /net::ERR_BLOCKED_BY_CLIENT/);
  });

  it('row 74: shows what hosts say as text', async () => {
    const { services } = master.masters.master(0);
    const { register, reportStatus } = agentService;
    const evil = '<img src=x onerror="document.title=1">';
    const asked = { agentId: 'evil', instanceId: 'i', sequence: 1, nodeIp: '10.66.0.1' };
    const answer = await change(register.path, register.request.encode(asked).finish());
    const { lease } = register.response.decode(answer);
    const status = sublet.v1.OverlayStatus.OVERLAY_STATUS_FAILED;
    const report = { overlay: 'dcos', state: { status, error: evil } };
    const said = { agentId: 'evil', instanceId: 'i', epoch: lease?.epoch ?? 0, overlays: [report] };
    await change(reportStatus.path, reportStatus.request.encode(said).finish());
    assert.equal(services.plan.ipam.hostOverlays().failed.agents, 1);
    await browser.click('nav a:nth-child(2)');
    await browser.click('.filters label:nth-child(3) input');
    await browser.shows('.rows', /evil[\s\S]*<img src=x onerror=/);
    await browser.click('.row');
    await browser.shows('aside', /failed[\s\S]*<img src=x onerror=/);
    assert.equal(await browser.value('document.images.length + document.title'), '0Sublet');
    // Neither inline scripts nor eval are run, whatever gets into the page.
    await browser.value(`(() => { const it = document.createElement('script'); it.textContent = 'document.title = 2';
      document.body.append(it); it.remove(); })()`);
    assert.equal(await browser.value('document.title'), 'Sublet');
    for (const problem of browser.problems.splice(0)) assert.match(problem, /Content Security Policy/);
  });

  it('is dark or light as the system says, until it is chosen, and fits a phone', async () => {
    const ground = (): Promise<string> => browser.value('getComputedStyle(document.body).backgroundColor');
    const light = await ground();
    await browser.screen({ width: 390, height: 844, dark: true, touch: true });
    await until('it is dark', boundMs, async () => holds((await ground()) !== light));
    await browser.click('header button');
    await until('it is light', boundMs, async () => holds((await ground()) === light));
    for (const view of ['map', 'agents', 'masters', 'history']) {
      await browser.value(`location.hash = ${JSON.stringify(`#${view}`)}`);
      await browser.shows('nav a.chosen', new RegExp(view, 'i'));
      assert.equal(await browser.value('document.documentElement.scrollWidth'), 390, view);
    }
    await browser.value('localStorage.clear()');
  });

  it('finds the agents that are silent', async () => {
    await browser.press('2');
    await browser.shows('.rows', /host-00001[\s\S]*live/);
    await master.time.pass(silentMs);
    await browser.shows('.filters label:nth-child(2)', /^silent \([1-9]\d*\)$/);
    await browser.click('.filters label:nth-child(2) input');
    await browser.shows('.rows', /evil[\s\S]*host-00000[\s\S]*silent/);
  });

  it('asks for the token as a password, and follows with it', async () => {
    await using closed = await PageMaster.start({ token: new Token(secret) });
    await browser.headers({ authorization: `Basic ${Buffer.from(`:${secret}`).toString('base64')}` });
    await browser.open(closed.url);
    await browser.shows('header .following', /^live/);
    await browser.shows('nav a:nth-child(2)', /^Agents 0$/);
    await browser.headers({});
    await browser.open('about:blank');
  });
});
