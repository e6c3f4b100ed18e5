/**
 * The commands of the README for a cluster with TLS, as they stand, on addresses of loopback in place of those of hosts, and
 * with what the README says to give processes that share a machine.
 */
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { command } from '#cluster-test/operations/operator.js';
import { Child } from '#cluster-test/process/child.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { fixture, showOnFailure } from '#cluster-test/process/fixture.js';

const boundMs = 60_000;
const commandsMax = 5;
/** All of 127.0.0.0/8 is this machine: another network of it for each run. */
const network = `127.${1 + ((process.pid >> 8) % 254)}.${1 + (process.pid % 254)}`;
const variables = ['SUBLET_MASTER', 'SUBLET_TLS'] as const;

/** The block with `sublet ca init`, a line for each command. */
function readmeCommands(): readonly string[] {
  const blocks = [...readFileSync('README.md', 'utf8').matchAll(/^```\n([\s\S]*?)^```$/gm)];
  const [block = '', ...others] = blocks.flatMap(([, text = '']) => (text.includes('sublet ca init') ? [text] : []));
  assert.equal(others.length, 0);
  return block
    .replaceAll(/ *\\\n */g, ' ')
    .split('\n')
    .map((line) => line.replace(/ +#.*$/, '').trim())
    .filter(Boolean);
}

describe('the README', function () {
  this.timeout(2 * boundMs);
  const place = mkdtempSync(join(tmpdir(), 'sublet-readme-'));
  const former = variables.map((name) => process.env[name]);
  const children: { readonly name: string; readonly child: Child }[] = [];

  afterEach(function () {
    showOnFailure(this, children);
  });
  after(async () => {
    for (const [at, name] of variables.entries()) {
      const value = former[at];
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    await Promise.all(children.map(({ child }) => child.kill()));
    rmSync(place, { recursive: true });
  });

  it(`brings masters and agents with TLS up in ${commandsMax} commands`, async () => {
    const lines = readmeCommands();
    const [init = '', master = '', variablesLine = '', token = '', agent = '', ...more] = lines;
    assert.ok(lines.length <= commandsMax && more.length === 0, lines.join('\n'));
    for (const file of ['dcos-master.json', 'dcos-agent.json']) copyFileSync(fixture(file), join(place, file));
    const here = (line: string): readonly string[] =>
      line.replaceAll('10.0.0', network).replaceAll('sublet-ca', join(place, 'sublet-ca')).split(/\s+/).slice(1);
    const start = (name: string, args: readonly string[]): void => {
      children.push({ name, child: new Child(args, { cwd: place }) });
    };
    const succeed = async (args: readonly string[]): Promise<string> => {
      const { code, out, output } = await command(...args);
      assert.equal(code, 0, `sublet ${args.join(' ')}: ${output}`);
      return out;
    };

    await succeed([...here(init), '--ca', join(place, 'sublet-ca')]);
    for (const number of [1, 2, 3]) {
      const name = `m${number}`;
      // "The other two masters need no --tls-ca-key."
      const line = number === 1 ? master : master.replace(/ --tls-ca-key \S+/, '');
      const own = line
        .replace('--name m1', `--name ${name}`)
        .replace('master-m1', `master-${name}`)
        .replaceAll(/listen 10\.0\.0\.1/g, `listen 10.0.0.${number}`);
      start(name, [...here(own), '--data-dir', name, '--http-listen', `${network}.${number}:7072`]);
    }
    for (const [, name = '', value = ''] of variablesLine.matchAll(/(SUBLET_\w+)=(\S+)/g)) {
      process.env[name] = value.replace('$PWD', place).replaceAll('10.0.0', network);
    }
    const text = await until('the masters make a token', boundMs, async () => (await succeed(here(token))).trim());
    const own = ['--network', 'plan', '--node-ip', '10.9.0.1', '--state-dir', 'host-1'];
    start('host-1', [...here(agent.replace('TOKEN', text)), ...own, '--http-listen', `${network}.1:7073`]);
    await until('the agent is live', boundMs, async () =>
      holds(/^host-1 +10\.9\.0\.1 +live /m.test(await succeed(['agents']))),
    );
    assert.ok(existsSync(join(place, 'host-1/tls/cert.pem')));
    const { members } = JSON.parse(await succeed(['members', '-o', 'json']));
    assert.deepEqual(members.map(({ name, alive }: { name: string; alive: boolean }) => [name, alive]).sort(), [
      ['m1', true],
      ['m2', true],
      ['m3', true],
    ]);
    assert.ok(children.every(({ child }) => child.running));
  });
});
