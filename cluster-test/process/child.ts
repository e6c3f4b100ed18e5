/**
 * A process that a test owns, `sublet` or another: its output is kept and shown when something goes wrong, and it does not
 * outlive the test, whatever happens to the test.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The built command. */
export const subletMain = join(dirname(fileURLToPath(import.meta.url)), '../../src/cli/main.js');

const outputCharactersMax = 20_000;
const living = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of living) child.kill('SIGKILL');
});

export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

export type ChildOptions = {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Program and arguments to put before the command, such as `ip netns exec NAME`. */
  readonly prefix?: readonly string[];
  /** What to run in place of the built `sublet`. */
  readonly command?: readonly string[];
};

export class Child {
  readonly exited: Promise<Exit>;
  readonly #process: ChildProcess;
  #output = '';
  #stdout = '';

  constructor(args: readonly string[], options: ChildOptions = {}) {
    const { prefix = [], command = [process.execPath, subletMain] } = options;
    const [program = process.execPath, ...rest] = [...prefix, ...command, ...args];
    this.#process = spawn(program, rest, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    living.add(this.#process);
    this.#process.stdout?.on('data', (bytes: Buffer) => {
      this.#stdout = tail(this.#stdout + bytes.toString());
      this.#output = tail(this.#output + bytes.toString());
    });
    this.#process.stderr?.on('data', (bytes: Buffer) => {
      this.#output = tail(this.#output + bytes.toString());
    });
    this.exited = new Promise((resolve, reject) => {
      this.#process.once('error', reject);
      this.#process.once('close', (code, signal) => {
        living.delete(this.#process);
        resolve({ code, signal });
      });
    });
  }

  get pid(): number {
    const { pid } = this.#process;
    if (pid === undefined) throw new Error('the process could not be started');
    return pid;
  }

  get running(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** Standard output and error so far, the newest 20,000 characters. */
  get output(): string {
    return this.#output;
  }

  /** Standard output alone. */
  get stdout(): string {
    return this.#stdout;
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** kill -9, and waits until the process is gone. */
  async kill(): Promise<Exit> {
    this.#process.kill('SIGKILL');
    return this.exited;
  }

  /** SIGTERM, and waits for the end; after `boundMs` it is killed, and that is an error. */
  async stop(boundMs = 30_000): Promise<Exit> {
    this.#process.kill('SIGTERM');
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), boundMs);
    const exit = await this.exited;
    clearTimeout(timer);
    if (exit.signal === 'SIGKILL') throw new Error(`did not end within ${boundMs} ms of SIGTERM:\n${this.#output}`);
    return exit;
  }
}

function tail(text: string): string {
  return text.length > outputCharactersMax ? text.slice(-outputCharactersMax) : text;
}

/** Runs `sublet ARGS` to its end. */
export async function sublet(
  args: readonly string[],
  options: ChildOptions = {},
): Promise<Exit & { stdout: string; output: string }> {
  const child = new Child(args, options);
  const exit = await child.exited;
  return { ...exit, stdout: child.stdout, output: child.output };
}
