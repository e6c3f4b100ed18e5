/**
 * One process of `sublet dev`: a real `sublet master` or `sublet agent`. It is started again when it dies, with a
 * back-off; it stops by itself when this process is gone, however that came, since its IPC channel closes.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { DevProcess } from '#cli/dev/dev-plan.js';

const main = fileURLToPath(new URL('../main.js', import.meta.url));
const backOffMs = [500, 1_000, 2_000, 5_000, 10_000];
/** A process that lived this long had started well: the next back-off is the shortest again. */
const livedWellMs = 30_000;
/** Between SIGTERM and SIGKILL. */
const stopBoundMs = 20_000;
const lastLines = 5;
/** Of these they are the last ones. */
const linesRead = 20;

/** How a process ended, and when it is started again; `undefined`: not any more. */
export type DevDeath = {
  readonly how: string;
  readonly againInMs: number | undefined;
  readonly lastWords: readonly string[];
};

export class DevChild {
  readonly process: DevProcess;
  readonly #died: (death: DevDeath) => void;
  readonly #again: (pid: number) => void;
  #child: ChildProcess | undefined;
  #startedAt = 0;
  #deaths = 0;
  #restart: NodeJS.Timeout | undefined;
  #stopping = false;

  /** `died` hears of each end unasked, `again` of each start after one. */
  constructor(process: DevProcess, died: (death: DevDeath) => void, again: (pid: number) => void) {
    this.process = process;
    this.#died = died;
    this.#again = again;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  start(): void {
    const log = openSync(this.process.log, this.#deaths === 0 ? 'w' : 'a');
    // In a process group of its own, so that Ctrl-C reaches this process alone, which stops the others in order.
    const child = spawn(process.execPath, [main, ...this.process.args], {
      stdio: ['ignore', log, log, 'ipc'],
      detached: true,
    });
    closeSync(log);
    this.#child = child;
    this.#startedAt = performance.now();
    child.once('error', (error) => this.#ended(`could not be started: ${error.message}`));
    child.once('exit', (code, signal) => this.#ended(signal === null ? `exit code ${code}` : `${signal}`));
  }

  #ended(how: string): void {
    if (this.#child === undefined) return;
    this.#child = undefined;
    if (this.#stopping) return;
    this.#deaths = performance.now() - this.#startedAt >= livedWellMs ? 1 : this.#deaths + 1;
    const againInMs = backOffMs[this.#deaths - 1];
    if (againInMs !== undefined) this.#restart = setTimeout(() => this.#startAgain(), againInMs);
    this.#died({ how, againInMs, lastWords: lastWordsOf(readFileSync(this.process.log, 'utf8')) });
  }

  #startAgain(): void {
    this.start();
    if (this.pid !== undefined) this.#again(this.pid);
  }

  /** Asks it to stop, and makes it. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restart);
    const child = this.#child;
    if (child === undefined) return;
    await new Promise<void>((resolve) => {
      const bound = setTimeout(() => child.kill('SIGKILL'), stopBoundMs);
      child.once('exit', () => {
        clearTimeout(bound);
        resolve();
      });
      child.kill('SIGTERM');
    });
  }
}

/** The last messages of a log, each once: a process that is started again says the same again. */
export function lastWordsOf(log: string): readonly string[] {
  const lines = log.trimEnd().split('\n').slice(-linesRead);
  const messages = lines.filter((line) => line !== '').map(message);
  return [...new Set(messages)].slice(-lastLines);
}

/** The words of a line of pino's; any other line as it is. */
function message(line: string): string {
  try {
    const entry: unknown = JSON.parse(line);
    if (typeof entry === 'object' && entry !== null && 'msg' in entry) return String(entry.msg);
  } catch {
    return line; // A stack trace, say.
  }
  return line;
}
