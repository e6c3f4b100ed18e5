/** Blocks of the pages, run line by line against real masters behind TLS, as an operator would copy them. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { benchConfig } from '#cluster-test/bench/plan.js';
import { command } from '#cluster-test/operations/operator.js';
import { showOnFailure } from '#cluster-test/process/fixture.js';
import { Masters } from '#cluster-test/process/masters.js';
import { TestMasters, testSettings } from '#master/testing/test-masters.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';
import { TestAuthority } from '#tls/testing/test-authority.js';

type Runbook = {
  readonly page: string;
  /** A line of the block. */
  readonly line: string;
  /** What has to be there before, as `sublet` takes it. */
  readonly before?: readonly (readonly string[])[];
  /** A line that is the other choice beside an earlier one, and what has to be there before it. */
  readonly choice?: { readonly line: string; readonly before: readonly string[] };
};

const runbooks: readonly Runbook[] = [
  { page: 'docs/operations/plan-file.md', line: 'sublet apply -f plan.yaml' },
  {
    page: 'docs/operations/overlays.md',
    line: 'sublet overlay drain web',
    before: [['overlay', 'add', 'web', '--subnet', '10.90.0.0/16', '--prefix', '24']],
  },
  { page: 'docs/operations/backup.md', line: 'sublet snapshot save /var/backups/sublet.snapshot\n' },
  { page: 'docs/operations/backup.md', line: 'sublet snapshot keygen' },
  { page: 'docs/upgrade.md', line: 'sublet snapshot save ' },
  { page: 'docs/security.md', line: 'sublet ca issue admin alice ' },
  { page: 'docs/security.md', line: 'sublet ca init --ca new', before: [['ca', 'init']] },
  {
    page: 'docs/security.md',
    line: 'sublet certs unrevoke agent/host-7 ',
    choice: { line: '--later-only', before: ['certs', 'revoke', 'agent/host-7'] },
  },
  { page: 'docs/security.md', line: 'sublet whoami --master unix:' },
  {
    page: 'docs/security.md',
    line: 'sublet ca issue admin bob',
    before: [
      ['ca', 'init'],
      ['certs', 'revoke', 'admin/alice'],
    ],
  },
];

/** An agent that was not heard for so long is silent. */
const silentMs = 31_000;
const prompt = /^(?:\$|m1#) /;
const commandLine = /^(?:(?:\$|m1#) )?(?:sublet|cat) /;
const fence = /^```\n([\s\S]*?)^```$/gm;

describe('blocks of the pages', function () {
  this.timeout(90_000);
  let masters: Masters;
  let place: string;
  let tls: string;
  const formerFolder = process.cwd();
  const variables = ['SUBLET_MASTER', 'SUBLET_TLS'] as const;
  const former = variables.map((name) => process.env[name]);
  /** What stands in a page for what is another thing on each machine. */
  const standsFor = new Map<string, string>();

  before(async () => {
    place = mkdtempSync(join(tmpdir(), 'sublet-runbooks-'));
    const authority = await TestAuthority.make();
    masters = await Masters.start({ count: 1, config: benchConfig(), authority });
    tls = join(place, 'tls');
    await authority.files(tls, 'sublet://admin/root');
    const [m1 = assert.fail()] = masters.masters;
    standsFor.set('/var/backups', place).set('/etc/sublet/tls', tls).set('/var/lib/sublet', m1.dataDir);
  });
  beforeEach(() => {
    process.chdir(mkdtempSync(join(place, 'block-')));
    process.env.SUBLET_MASTER = masters.addresses.join(',');
    process.env.SUBLET_TLS = tls;
  });
  afterEach(function () {
    process.chdir(formerFolder);
    showOnFailure(this, masters?.masters);
  });
  after(async () => {
    for (const [at, name] of variables.entries()) {
      const value = former[at];
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    await masters?.[Symbol.asyncDispose]();
    rmSync(place, { recursive: true });
  });

  for (const { page, line, before: needed = [], choice } of runbooks) {
    it(`can be run as they stand: ${line.trim()}, of ${page}`, async () => {
      for (const args of needed) await succeed(args);
      await runBlock(page, line, choice);
    });
  }

  for (const line of [
    'sublet agents replace host-3 --by host-9',
    'sublet agents replace host-3 --by host-9 --old-is-off',
  ]) {
    it(`can be run as they stand: ${line}, of docs/operations/overlays.md, for a host that is silent`, async () => {
      // Silence takes 30 s: these masters run by a clock of the spec.
      const time = new VirtualTime();
      await using masters = await TestMasters.start({ clock: time });
      process.env.SUBLET_MASTER = masters.master(0).api;
      delete process.env.SUBLET_TLS;
      const former = await masters.register('host-3');
      const { code, output } = await command(...line.split(' ').slice(1));
      assert.equal(code, 1, output);
      assert.match(output.replaceAll(/\s+/g, ' '), /stop it and wait until it is silent/);
      await time.runFor(silentMs);
      await runBlock('docs/operations/overlays.md', `\n${line}\n`);
      if (!line.endsWith('--old-is-off')) masters.cluster.time += testSettings.quarantineMs;
      const { agent } = await masters.register('host-9');
      assert.deepEqual([agent?.vxlan, agent?.overlays], [former.agent?.vxlan, former.agent?.overlays]);
    });
  }

  /** Runs the one block of this page that has this text. */
  async function runBlock(page: string, text: string, choice?: Runbook['choice']): Promise<void> {
    const [block, ...others] = [...readFileSync(join(formerFolder, page), 'utf8').matchAll(fence)]
      .map(([, lines = '']) => `\n${lines}`)
      .filter((each) => each.includes(text));
    assert.ok(block !== undefined && others.length === 0, `one block of ${page} has "${text}"`);
    const lines = block.split('\n').filter((each) => commandLine.test(each));
    assert.ok(lines.length > 0);
    for (const each of lines) {
      if (choice !== undefined && each.includes(choice.line)) await succeed(choice.before);
      await runLine(each);
    }
  }

  /** A line of a shell without quotes: `sublet` or `cat`, with a file for its output, and a remark. */
  async function runLine(line: string): Promise<void> {
    const [typed = '', file] = line
      .replace(prompt, '')
      .replace(/ +#.*$/, '')
      .split(' > ');
    const [program, ...args] = typed.trim().split(/\s+/).map(meant);
    const out = program === 'cat' ? args.map((each) => readFileSync(each, 'utf8')).join('') : await succeed(args);
    if (file !== undefined) writeFileSync(file.trim(), out);
    const recipient = /Its recipient is (age1\w+)/.exec(out)?.[1];
    if (recipient !== undefined) standsFor.set('age1…', recipient);
  }

  function meant(word: string): string {
    return [...standsFor].reduce((text, [shown, meaning]) => text.replace(shown, meaning), word);
  }

  async function succeed(args: readonly string[]): Promise<string> {
    const { code, out, output } = await command(...args);
    assert.equal(code, 0, `sublet ${args.join(' ')}: ${output}`);
    return out;
  }
});
