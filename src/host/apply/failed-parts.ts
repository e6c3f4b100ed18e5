/** Which parts of the host failed, with what error, and when each may be tried again. Pure: the time is an argument. */

import { dependentsOf, type StepOutcome } from '#host/apply/apply.js';
import type { Step } from '#host/diff/host-step.js';
import { isBesideOverlays, type Part, type Problem, type Scope } from '#host/problem.js';
import { type Backoff, backoffMs } from '#time/backoff.js';

const backoff: Backoff = { baseMs: 1_000, capMs: 15_000 };
/** Errors kept of one part; a broken device can fail thousands of entries alike. */
const errorsMax = 3;

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

  /** Everything may be tried at once: the input changed. */
  reset(): void {
    for (const [key, failure] of this.#failures) this.#failures.set(key, { ...failure, attempts: 0, until: 0 });
  }

  /** The steps that may run now; those of a part that failed just before, and of its dependents, wait. */
  allowed(steps: readonly Step[], nowMs: number): readonly Step[] {
    if (this.#failures.size === 0) return steps;
    const waiting = [...this.#failures.values()].filter(({ until }) => until > nowMs);
    const keys = new Set(waiting.map(keyOf));
    const ground = new Set(waiting.flatMap(dependentsOf));
    return steps.filter((step) => !keys.has(keyOf(step)) && !ground.has(step.part));
  }

  /** Records the outcomes of a pass; `needed` includes skipped steps. */
  record(needed: readonly Step[], outcomes: readonly StepOutcome[], nowMs: number): void {
    const stillNeeded = new Set(needed.map(keyOf));
    const tried = new Set(outcomes.map(({ step }) => keyOf(step)));
    const failed = failuresByPart(outcomes);
    for (const key of this.#failures.keys()) {
      if (!stillNeeded.has(key) || (tried.has(key) && !failed.has(key))) this.#failures.delete(key);
    }
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
    return this.#failures.has(keyOf(step));
  }

  errors(): Problem[] {
    return [...this.#failures.values()].map(({ scope, part, errors, more }) => {
      const error = `${errors.join('; ')}${more > 0 ? ` (and ${more} more)` : ''}`;
      return { scope, part, error, ...(isBesideOverlays(part) ? { note: true as const } : {}) };
    });
  }
}

type FailedOutcome = Extract<StepOutcome, { kind: 'failed' }>;

function failuresByPart(outcomes: readonly StepOutcome[]): Map<string, FailedOutcome[]> {
  const byPart = new Map<string, FailedOutcome[]>();
  for (const outcome of outcomes) {
    if (outcome.kind !== 'failed') continue;
    const key = keyOf(outcome.step);
    const others = byPart.get(key);
    if (others === undefined) byPart.set(key, [outcome]);
    else others.push(outcome);
  }
  return byPart;
}

function scopeKey(scope: Scope): string {
  return scope.kind === 'host' ? '' : scope.name;
}

function keyOf({ scope, part }: Pick<Step, 'scope' | 'part'>): string {
  return `${scopeKey(scope)} ${part}`;
}
