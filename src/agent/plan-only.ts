/**
 * A reconciler for `--network plan`: says what would be done to this host, and does nothing. Its overlays stay
 * `planned`: nothing was built, so nothing is reported as built.
 */
import { errorText } from '#errors/unknown-error.js';
import type { HostMetrics, HostOverlayStatus, HostStatus, PingReport } from '#host/host-status.js';
import type { HostInput } from '#host/input.js';
import type { CleanupReport, PlannedStep, Reconciler } from '#host/reconciler-interface.js';
import type { AddressUsage } from '#host/usage/address-usage.js';

/** Lines printed for one plan; what is beyond is counted. */
const stepsShownMax = 200;

export type PlanOnlyOptions = {
  /** Works out the plan: the reconciler of this host. */
  readonly planner: Pick<Reconciler, 'plan'>;
  /** Prints one line. */
  readonly print: (line: string) => void;
};

export class PlanOnly implements Reconciler {
  readonly #options: PlanOnlyOptions;
  #status: HostStatus = { overlays: [], problems: [], converged: false };
  #listeners: ((status: HostStatus) => void)[] = [];
  /** The input to plan for next, while a plan is being made. */
  #next: HostInput | undefined;
  #planning: Promise<void> | undefined;
  #shown: ReadonlySet<string> = new Set();
  #passes = 0;
  #entries = 0;
  #lastPassMs = 0;

  constructor(options: PlanOnlyOptions) {
    this.#options = options;
  }

  start(): void {}

  update(input: HostInput): void {
    this.#next = input;
    this.#planning ??= this.#run();
  }

  async settled(): Promise<HostStatus> {
    await this.#planning;
    return this.#status;
  }

  onStatus(listener: (status: HostStatus) => void): void {
    this.#listeners.push(listener);
  }

  status(): HostStatus {
    return this.#status;
  }

  metrics(): HostMetrics {
    return {
      passes: this.#passes,
      stepsRun: {},
      stepsFailed: {},
      driftRepaired: {},
      hookRuns: 0,
      hookFailures: 0,
      lastPassMs: this.#lastPassMs,
      entries: this.#entries,
    };
  }

  usage(): readonly AddressUsage[] {
    return [];
  }

  plan(input: HostInput): Promise<readonly PlannedStep[]> {
    return this.#options.planner.plan(input);
  }

  async ping(): Promise<readonly PingReport[]> {
    return [];
  }

  async stop(): Promise<void> {
    this.#next = undefined;
    await this.#planning;
  }

  async cleanup(): Promise<CleanupReport> {
    await this.stop();
    return { removed: [], left: [] };
  }

  async #run(): Promise<void> {
    for (let input = this.#next; input !== undefined; input = this.#next) {
      this.#next = undefined;
      const begin = performance.now();
      const problems = await this.#show(input);
      this.#lastPassMs = performance.now() - begin;
      this.#passes += 1;
      this.#entries = input.peers.length;
      this.#setStatus({ overlays: statuses(input, problems), problems, converged: false, cleared: true });
    }
    this.#planning = undefined;
  }

  /** Prints what was not printed before; gives the problems. */
  async #show(input: HostInput): Promise<readonly string[]> {
    const { planner, print } = this.#options;
    let steps: readonly PlannedStep[];
    try {
      steps = await planner.plan(input);
    } catch (error) {
      const problem = `the plan could not be made: ${errorText(error)}`;
      print(`plan: ${problem}`);
      return [problem];
    }
    const fresh = steps.filter(({ command }) => !this.#shown.has(command));
    const now = new Set(steps.map(({ command }) => command));
    const gone = [...this.#shown].filter((command) => !now.has(command)).length;
    this.#shown = now;
    if (fresh.length === 0 && gone === 0) return [];
    const dropped = gone === 0 ? '' : `, ${gone} no longer needed`;
    print(`plan: ${steps.length} steps, ${fresh.length} of them new${dropped}; nothing is changed on this host`);
    for (const { command, why } of fresh.slice(0, stepsShownMax)) print(`  ${command}    # ${why}`);
    if (fresh.length > stepsShownMax) print(`  … and ${fresh.length - stepsShownMax} more`);
    return [];
  }

  #setStatus(status: HostStatus): void {
    const same = JSON.stringify(status) === JSON.stringify(this.#status);
    this.#status = status;
    if (!same) for (const listener of this.#listeners) listener(status);
  }
}

function statuses({ lease }: HostInput, problems: readonly string[]): HostOverlayStatus[] {
  return lease.overlays
    .filter(({ subnet, subnet6 }) => subnet !== undefined || subnet6 !== undefined)
    .map(({ name }): HostOverlayStatus => {
      const [error] = problems;
      return error === undefined ? { kind: 'planned', name } : { kind: 'failed', name, error };
    });
}
