/** The benchmarks run and print all that they promise: on few agents, which says nothing about speed. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { command, requires } from '#cluster-test/requirement.js';

const main = join(dirname(fileURLToPath(import.meta.url)), 'main.js');
/** It ends a benchmark that hangs; on a machine with much else to do one takes a minute. */
const boundMs = 240_000;

type Result = {
  readonly title: string;
  readonly results: readonly { readonly name: string; readonly value: number }[];
};

/** Runs a benchmark to its end. @throws when it ends otherwise than with 0, with what it said */
async function figures(...args: string[]): Promise<ReadonlyMap<string, number>> {
  const { stdout } = await promisify(execFile)(process.execPath, [main, ...args], { timeout: boundMs });
  const line = stdout.trim().split('\n').at(-1) ?? '';
  const { title, results }: Result = JSON.parse(line);
  assert.equal(title, args[0]);
  for (const { name, value } of results) {
    assert.ok(Number.isFinite(value), `${name}: ${value}`);
    assert.ok(stdout.includes(`  ${name} `), `the table lacks ${name}`);
  }
  return new Map(results.map(({ name, value }) => [name, value]));
}

describe('a benchmark', function () {
  this.timeout(boundMs + 5_000);

  it('boot-storm: registers agents, and the echo beside them', async () => {
    const found = await figures('boot-storm', '--agents', '60', '--concurrency', '8');
    assert.equal(found.get('not let once'), 0);
    for (const name of ['registrations', 'bare echo', 'one at a time p50', 'entries per fsync', 'fdatasync p50']) {
      assert.ok((found.get(name) ?? 0) > 0, name);
    }
  });

  it('boot-storm --tls: the same storm without TLS and with it', async () => {
    const few = ['--agents', '12', '--rounds', '1', '--crowd', '6', '--concurrency', '4', '--masters', '1'];
    const found = await figures('boot-storm', '--tls', ...few);
    assert.equal(found.get('not let once'), 0);
    assert.ok((found.get('connections with a registration, TLS') ?? 0) > 0);
  });

  it('beside-etcd: puts, leases and registrations', async function () {
    requires(this, command('etcd'));
    const found = await figures('beside-etcd', '--agents', '60', '--leases', '20', '--concurrency', '8');
    const leases = ['etcd, leases as flannel takes them', 'etcd, leases of free blocks'];
    const ratios = ['registrations / leases of free blocks', 'registrations / leases of free blocks: processor time'];
    for (const name of ['etcd, plain puts', ...leases, 'registrations', ...ratios]) {
      assert.ok((found.get(name) ?? 0) > 0, name);
    }
  });

  it('boot: everyone knows everyone at a learner, and a change reaches all, beside etcd', async function () {
    requires(this, command('etcd'));
    const few = ['--agents', '40', '--changes', '2', '--idle-seconds', '1', '--learners', '1'];
    const found = await figures('boot', ...few, '--beside-etcd');
    const both = ['a change at all p99', 'processor time of those that vote'];
    for (const name of [
      ...both,
      'all know all',
      'bytes of watches',
      'etcd: all know all',
      'etcd: a change at all p99',
    ]) {
      assert.ok((found.get(name) ?? 0) > 0, name);
    }
  });
});
