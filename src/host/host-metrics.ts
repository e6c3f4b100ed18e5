/** The reconciler's counters. */
import type { StepOutcome } from '#host/apply/apply.js';
import type { StepKind } from '#host/diff/host-step.js';
import type { HostMetrics } from '#host/host-status.js';

export class HostCounters {
  readonly #run = new Map<string, number>();
  readonly #failed = new Map<string, number>();
  readonly #drift = new Map<string, number>();
  #passes = 0;
  lastPassMs = 0;
  entries = 0;

  /** `passMs`: what observing and comparing took, given for passes over the peers' entries. */
  passed(passMs?: number): void {
    this.#passes += 1;
    if (passMs !== undefined) this.lastPassMs = passMs;
  }

  ran(kind: StepKind, outcome: StepOutcome['kind'], isDrift: boolean): void {
    if (outcome === 'skipped') return;
    add(this.#run, kind);
    if (outcome === 'failed') add(this.#failed, kind);
    else if (isDrift) add(this.#drift, kind);
  }

  snapshot(hook: { readonly runs: number; readonly failures: number }): HostMetrics {
    return {
      passes: this.#passes,
      stepsRun: Object.fromEntries(this.#run),
      stepsFailed: Object.fromEntries(this.#failed),
      driftRepaired: Object.fromEntries(this.#drift),
      hookRuns: hook.runs,
      hookFailures: hook.failures,
      lastPassMs: this.lastPassMs,
      entries: this.entries,
    };
  }
}

function add(counts: Map<string, number>, kind: string): void {
  counts.set(kind, (counts.get(kind) ?? 0) + 1);
}
