/**
 * The command that `on_change` names, run after a pass has changed what other programs read: CNI files, Docker
 * networks, the lease's files. One runs at a time, each is bounded, and no pass waits for it. What changes meanwhile is
 * one more run. A run that failed is tried again.
 */
import { spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import { errorText } from '#errors/unknown-error.js';
import { writableByOthers } from '#files/private-folder.js';
import type { StepOutcome } from '#host/apply/apply.js';
import type { StepKind } from '#host/diff/host-step.js';
import type { HostSettings } from '#host/input.js';

export type HookLog = {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
};

export type HookCall = {
  /** An absolute path and arguments; no shell reads them. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
};

/** Runs the command to its end. Resolves with what went wrong; undefined: nothing. Never rejects. */
export type HookRunner = (call: HookCall) => Promise<string | undefined>;

export type ChangeHookOptions = {
  readonly log: HookLog;
  readonly clock: { after(delayMs: number, run: () => void): () => void };
  readonly run: HookRunner;
  /** Called when `error` may have changed. */
  readonly onOutcome: () => void;
};

/** Wait after a run that failed. */
const retryMs = 60_000;
/** A run is ended after this. */
const hookTimeoutMs = 30_000;
/** Characters of its standard error that are kept. */
const stderrCharactersMax = 2_000;

/** Steps after which other programs find something else than before. */
const announced: ReadonlySet<StepKind> = new Set<StepKind>([
  ...(['cni-write', 'cni-delete', 'docker-create', 'docker-delete'] as const),
  ...(['bridge-create', 'file-write', 'file-delete'] as const),
]);

export class ChangeHook {
  readonly #options: ChangeHookOptions;
  /** What the next run is for; undefined: none is due. */
  #due: { readonly settings: HostSettings; readonly overlays: ReadonlySet<string> } | undefined;
  #running = false;
  #cancelRetry: () => void = () => {};
  #stopped = false;
  #runs = 0;
  #failures = 0;
  #error = '';

  constructor(options: ChangeHookOptions) {
    this.#options = options;
  }

  /** Of the last run, with the command; empty: it went well, or there was none. */
  get error(): string {
    return this.#error;
  }

  get counts(): { readonly runs: number; readonly failures: number } {
    return { runs: this.#runs, failures: this.#failures };
  }

  /** Takes in what a pass has done. */
  passed(outcomes: readonly StepOutcome[], settings: HostSettings): void {
    const steps = outcomes.filter(({ kind, step }) => kind === 'done' && announced.has(step.kind));
    if (steps.length === 0 || settings.onChange === undefined || settings.onChange.length === 0) return;
    const names = steps.flatMap(({ step: { scope } }) => (scope.kind === 'overlay' ? [scope.name] : []));
    this.#due = { settings, overlays: new Set([...(this.#due?.overlays ?? []), ...names]) };
    this.#cancelRetry();
    this.#begin();
  }

  /** Nothing is run any more; a run that has begun goes on to its own end. */
  stop(): void {
    this.#stopped = true;
    this.#cancelRetry();
  }

  #begin(): void {
    const due = this.#due;
    if (this.#running || this.#stopped || due === undefined) return;
    this.#due = undefined;
    this.#running = true;
    void this.#run(due.settings, due.overlays).finally(() => {
      this.#running = false;
      this.#options.onOutcome();
      this.#begin();
    });
  }

  async #run(settings: HostSettings, overlays: ReadonlySet<string>): Promise<void> {
    const { log, clock, run } = this.#options;
    const command = settings.onChange ?? [];
    const runDir = settings.runFiles?.runDir;
    const env = {
      SUBLET_CHANGED: [...overlays].sort().join(','),
      SUBLET_CNI_DIR: settings.cniDir,
      ...(runDir === undefined ? {} : { SUBLET_RUN_DIR: runDir }),
    };
    const error = await run({ command, env });
    this.#runs += 1;
    const before = this.#error;
    this.#error = error === undefined ? '' : `on_change ${command[0]}: ${error}`;
    if (error === undefined) {
      log.info({ command, changed: env.SUBLET_CHANGED }, 'on_change was run');
      return;
    }
    this.#failures += 1;
    if (this.#error !== before) log.warn({ error: this.#error }, 'on_change failed');
    if (this.#stopped) return;
    this.#cancelRetry = clock.after(retryMs, () => {
      this.#due = { settings, overlays: new Set([...overlays, ...(this.#due?.overlays ?? [])]) };
      this.#begin();
    });
  }
}

/** Runs it as a process group of its own, which is ended as a whole after `timeoutMs`. */
export function hookRunner(timeoutMs: number = hookTimeoutMs): HookRunner {
  return ({ command, env }) => {
    const [program = '', ...args] = command;
    const reason = unsafe(program);
    if (reason !== undefined) return Promise.resolve(`is not run: ${reason}`);
    return new Promise((resolve) => {
      const child = spawn(program, args, {
        env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', ...env },
        cwd: '/',
        detached: true,
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      let said = '';
      child.stderr.on('data', (bytes: Buffer) => {
        said = (said + bytes.toString()).slice(-stderrCharactersMax);
      });
      let isLate = false;
      const timer = setTimeout(() => {
        isLate = true;
        killGroup(child.pid);
      }, timeoutMs);
      child.once('error', (error) => {
        clearTimeout(timer);
        resolve(errorText(error));
      });
      // Not `close`: what it leaves in the background may hold its pipe for as long as it likes.
      child.once('exit', (code, signal) => {
        clearTimeout(timer);
        child.stderr.destroy();
        resolve(isLate ? `did not end within ${timeoutMs} ms, and was ended` : outcome(code, signal, said));
      });
    });
  };
}

function outcome(code: number | null, signal: string | null, said: string): string | undefined {
  if (code === 0) return undefined;
  const last = said.trim().split('\n').at(-1) ?? '';
  return `${code === null ? `ended by ${signal}` : `exit code ${code}`}${last === '' ? '' : `: ${last}`}`;
}

function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // It has just ended.
  }
}

/** It runs with the agent's rights, so only root and the agent's own user may change it. */
function unsafe(program: string): string | undefined {
  try {
    const { uid } = statSync(program);
    if (uid !== 0 && uid !== process.geteuid?.()) return `${program} belongs to another user (uid ${uid})`;
    return writableByOthers(program) ?? writableByOthers(dirname(program));
  } catch (error) {
    return errorText(error);
  }
}
