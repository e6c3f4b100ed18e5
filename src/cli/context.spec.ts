/** `sublet context`, and which setting of a connection counts. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { clusterService } from '#api/services.js';
import { complete } from '#cli/completion/candidates.js';
import { contextFile, readContexts } from '#cli/operator/context-file.js';
import { commandTree, run } from '#cli/program.js';
import { CannedMaster } from '#cli/testing/canned-master.js';
import { RecordedTerminal } from '#cli/testing/recorded-terminal.js';
import { status } from '#cli/testing/samples.js';

describe('contexts', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sublet-context-'));
  const file = join(folder, 'deep', 'contexts.json');
  const names = [
    'SUBLET_CONTEXTS',
    'SUBLET_CONTEXT',
    'SUBLET_MASTER',
    'SUBLET_TIMEOUT',
    'SUBLET_TLS',
    'SUBLET_TLS_CA',
    'SUBLET_TLS_CERT',
    'SUBLET_TLS_KEY',
  ];
  const before_ = new Map(names.map((name) => [name, process.env[name]]));
  let one: CannedMaster;
  let two: CannedMaster;

  before(async () => {
    one = await new CannedMaster().on(clusterService.getStatus, () => ({ ...status, clusterId: 'one' })).listen();
    two = await new CannedMaster().on(clusterService.getStatus, () => ({ ...status, clusterId: 'two' })).listen();
  });
  after(async () => {
    for (const [name, value] of before_) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    await one[Symbol.asyncDispose]();
    await two[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });
  beforeEach(() => {
    for (const name of names) delete process.env[name];
    process.env.SUBLET_CONTEXTS = file;
    rmSync(join(folder, 'deep'), { recursive: true, force: true });
  });

  async function ran(...args: readonly string[]) {
    const terminal = new RecordedTerminal(80);
    const code = await run(args, terminal);
    return { code, out: terminal.out, notes: terminal.notes };
  }

  it('keeps each address of a list of masters whole', async () => {
    const masters = [7070, 7080, 7090].map((port) => `127.0.0.1:${port}`);
    await ran('context', 'set', 'dev', '--master', masters.join(), '--tls', '/home/ann/sublet-data/tls/admin');
    const { out } = await ran('context');
    for (const master of masters) assert.ok(out.includes(master), out);
  });

  const asked = async (...args: readonly string[]) => {
    const terminal = new RecordedTerminal();
    const code = await run(['status', '-o', 'jsonpath={.clusterId}', ...args], terminal);
    return code === 0 ? terminal.out.trim() : terminal.notes;
  };

  it('are made by `add`, too', async () => {
    assert.equal((await ran('context', 'add', 'other', '--master', '10.0.0.9:7070')).code, 0);
    assert.match((await ran('context')).out, /other +10\.0\.0\.9:7070/);
    await ran('context', 'remove', 'other');
  });

  it('are made, used, shown and removed', async () => {
    assert.equal((await ran('context')).out, 'No contexts. Make one: sublet context set NAME --master HOST:PORT\n');
    assert.equal((await ran('context', 'set', 'one', '--master', one.address)).code, 0);
    assert.equal((await ran('context', 'set', 'two', '--master', two.address, '--timeout', '5s')).code, 0);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.equal(await asked(), 'one', 'the first one is the current one');
    assert.equal((await ran('context', 'use', 'two')).out, 'two is used from now on.\n');
    assert.equal(await asked(), 'two');
    assert.equal(await asked('--context', 'one'), 'one');
    const terminal = new RecordedTerminal();
    await run(['--context', 'one', 'status', '-o', 'jsonpath={.clusterId}'], terminal);
    assert.equal(terminal.out, 'one\n');
    process.env.SUBLET_CONTEXT = 'one';
    assert.equal(await asked(), 'one');
    assert.equal(
      (await ran('context')).out.replaceAll(/127\.0\.0\.1:\d+ */g, '… '),
      '   CONTEXT  MASTERS          CERTIFICATE  TIMEOUT\n   one      … -            -\n*  two      … -            5s\n',
    );
    const { candidates } = await complete(['context', 'use', ''], commandTree(terminal), async () => []);
    assert.deepEqual(
      candidates.map(({ value }) => value),
      ['one', 'two'],
    );
    assert.equal((await ran('context', 'remove', 'two')).code, 0);
    assert.deepEqual(readContexts(), { current: '', contexts: { one: { master: one.address } } });
  });

  it('count less than the environment, and that less than flags', async () => {
    await ran('context', 'set', 'one', '--master', '127.0.0.1:9', '--timeout', '1ms');
    process.env.SUBLET_MASTER = one.address;
    process.env.SUBLET_TIMEOUT = '5s';
    assert.equal(await asked(), 'one');
    assert.equal(await asked('--master', two.address), 'two');
    process.env.SUBLET_TIMEOUT = '5';
    assert.match(await asked(), /^sublet: SUBLET_TIMEOUT: "5" is not a duration/);
    assert.equal(await asked('--timeout', '5s'), 'one');
  });

  it('hold the paths of certificates from the root on, and change only what is named', async () => {
    await ran('context', 'set', 'one', '--master', one.address, '--tls', 'certs');
    await ran('context', 'set', 'one', '--timeout', '2s');
    assert.deepEqual(readContexts().contexts.one, { master: one.address, tls: resolve('certs'), timeout: '2s' });
    assert.match(
      await asked(),
      /^sublet: context one: .*certs\/ca\.pem can't be read: there is no such file\n/,
      'the files of the context are read',
    );
    // A folder that a flag names counts more than files that the environment names.
    const other = join(folder, 'other');
    mkdirSync(other, { recursive: true });
    process.env.SUBLET_TLS_CA = join(folder, 'env.pem');
    assert.match(
      await asked('--tls', other),
      /^sublet: --tls: .*other\/ca\.pem can't be read: .*\n +Name the folder that has your ca\.pem/,
    );
    assert.match(await asked(), /^sublet: SUBLET_TLS_CA: .*env\.pem/);
  });

  it('are made before their certificate is there, with a note', async () => {
    const { code, notes } = await ran('context', 'set', 'one', '--master', one.address, '--tls', folder);
    assert.deepEqual([code, notes], [0, '']);
    const [missing, key] = [join(folder, 'none'), join(folder, 'key.pem')];
    const early = await ran('context', 'set', 'one', '--tls', missing, '--tls-key', key);
    assert.equal(early.code, 0);
    assert.equal(
      early.notes.replaceAll(/\s+/g, ' '),
      `! --tls: there is no folder ${missing} yet; commands with this context need it ` +
        `! --tls-key: there is no file ${key} yet; commands with this context need it `,
    );
    assert.equal(readContexts().contexts.one?.tls, missing);
  });

  it('are refused where there is none of that name, or the file holds something else', async () => {
    await ran('context', 'set', 'one', '--master', one.address);
    assert.match(await asked('--context', 'two'), /^sublet: --context: there is no context "two": there is one\n/);
    process.env.SUBLET_CONTEXT = 'toString';
    assert.match(await asked(), /^sublet: SUBLET_CONTEXT: there is no context "toString": there is one\n/);
    delete process.env.SUBLET_CONTEXT;
    for (const args of [
      ['use', 'two'],
      ['remove', 'two'],
      ['set', '../x', '--master', 'a:1'],
      ['set', 'x'],
      ['nonsense'],
    ]) {
      assert.equal((await ran('context', ...args)).code, 2, args.join(' '));
    }
    const wrong: readonly (readonly [string, RegExp])[] = [
      ['{', /holds no contexts: .*JSON/],
      ['[]', /the file is no object/],
      ['{"current": "", "contexts": {}, "more": 1}', /"more" is no key of it/],
      ['{"current": "", "contexts": {"a": {"mastr": "x"}}}', /a: "mastr" is no key: master, tls, /],
      ['{"current": "", "contexts": {"a": {"master": 7}}}', /a: master is no text/],
      ['{"current": "b", "contexts": {}}', /the current context: there is no context "b": there is none/],
    ];
    for (const [text, message] of wrong) {
      writeFileSync(file, text);
      assert.match(await asked(), message);
      assert.equal(readFileSync(file, 'utf8'), text);
    }
  });

  it('are in the folder for configuration', () => {
    assert.equal(contextFile({ SUBLET_CONTEXTS: '/x' }), '/x');
    assert.equal(contextFile({ XDG_CONFIG_HOME: '/c', HOME: '/h' }), '/c/sublet/contexts.json');
    assert.equal(contextFile({ HOME: '/h' }), '/h/.config/sublet/contexts.json');
  });
});
