/** A host that carries out its input at once, and records it. */

import type { HostMetrics, HostStatus, PingReport } from '#host/host-status.js';
import type { HostInput } from '#host/input.js';
import type { CleanupReport, PlannedStep, Reconciler } from '#host/reconciler-interface.js';
import type { AddressUsage } from '#host/usage/address-usage.js';

export class FakeHost implements Reconciler {
  readonly inputs: HostInput[] = [];
  readonly cleaned: (readonly string[])[] = [];
  steps: readonly PlannedStep[] = [];
  /** What can't be taken off. */
  left: readonly string[] = [];
  stopped = false;
  used: readonly AddressUsage[] = [];
  #status: HostStatus = { overlays: [], problems: [], converged: false };
  #listeners: ((status: HostStatus) => void)[] = [];

  /** The last input. */
  last(): HostInput | undefined {
    return this.inputs.at(-1);
  }

  start(): void {}

  update(input: HostInput): void {
    this.inputs.push(input);
    const overlays = input.lease.overlays.map(({ name }) => ({ kind: 'ok', name, notes: [] }) as const);
    this.tell({ overlays, problems: [], converged: true });
  }

  tell(status: HostStatus): void {
    const same = JSON.stringify(status) === JSON.stringify(this.#status);
    this.#status = status;
    if (!same) for (const listener of this.#listeners) listener(status);
  }

  async settled(): Promise<HostStatus> {
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
      passes: this.inputs.length,
      stepsRun: { route: 2 },
      stepsFailed: {},
      driftRepaired: {},
      hookRuns: 3,
      hookFailures: 1,
      lastPassMs: 3,
      entries: 3,
    };
  }

  usage(): readonly AddressUsage[] {
    return this.used;
  }

  async plan(): Promise<readonly PlannedStep[]> {
    return this.steps;
  }

  async ping(): Promise<readonly PingReport[]> {
    return [];
  }

  async stop(): Promise<void> {
    this.stopped = true;
  }

  async cleanup(clusterIds: readonly string[]): Promise<CleanupReport> {
    this.cleaned.push(clusterIds);
    this.stopped = true;
    return { removed: [], left: this.left };
  }
}

/** Hands each input on as it comes, and keeps the newest alone: for runs with very many. */
export class WatchedHost extends FakeHost {
  readonly #taken: (input: HostInput) => void;

  constructor(taken: (input: HostInput) => void) {
    super();
    this.#taken = taken;
  }

  override update(input: HostInput): void {
    this.inputs.length = 0;
    super.update(input);
    this.#taken(input);
  }
}
