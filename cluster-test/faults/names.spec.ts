/** Masters that are named, and what the system makes of their names: in mount namespaces with files of their own in /etc. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { benchConfig } from '#cluster-test/bench/plan.js';
import { command } from '#cluster-test/operations/operator.js';
import { Child } from '#cluster-test/process/child.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { showOnFailure } from '#cluster-test/process/fixture.js';
import { freePorts } from '#cluster-test/process/ports.js';
import { command as program, requires, root } from '#cluster-test/requirement.js';

const boundMs = 40_000;
const names: readonly string[] = ['m1', 'm2', 'm3'];
/** Puts two files in the place of those of the system, for one process. */
const enter = 'mount --bind "$0" /etc/hosts && mount --bind "$1" /etc/resolv.conf && shift && exec "$@"';

describe('masters with names', function () {
  this.timeout(120_000);
  let folder = '';
  let ports: number[] = [];
  const children = new Map<string, Child>();

  before(function () {
    requires(this, root, program('unshare'), program('mount'));
  });
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sublet-names-'));
    // No name server answers there: a name that is not in the file is not known, at once.
    writeFileSync(join(folder, 'resolv.conf'), 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n');
    ports = await freePorts(9);
  });
  afterEach(async function () {
    showOnFailure(
      this,
      [...children].map(([name, child]) => ({ name, child })),
    );
    await Promise.all([...children.values()].map((child) => child.kill()));
    children.clear();
    rmSync(folder, { recursive: true, force: true });
  });

  const port = (name: string, at: number): number => ports[names.indexOf(name) * 3 + at] ?? 0;
  const api = (name: string): string => `127.0.0.1:${port(name, 0)}`;

  /** What `/etc/hosts` of `name` has from now on. */
  function hosts(name: string, entries: Readonly<Record<string, string>>): void {
    const lines = Object.entries({ localhost: '127.0.0.1', ...entries }).map(
      ([host, address]) => `${address} ${host}\n`,
    );
    writeFileSync(join(folder, `hosts-${name}`), lines.join(''));
  }

  function start(name: string, more: readonly string[] = []): Child {
    const args = [
      ...['master', '--config', benchConfig(), '--name', name, '--data-dir', join(folder, name), '--insecure'],
      ...['--listen', api(name), '--http-listen', `127.0.0.1:${port(name, 2)}`],
      ...names.flatMap((each) => ['--member', `${each}=${each}.test:${port(each, 1)}`]),
      ...more,
    ];
    const prefix = ['unshare', '-m', 'sh', '-c', enter, join(folder, `hosts-${name}`), join(folder, 'resolv.conf')];
    const child = new Child(args, { prefix });
    children.set(name, child);
    return child;
  }

  const ready = (name: string): Promise<true> =>
    until(`${name} ready`, boundMs, async () => holds((await fetch(`http://127.0.0.1:${port(name, 2)}/readyz`)).ok));

  it('bootstrap their cluster when the names of the others become known, and find one that has moved with its name', async () => {
    const all: Readonly<Record<string, string>> = {
      'm1.test': '127.0.0.11',
      'm2.test': '127.0.0.12',
      'm3.test': '127.0.0.13',
    };
    for (const name of names) {
      hosts(name, { [`${name}.test`]: all[`${name}.test`] ?? '' });
      start(name);
    }
    for (const name of names) {
      await until(`${name} waits for the others`, boundMs, () =>
        holds(/waiting: m\d at m\d\.test:\d+ does not answer/.test(children.get(name)?.output ?? '')),
      );
    }
    for (const name of names) hosts(name, all);
    await Promise.all(names.map(ready));

    // Nothing is recorded anew: its name goes with it.
    const moved = { ...all, 'm3.test': '127.0.0.23' };
    await children.get('m3')?.stop();
    for (const name of names) hosts(name, moved);
    start('m3');
    await ready('m3');
    const { output } = await command('members', '--master', api('m1'));
    assert.match(output, /m3 .*m3\.test/);
    assert.doesNotMatch(children.get('m3')?.output ?? '', /are recorded at/);
  });

  it('say at once that their own name is loopback while another one is on another machine, and end with 1', async () => {
    hosts('m1', { 'm1.test': '127.0.1.1', 'm2.test': '192.0.2.2', 'm3.test': '192.0.2.3' });
    const child = start('m1');
    assert.deepEqual(await child.exited, { code: 1, signal: null }, child.output);
    assert.match(child.output, /peer_listen: m1\.test is 127\.0\.1\.1 on this machine.*m2\.test is 192\.0\.2\.2/);
    assert.match(child.output, /correct \/etc\/hosts, or set peer_listen \(--peer-listen\)/);

    // With peer_listen set, it runs: the others go by their own files.
    const told = start('m1', ['--peer-listen', `0.0.0.0:${port('m1', 1)}`]);
    await until('it runs', boundMs, () => holds(/master m1 of cluster sublet runs/.test(told.output)));
  });

  it('say so while the names of the others are not known yet', async () => {
    hosts('m1', { 'm1.test': '127.0.1.1' });
    const child = start('m1');
    await until('it warns', boundMs, () =>
      holds(/m1\.test is 127\.0\.1\.1 .*m2\.test is not known/.test(child.output)),
    );
    assert.ok(child.running);
  });

  it('say which name is not known when it is their own', async () => {
    hosts('m1', { 'm2.test': '127.0.0.12' });
    const child = start('m1');
    assert.equal((await child.exited).code, 1, child.output);
    assert.match(child.output, /peer_listen: the name m1\.test is not known on this machine/);
  });
});
