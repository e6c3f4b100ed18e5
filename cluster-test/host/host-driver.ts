/** Drives a reconciler that runs in a host's namespace. */
import { type ChildProcess, spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { atEnd, type Netns } from '#cluster-test/host/netns.js';
import { until } from '#cluster-test/process/condition.js';
import type { HostMetrics, HostStatus, PingReport } from '#host/host-status.js';
import type { HostInput, HostSettings } from '#host/input.js';
import type { CleanupReport, PlannedStep } from '#host/reconciler-interface.js';

export type DriverCommand =
  | { readonly kind: 'update'; readonly input: HostInput }
  | { readonly kind: 'metrics' }
  | { readonly kind: 'plan'; readonly input: HostInput }
  | { readonly kind: 'ping'; readonly target?: string }
  | { readonly kind: 'cleanup'; readonly clusterIds: readonly string[]; readonly settings: HostSettings };

export type DriverAnswer =
  | { readonly kind: 'status'; readonly status: HostStatus }
  | { readonly kind: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly error: string };

const main = join(dirname(fileURLToPath(import.meta.url)), 'host-driver-main.js');
const outputCharactersMax = 50_000;

export class HostDriver {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  readonly #ended: Promise<void>;
  #nextId = 1;
  #output = '';
  status: HostStatus = { overlays: [], problems: [], converged: false };

  /** `prefix` goes before node, after the words that enter the namespace: a command that drops rights, say. */
  constructor(
    host: Netns,
    { env = {}, prefix = [] }: { env?: Record<string, string>; prefix?: readonly string[] } = {},
  ) {
    const [program = '', ...args] = ['ip', 'netns', 'exec', host.name, ...prefix, process.execPath, main];
    this.#child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...env } });
    const forget = atEnd(() => this.#child.kill('SIGKILL'));
    this.#ended = new Promise((resolve) => {
      this.#child.once('close', () => {
        forget();
        for (const { reject } of this.#waiting.values()) reject(new Error(`the reconciler ended:\n${this.#output}`));
        resolve();
      });
    });
    const { stdout, stderr } = this.#child;
    if (stdout === null || stderr === null) throw new TypeError('the streams are pipes');
    createInterface({ input: stdout }).on('line', (line) => this.#hear(JSON.parse(line)));
    stderr.on('data', (bytes: Buffer) => {
      this.#output = (this.#output + bytes.toString()).slice(-outputCharactersMax);
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** What it logged, for a failed test's message. */
  get output(): string {
    return this.#output;
  }

  update(input: HostInput): Promise<HostStatus> {
    return this.#ask({ kind: 'update', input });
  }

  metrics(): Promise<HostMetrics> {
    return this.#ask({ kind: 'metrics' });
  }

  plan(input: HostInput): Promise<readonly PlannedStep[]> {
    return this.#ask({ kind: 'plan', input });
  }

  ping(target?: string): Promise<readonly PingReport[]> {
    return this.#ask({ kind: 'ping', ...(target === undefined ? {} : { target }) });
  }

  cleanup(clusterIds: readonly string[], settings: HostSettings): Promise<CleanupReport> {
    return this.#ask({ kind: 'cleanup', clusterIds, settings });
  }

  /** Waits until every overlay is OK. */
  async allOk(boundMs = 30_000): Promise<void> {
    try {
      await until('every overlay OK', boundMs, () => {
        const { overlays, converged } = this.status;
        return overlays.length > 0 && converged && overlays.every(({ kind }) => kind === 'ok') ? true : undefined;
      });
    } catch (error) {
      throw new Error(`${JSON.stringify(this.status)}\n${this.#output}`, { cause: error });
    }
  }

  /** Ends it as a stopped agent does: the data plane stays. */
  async stop(): Promise<void> {
    this.#child.stdin?.end();
    await this.#ended;
  }

  #ask<Value>(command: DriverCommand): Promise<Value> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#child.stdin?.write(`${JSON.stringify({ id, command })}\n`);
    });
  }

  #hear(answer: DriverAnswer): void {
    if (answer.kind === 'status') {
      this.status = answer.status;
      return;
    }
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    // The answer is of the type that the command has; both sides are this test's own.
    if (answer.kind === 'answer') waiting?.resolve(answer.value as never);
    else waiting?.reject(new Error(`${answer.error}\n${this.#output}`));
  }
}
