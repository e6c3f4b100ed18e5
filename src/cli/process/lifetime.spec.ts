/** How the processes of `sublet master` and `sublet agent` begin and end. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child, sublet } from '#cluster-test/process/child.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { freePorts } from '#cluster-test/process/ports.js';
import { TestMasters } from '#master/testing/test-masters.js';

const boundMs = 20_000;

describe('a process of sublet', function () {
  this.timeout(2 * boundMs);
  let folder = '';
  let ports: string[] = [];
  const children: Child[] = [];

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sublet-life-'));
    ports = (await freePorts(3)).map((port) => `127.0.0.1:${port}`);
  });
  afterEach(async () => {
    await Promise.all(children.splice(0).map((child) => child.kill()));
    rmSync(folder, { recursive: true, force: true });
  });

  function master(...flags: readonly string[]): Child {
    const [api = '', peer = '', http = ''] = ports;
    const child = new Child([
      ...['master', '--data-dir', folder, '--listen', api, '--peer-listen', peer, '--http-listen', http],
      ...flags,
    ]);
    children.push(child);
    return child;
  }

  const says = (child: Child, what: RegExp) => until(`it says ${what}`, boundMs, () => holds(what.test(child.output)));

  it('logs JSON in a pipe, and stops with 0 on SIGTERM', async () => {
    const child = master();
    await says(child, /"msg":"ready"/);
    assert.deepEqual(await child.stop(), { code: 0, signal: null });
    const lines = child.output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.deepEqual([...new Set(lines.map(({ process, name }) => `${process} ${name}`))], ['master master-1']);
    assert.deepEqual(
      lines.slice(-2).map(({ level, msg }) => `${level}: ${msg}`),
      ['info: stopping; once more to end at once', 'info: stopped'],
    );
  });

  it('can be stopped while it waits for members that it never sees', async () => {
    const [unused = 0] = await freePorts(1);
    const child = master('--name', 'a', '--member', `a=${ports[1]}`, '--member', `b=127.0.0.1:${unused}`);
    await says(child, /of cluster sublet runs/);
    assert.deepEqual(await child.stop(), { code: 0, signal: null });
  });

  /** A process with something in it that never ends, and with `stop`; `work` is notified when it stops. */
  async function serving(
    stop: string,
    work: (child: ChildProcess, ended: Promise<unknown[]>, output: () => string) => Promise<void>,
  ): Promise<void> {
    const lifetime = new URL('lifetime.js', import.meta.url).href;
    const script = `
      import { serve } from '${lifetime}';
      const log = { info: (_, message) => console.log(message), error: (_, message) => console.log(message) };
      setInterval(() => {}, 1_000);
      void serve(log, async () => ({ stop: () => ${stop} })).then((code) => { process.exitCode = code; });
      console.log('serves');
    `;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      let said = '';
      child.stdout.on('data', (bytes: Buffer) => {
        said += bytes.toString();
      });
      const ended = once(child, 'exit');
      await until('it serves', boundMs, () => holds(said.includes('serves')));
      child.kill('SIGTERM');
      await until('it stops', boundMs, () => holds(said.includes('stopping; once more to end at once')));
      await work(child, ended, () => said);
    } finally {
      child.kill('SIGKILL');
    }
  }

  it('ends at once on a second signal, with the number of the signal', () =>
    serving('new Promise(() => {})', async (child, ended) => {
      assert.equal(child.exitCode, null);
      child.kill('SIGINT');
      assert.deepEqual(await ended, [130, null]);
    }));

  it('ends with 0 once it has stopped, whatever is still under way in it', () =>
    serving('Promise.resolve()', async (_, ended, output) => {
      assert.deepEqual(await ended, [0, null]);
      assert.doesNotMatch(output(), /did not stop in time/);
    }));

  it('refuses a folder that another master has, with 1', async () => {
    const first = master();
    await says(first, /"msg":"ready"/);
    const [api = '', peer = '', http = ''] = (await freePorts(3)).map((port) => `127.0.0.1:${port}`);
    const other = await sublet([
      'master',
      '--data-dir',
      folder,
      '--listen',
      api,
      '--peer-listen',
      peer,
      '--http-listen',
      http,
    ]);
    assert.equal(other.code, 1, other.output);
    assert.match(other.output, new RegExp(`sublet: .*${folder}`));
  });

  it('refuses a port that is taken, with 1 and what to do', async () => {
    const first = master();
    await says(first, /"msg":"ready"/);
    const free = { 'data-dir': join(folder, 'other'), 'peer-listen': '127.0.0.1:0', 'http-listen': '127.0.0.1:0' };
    const [api = '', peer = ''] = ports;
    for (const [taken, settings] of [
      [api, { ...free, listen: api }],
      [peer, { ...free, listen: '127.0.0.1:0', 'peer-listen': peer }],
    ] as const) {
      const other = await sublet([
        'master',
        ...Object.entries(settings).flatMap(([key, value]) => [`--${key}`, value]),
      ]);
      assert.equal(other.code, 1, other.output);
      assert.equal(
        other.output,
        `sublet: can’t listen at ${taken}: something listens there already\n  Choose other addresses with --listen, --peer-listen, --http-listen and --join-listen.\n`,
      );
    }
  });

  it('refuses a configuration that can’t be used, with 2 and all that is wrong', async () => {
    const file = join(folder, 'master.json');
    writeFileSync(file, '{\n  "raft": { "heartbeat_ms": 1 },\n  "lisen": "x"\n}\n');
    const { code, output, stdout } = await sublet(['master', '--config', file, '--quarantine', 'x']);
    assert.equal(code, 2);
    assert.equal(stdout, '');
    const lines = output.trimEnd().split('\n');
    assert.equal(lines[0], 'sublet: the configuration can’t be used: 3 problems');
    assert.match(lines[1] ?? '', /^ {2}--quarantine: "x" is not a duration/);
    assert.match(lines[2] ?? '', /master\.json:2: raft\.heartbeat_ms: 1 is out of range/);
    assert.match(lines[3] ?? '', /master\.json:3: lisen: is not a known key; did you mean listen\?/);
  });

  it('is an agent, too, that stops with 0', async () => {
    const child = new Child([
      ...['agent', '--id', 'a', '--node-ip', '10.0.0.1', '--network', 'plan', '--state-dir', folder],
      ...['--http-listen', ports[0] ?? '', '--master', ports[1] ?? ''],
    ]);
    children.push(child);
    await says(child, /agent a runs/);
    const status = await sublet(['agent', 'status', '--http', ports[0] ?? '']);
    assert.match(status.stdout, /^agent +a\nready +no\n/);
    const again = await sublet(['agent', 'leave', '--id', 'a', '--state-dir', folder, '--network', 'plan']);
    assert.equal(again.code, 1);
    assert.match(again.output, /is used by another sublet agent/);
    assert.deepEqual(await child.stop(), { code: 0, signal: null });
  });

  it('is an agent that the masters can never take: it says why, without a stack, and ends with 1', async () => {
    await using masters = await TestMasters.start();
    const child = new Child([
      ...['agent', '--id', 'a', '--node-ip', '9.0.0.1', '--network', 'plan', '--state-dir', folder],
      ...['--http-listen', ports[0] ?? '', '--master', masters.master(0).api],
    ]);
    children.push(child);
    assert.equal((await child.exited).code, 1);
    const { output } = child;
    const said = output.split('\n').filter((line) => line.includes('gave up: '));
    assert.equal(said.length, 1, output);
    const { level, msg, err } = JSON.parse(said[0] ?? '');
    assert.equal(level, 'error');
    assert.match(msg, /^gave up: .*9\.0\.0\.1/);
    assert.equal(err, undefined);
    assert.doesNotMatch(output, /\.js:\d|"stack"/);
    assert.match(output, /\nsublet: the agent gave up; its log says why\n$/);
  });
});
