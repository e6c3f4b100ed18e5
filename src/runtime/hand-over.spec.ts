import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { holds, until } from '#cluster-test/process/condition.js';
import { condition, requires } from '#cluster-test/requirement.js';
import { rightNode } from '#runtime/hand-over.js';
import { badNode } from '#runtime/node-releases.js';

const boundMs = 20_000;
const top = fileURLToPath(new URL('../../../', import.meta.url));
const ofPackage = join(top, 'node_modules/node/bin/node');
const handOver = new URL('hand-over.js', import.meta.url).href;
const signals = new URL('signals.js', import.meta.url).href;
/** Makes the Node.js that reads it one with the old library; the second without a way to replace itself, as before 22.15. */
const old = `Object.defineProperty(process.versions, 'nghttp2', { value: '1.61.0' });`;
const withoutExec = `${old} process.execve = undefined;`;

type Said = { readonly pid: number; readonly execPath: string; readonly argv: readonly string[]; readonly env: string };

describe('handing over to the right Node.js', function () {
  this.timeout(2 * boundMs);
  let folder = '';
  let node = '';
  let program = '';
  const children: ChildProcess[] = [];

  before(function () {
    requires(this, condition(existsSync(ofPackage), 'the package `node` is not installed on this kind of machine'));
    folder = mkdtempSync(join(tmpdir(), 'sublet-node-'));
    // The same program at another place: one that is not of the package.
    node = join(folder, 'node');
    try {
      linkSync(realpathSync(process.execPath), node);
    } catch {
      copyFileSync(process.execPath, node);
    }
    program = join(folder, 'program.mjs');
    writeFileSync(
      program,
      `import { handOver } from '${handOver}';
      if (!(await handOver())) {
        const { pid, execPath, argv, env } = process;
        if (argv[2] === 'serve') {
          const { onSignals } = await import('${signals}');
          onSignals(['SIGTERM', 'SIGINT'], (name) => { console.log('told ' + name); setTimeout(() => process.exit(7), 200); });
          setInterval(() => {}, 1_000);
        }
        console.log(JSON.stringify({ pid, execPath, argv: argv.slice(2), env: String(env.GIVEN) + env.SUBLET_SHELL_PID }));
        if (argv[2] === 'exit') process.exit(Number(argv[3]));
        if (argv[2] === 'abort') process.kill(pid, 'SIGTERM');
      }`,
    );
  });
  after(() => rmSync(folder, { recursive: true, force: true }));
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });

  const imports = (script: string): readonly string[] => [
    '--import',
    `data:text/javascript,${encodeURIComponent(script)}`,
  ];
  const ran = (script: string, ...args: readonly string[]) => {
    const { stdout, stderr, status, signal } = spawnSync(node, [...imports(script), program, ...args], {
      encoding: 'utf8',
      env: { ...process.env, GIVEN: 'given' },
    });
    assert.equal(stderr, '');
    const said: Said = JSON.parse(stdout.split('\n')[0] ?? '');
    return { said, status, signal };
  };

  for (const [how, script] of [
    ['by replacing itself', old],
    ['by a child, where it can not replace itself', withoutExec],
  ] as const) {
    it(`passes on arguments, environment, output and exit code ${how}`, () => {
      const { said, status } = ran(script, 'exit', '42');
      assert.equal(realpathSync(said.execPath), realpathSync(ofPackage));
      assert.deepEqual(said.argv, ['exit', '42']);
      assert.equal(said.env, 'givenundefined');
      assert.equal(status, 42);
    });

    it(`ends by the signal that ended the program ${how}`, () => {
      assert.deepEqual(ran(script, 'abort').signal, 'SIGTERM');
    });
  }

  it('does nothing on a good Node.js', () => {
    assert.equal(ran('', 'exit', '0').said.execPath, node);
  });

  it('goes on where it is when there is no right one at hand, or the package is another one', () => {
    assert.equal(rightNode(new URL('file:///nowhere/program.js').href), undefined);
    const other = join(folder, 'node_modules/node');
    spawnSync('mkdir', ['-p', join(other, 'bin')]);
    symlinkSync(node, join(other, 'bin/node'));
    const packaged = (version: string): string | undefined => {
      writeFileSync(join(other, 'package.json'), JSON.stringify({ name: 'node', version }));
      return rightNode(new URL(`file://${program}`).href);
    };
    assert.equal(packaged('20.20.2'), undefined);
    assert.equal(packaged('24.21.0'), join(other, 'bin/node'));
    rmSync(join(folder, 'node_modules'), { recursive: true });
  });

  /** Starts a program that serves, by a child; resolves with what it said once it does. */
  async function serving(
    env: NodeJS.ProcessEnv = process.env,
  ): Promise<{ child: ChildProcess; said: Said; output: () => string }> {
    const child = spawn(node, [...imports(withoutExec), program, 'serve'], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env,
    });
    children.push(child);
    let output = '';
    child.stdout?.on('data', (bytes: Buffer) => {
      output += bytes.toString();
    });
    await until('it serves', boundMs, () => holds(output.includes('\n')));
    return { child, said: JSON.parse(output.split('\n')[0] ?? ''), output: () => output };
  }

  it('passes a signal on to the child, and waits for it', async () => {
    const { child, said, output } = await serving();
    assert.notEqual(said.pid, child.pid);
    child.kill('SIGTERM');
    // When its output has ended, too, which may be after the process.
    assert.deepEqual(await once(child, 'close'), [7, null]);
    assert.match(output(), /told/);
  });

  it('takes a signal to the whole group for one, of which the program gets two', async () => {
    const { child, said, output } = await serving();
    process.kill(said.pid, 'SIGTERM');
    child.kill('SIGTERM');
    // When its output has ended, too, which may be after the process.
    assert.deepEqual(await once(child, 'close'), [7, null]);
    assert.deepEqual(output().match(/told \w+/g), ['told SIGTERM']);
  });

  const gone = (pid: number) => holds(!existsSync(`/proc/${pid}/cwd`));

  it('leaves no child when the parent is killed', async () => {
    const { child, said } = await serving();
    child.kill('SIGKILL');
    await until('the child is gone', boundMs, () => gone(said.pid));
  });

  it('leaves none without setpriv either', async () => {
    const { child, said } = await serving({ ...process.env, PATH: folder });
    child.kill('SIGKILL');
    await until('the child is gone', boundMs, () => gone(said.pid));
  });

  it('runs the command on the right Node.js, whatever the machine has', function () {
    const found = (process.env.PATH ?? '')
      .split(delimiter)
      .filter((path) => !path.includes('node_modules'))
      .map((path) => join(path, 'node'))
      .find((path) => existsSync(path) && versionOf(path) !== undefined);
    requires(this, condition(found !== undefined, 'no other Node.js on this machine'));
    const main = fileURLToPath(new URL('../cli/main.js', import.meta.url));
    const { stdout } = spawnSync(found ?? '', [main, 'version'], { encoding: 'utf8' });
    const version = /Node\.js (\S+),/.exec(stdout)?.[1] ?? '';
    assert.equal(badNode({ node: version, nghttp2: '1.70.0' }), undefined, `${found} ran it on ${version}`);
  });
});

function versionOf(node: string): string | undefined {
  const { status, stdout } = spawnSync(node, ['--version'], { encoding: 'utf8' });
  return status === 0 ? stdout : undefined;
}
