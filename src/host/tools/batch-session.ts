/**
 * Long-lived `ip -batch -` and `bridge -batch -` processes for the peers' entries: a change of a peer costs three lines
 * and no process. Each batch ends with a word that is no command; the tool's complaint about it, by line number, says
 * that everything before it was carried out, and every error of the batch has come before.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { errorCode } from '#errors/unknown-error.js';
import { ToolMissingError, toolEnvironment } from '#host/tools/runner.js';

export type BatchTool = 'ip' | 'bridge';

export type BatchResult = {
  /** Index of the line → what the tool said. */
  readonly errors: ReadonlyMap<number, string>;
  /** Set when the tool ended before the batch did: no line is known to be carried out. */
  readonly ended?: string;
};

const endWord = 'sublet-end-of-batch';
/** 100,000 entries take seconds. */
const batchTimeoutMs = 120_000;

/** One tool; batches run one after the other. */
class BatchSession {
  readonly #tool: BatchTool;
  #child: ChildProcess | undefined;
  /** Lines written so far; the tool counts them too. */
  #lines = 0;
  #said = '';
  #waiting: { readonly from: number; readonly to: number; readonly done: (result: BatchResult) => void } | undefined;

  constructor(tool: BatchTool) {
    this.#tool = tool;
  }

  run(lines: readonly string[]): Promise<BatchResult> {
    if (this.#waiting !== undefined) throw new Error(`a batch of ${this.#tool} is still running`);
    const child = this.#child ?? this.#begin();
    const from = this.#lines + 1;
    this.#lines += lines.length + 1;
    this.#said = '';
    return new Promise((resolve) => {
      const timer = setTimeout(() => child.kill('SIGKILL'), batchTimeoutMs);
      this.#waiting = {
        from,
        to: this.#lines,
        done: (result) => {
          clearTimeout(timer);
          this.#waiting = undefined;
          resolve(result);
        },
      };
      child.stdin?.write(`${lines.join('\n')}\n${endWord}\n`);
    });
  }

  /** Ends the process once it has nothing to do; the next batch gets a new one. */
  async close(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
    const closed = new Promise((resolve) => child.once('close', resolve));
    child.stdin?.end();
    await closed;
  }

  #begin(): ChildProcess {
    const child = spawn(this.#tool, ['-force', '-batch', '-'], {
      env: toolEnvironment(),
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    this.#child = child;
    this.#lines = 0;
    child.stderr?.setEncoding('utf8').on('data', (text: string) => this.#hear(child, text));
    // A tool that has ended breaks the pipe; its end is what is reported.
    child.stdin?.on('error', () => undefined);
    child.on('error', (error) => {
      const isMissing = errorCode(error) === 'ENOENT';
      this.#end(child, isMissing ? new ToolMissingError(this.#tool).message : error.message);
    });
    child.on('close', () =>
      this.#end(child, `"${this.#tool} -batch" ended: ${this.#said.trim() || 'it said nothing'}`),
    );
    return child;
  }

  #hear(child: ChildProcess, text: string): void {
    if (child !== this.#child) return;
    this.#said += text;
    const waiting = this.#waiting;
    if (waiting === undefined || !this.#said.endsWith(`Command failed -:${waiting.to}\n`)) return;
    waiting.done({ errors: errorsOf(this.#said, waiting.from, waiting.to) });
  }

  #end(child: ChildProcess, ended: string): void {
    if (child !== this.#child) return;
    this.#child = undefined;
    this.#waiting?.done({ errors: new Map(), ended });
  }
}

/** The messages of a line come before "Command failed -:LINE"; the line `to` is the end word. */
function errorsOf(said: string, from: number, to: number): Map<number, string> {
  const errors = new Map<number, string>();
  let messages: string[] = [];
  for (const line of said.split('\n')) {
    const at = /^Command failed -:(\d+)$/.exec(line)?.[1];
    if (at === undefined) {
      messages.push(line);
    } else {
      if (Number(at) < to) errors.set(Number(at) - from, messages.join('\n'));
      messages = [];
    }
  }
  return errors;
}

export class BatchSessions {
  readonly #sessions = { ip: new BatchSession('ip'), bridge: new BatchSession('bridge') };

  run(tool: BatchTool, lines: readonly string[]): Promise<BatchResult> {
    return this.#sessions[tool].run(lines);
  }

  /** Needed when a device was made anew: the tools remember devices' indexes by name. */
  async close(): Promise<void> {
    await Promise.all([this.#sessions.ip.close(), this.#sessions.bridge.close()]);
  }
}
