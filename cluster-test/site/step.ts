/** Steps of a storm, drawn at random. */
import type { SeededRandom } from '#replica/testing/seeded-random.js';

export type Step = {
  /** In the plural, for the account at the end. */
  readonly what: string;
  /** 0: it can't be done now. */
  readonly weight: number;
  /** Needs that no other step is under way. */
  readonly alone?: boolean;
  /** Resolves with false: there was nothing to do it to. */
  readonly run: () => unknown;
};

/** How much more likely a step is that was not done yet, so that a short storm has some of each. */
const firstTimes = 8;

export function drawStep(
  steps: readonly Step[],
  random: SeededRandom,
  counts: Readonly<Record<string, number>>,
): Step | undefined {
  const weightOf = ({ what, weight }: Step): number => (counts[what] === undefined ? weight * firstTimes : weight);
  const all = steps.reduce((sum, step) => sum + weightOf(step), 0);
  if (all === 0) return undefined;
  let at = random.below(all);
  for (const step of steps) {
    at -= weightOf(step);
    if (at < 0) return step;
  }
  throw new RangeError('a step is drawn by its weight');
}
