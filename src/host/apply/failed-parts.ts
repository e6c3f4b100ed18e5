/** Which parts of the host failed, with what error, and when each may be tried again. Pure: the time is an argument. */

import { dependentsOf, isGroundOf, type StepOutcome } from '#host/apply/apply.js';
import type { Step } from '#host/diff/host-step.js';
import { isBesideOverlays, type Part, type Problem, type Scope } from '#host/problem.js';
import { type Backoff, backoffMs } from '#time/backoff.js';

const backoff: Backoff = { baseMs: 1_000, capMs: 15_000 };
/** Errors kept of one part; a broken device can fail thousands of entries alike. */
const errorsMax = 3;
/** Entries of one part that wait each for itself; where more fail, the whole part waits. */
const entriesMax = 64;

type Failure = {
  readonly scope: Scope;
  readonly part: Part;
  readonly attempts: number;
  readonly errors: readonly string[];
  readonly more: number;
  /** Milliseconds on the caller's clock. */
  readonly until: number;
};

export class FailedParts {
  readonly #failures = new Map<string, Failure>();
  /** Parts of entries of which so many failed that they wait as one. */
  readonly #whole = new Set<string>();

  /** Everything may be tried at once: the input changed. */
  reset(): void {
    for (const [key, failure] of this.#failures) this.#failures.set(key, { ...failure, attempts: 0, until: 0 });
  }

  /** The steps that may run now; those of a part that failed just before, and of its dependents, wait. */
  allowed(steps: readonly Step[], nowMs: number): readonly Step[] {
    if (this.#failures.size === 0) return steps;
    const waiting = [...this.#failures].filter(([, { until }]) => until > nowMs);
    const keys = new Set(waiting.map(([key]) => key));
    const ground = new Set(waiting.flatMap(([, failure]) => dependentsOf(failure)));
    const stands = (step: Step): boolean => waiting.some(([, failure]) => isGroundOf(failure, step));
    return steps.filter((step) => !keys.has(this.#keyOf(step)) && !ground.has(step.part) && !stands(step));
  }

  /** Records the outcomes of a pass; `needed` includes skipped steps. */
  record(needed: readonly Step[], outcomes: readonly StepOutcome[], nowMs: number): void {
    this.#widen(outcomes);
    const failed = failuresBy(outcomes, (step) => this.#keyOf(step));
    this.#forgetEnded(needed, outcomes, failed);
    for (const [key, failures] of failed) {
      const [first] = failures;
      if (first === undefined) continue;
      const attempts = (this.#failures.get(key)?.attempts ?? 0) + 1;
      const { scope, part } = first.step;
      const errors = failures.slice(0, errorsMax).map(({ error }) => error);
      const until = nowMs + backoffMs(backoff, attempts - 1);
      this.#failures.set(key, { scope, part, attempts, errors, more: failures.length - errors.length, until });
    }
  }

  /** When the next part may be tried again; undefined if none failed. */
  nextAt(): number | undefined {
    const times = [...this.#failures.values()].map(({ until }) => until);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /** Whether this step's part failed before: running it again repairs no drift. */
  has(step: Step): boolean {
    return this.#failures.has(this.#keyOf(step));
  }

  /** One for each part, whether its entries wait together or each for itself. */
  errors(): Problem[] {
    const byPart = new Map<string, Failure>();
    for (const failure of this.#failures.values()) {
      const key = partKey(failure);
      const before = byPart.get(key) ?? { ...failure, errors: [], more: 0 };
      const all = [...before.errors, ...failure.errors];
      const errors = all.slice(0, errorsMax);
      byPart.set(key, { ...before, errors, more: before.more + failure.more + all.length - errors.length });
    }
    return [...byPart.values()].map(({ scope, part, errors, more }) => {
      const error = `${errors.join('; ')}${more > 0 ? ` (and ${more} more)` : ''}`;
      return { scope, part, error, ...(isBesideOverlays(part) ? { note: true as const } : {}) };
    });
  }

  /** Peers' entries stand each for itself: one that fails holds up no other. */
  #keyOf(step: Step): string {
    const part = partKey(step);
    const entry = entryOf(step);
    return entry === undefined || this.#whole.has(part) ? part : `${part} ${entry}`;
  }

  /** From now on the parts of which too many entries failed wait as one, until none of them fails. */
  #widen(outcomes: readonly StepOutcome[]): void {
    for (const [key, failures] of failuresBy(outcomes, partKey)) {
      const [first] = failures;
      if (first === undefined || entryOf(first.step) === undefined) continue;
      const known = [...this.#failures.keys()].filter((one) => one.startsWith(`${key} `));
      if (new Set([...known, ...failures.map(({ step }) => this.#keyOf(step))]).size <= entriesMax) continue;
      this.#whole.add(key);
      for (const one of known) this.#failures.delete(one);
    }
  }

  /** Those that are not needed any more, or were tried and did not fail. */
  #forgetEnded(needed: readonly Step[], outcomes: readonly StepOutcome[], failed: ReadonlyMap<string, unknown>): void {
    // The first pass of a host has a step for each entry of each peer: keys are made only to look for earlier failures.
    if (this.#failures.size === 0) return;
    const stillNeeded = new Set(needed.map((step) => this.#keyOf(step)));
    const tried = new Set(outcomes.map(({ step }) => this.#keyOf(step)));
    for (const key of this.#failures.keys()) {
      if (stillNeeded.has(key) && (!tried.has(key) || failed.has(key))) continue;
      this.#failures.delete(key);
      this.#whole.delete(key);
    }
  }
}

type FailedOutcome = Extract<StepOutcome, { kind: 'failed' }>;

function failuresBy(outcomes: readonly StepOutcome[], keyOf: (step: Step) => string): Map<string, FailedOutcome[]> {
  const byKey = new Map<string, FailedOutcome[]>();
  for (const outcome of outcomes) {
    if (outcome.kind !== 'failed') continue;
    const key = keyOf(outcome.step);
    const others = byKey.get(key);
    if (others === undefined) byKey.set(key, [outcome]);
    else others.push(outcome);
  }
  return byKey;
}

function partKey({ scope, part }: Pick<Step, 'part' | 'scope'>): string {
  return `${scope.kind === 'host' ? '' : scope.name} ${part}`;
}

/** What a step of a table of entries is about; undefined for every other step. */
function entryOf(step: Step): string | undefined {
  switch (step.kind) {
    case 'neighbour':
      return `neighbour ${step.ip}`;
    case 'fdb':
      return `fdb ${step.mac}`;
    case 'route':
      return `route ${step.table} ${step.subnet}`;
    case 'rule':
      return `rule ${step.source}`;
    default:
      return undefined;
  }
}
