/** A seed that fails: how to run it again, and with how little trouble it still does. */
import type { FaultChoice, FaultKind } from '#cluster-test/simulation/faults/profile.js';
import { type SimulationOptions, type SimulationResult, simulate } from '#cluster-test/simulation/simulation.js';

/** Runs that looking for a smaller set of faults may take. */
const triesMax = 40;

/** The command that does it again. */
export function replayCommand(seed: number, events: number, extra: readonly string[]): string {
  return ['npm run -s simulate --', `--seed ${seed}`, `--events ${events}`, ...extra].join(' ');
}

/** Leaves out one kind of fault after the other, for good where it fails all the same. Returns those that it takes. */
export async function necessaryFaults(
  result: SimulationResult,
  options: SimulationOptions,
): Promise<{ readonly kinds: readonly FaultKind[]; readonly without: readonly FaultKind[] }> {
  const choice: FaultChoice = options.choice ?? {};
  let without: readonly FaultKind[] = choice.without ?? [];
  let tries = 0;
  for (const kind of result.faults) {
    if (tries >= triesMax) break;
    tries += 1;
    const fewer = [...without, kind];
    const again = await simulate({ ...options, log: undefined, choice: { ...choice, without: fewer } });
    if (again.violation?.invariant === result.violation?.invariant) without = fewer;
  }
  return { kinds: result.faults.filter((kind) => !without.includes(kind)), without };
}
