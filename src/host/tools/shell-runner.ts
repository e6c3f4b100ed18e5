/**
 * Runs short commands through one long-lived shell. Starting a process from Node blocks it for milliseconds, while a
 * shell forks in a fraction of one: an idle agent that looks at its firewall every few seconds costs half as much.
 * Commands run one after the other.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { processRunner, type Runner, type RunResult, ToolMissingError, toolEnvironment } from '#host/tools/runner.js';

const endMark = 'sublet-end-of-command';
const runTimeoutMs = 30_000;
/** POSIX: the exit code of a command that was not found. */
const notFound = 127;

type Waiting = { readonly done: (result: RunResult) => void; stdout: string; stderr: string };

export class ShellRunner implements Runner {
  #shell: ChildProcess | undefined;
  #waiting: Waiting | undefined;
  /** The end of the queue: each command waits for the one before. */
  #last: Promise<unknown> = Promise.resolve();

  async run(command: string, args: readonly string[], options: Parameters<Runner['run']>[2] = {}): Promise<RunResult> {
    // What takes input or prints a long table is worth a process of its own.
    if (options.input !== undefined || options.onLine !== undefined) return processRunner.run(command, args, options);
    const turn = this.#last.then(() => this.#perform([command, ...args], options.timeoutMs ?? runTimeoutMs));
    this.#last = turn.catch(() => undefined); // The caller gets the error; the next in the queue only waits.
    const result = await turn;
    if (result.code === notFound) throw new ToolMissingError(command);
    return result;
  }

  /** Ends the shell; the next command gets a new one. */
  async close(): Promise<void> {
    await this.#last;
    const shell = this.#shell;
    this.#shell = undefined;
    if (shell === undefined || shell.exitCode !== null || shell.signalCode !== null || shell.pid === undefined) return;
    const ended = new Promise((resolve) => shell.once('exit', resolve));
    shell.stdin?.end();
    await ended;
  }

  #perform(words: readonly string[], timeoutMs: number): Promise<RunResult> {
    const shell = this.#shell ?? this.#begin();
    return new Promise((resolve) => {
      const timer = setTimeout(() => killGroup(shell), timeoutMs);
      const done = (result: RunResult) => {
        clearTimeout(timer);
        this.#waiting = undefined;
        resolve(result);
      };
      this.#waiting = { done, stdout: '', stderr: '' };
      // `hash -r`: a tool may have been installed or moved since the shell last looked.
      const line = `hash -r; ${words.map(quoted).join(' ')} </dev/null; printf '\\n${endMark} %s\\n' "$?"; printf '\\n${endMark}\\n' >&2\n`;
      shell.stdin?.write(line);
    });
  }

  #begin(): ChildProcess {
    const shell = spawn('sh', ['-s'], {
      env: toolEnvironment(),
      stdio: ['pipe', 'pipe', 'pipe'],
      // A group of its own, so that a command that hangs ends with the shell.
      detached: true,
    });
    this.#shell = shell;
    shell.stdout.setEncoding('utf8').on('data', (text: string) => this.#hear(shell, 'stdout', text));
    shell.stderr.setEncoding('utf8').on('data', (text: string) => this.#hear(shell, 'stderr', text));
    // A shell that has ended breaks the pipe; its end is what is reported.
    shell.stdin.on('error', () => undefined);
    shell.on('error', (error) => this.#end(shell, error.message));
    shell.on('exit', () => this.#end(shell, 'the command took too long, or ended the shell'));
    return shell;
  }

  #hear(shell: ChildProcess, stream: 'stdout' | 'stderr', text: string): void {
    const waiting = this.#waiting;
    if (shell !== this.#shell || waiting === undefined) return;
    waiting[stream] += text;
    const out = /\nsublet-end-of-command (\d+)\n$/.exec(waiting.stdout.slice(-endCharacters));
    if (out === null || !waiting.stderr.endsWith(`\n${endMark}\n`)) return;
    const stdout = waiting.stdout.slice(0, waiting.stdout.length - out[0].length);
    waiting.done({ code: Number(out[1]), stdout, stderr: waiting.stderr.slice(0, -endMark.length - 2) });
  }

  #end(shell: ChildProcess, why: string): void {
    if (shell !== this.#shell) return;
    this.#shell = undefined;
    this.#waiting?.done({ code: null, stdout: '', stderr: why });
  }
}

function killGroup({ pid }: ChildProcess): void {
  if (pid !== undefined) process.kill(-pid, 'SIGKILL');
}

/** The end mark, an exit code and two line breaks. */
const endCharacters = endMark.length + 8;

function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
