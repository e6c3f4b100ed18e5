/** What one part of the comparison of a host finds: steps to run, and problems that no step can mend. */

import type { Step } from '#host/diff/host-step.js';
import type { Problem } from '#host/problem.js';

export type StepPlan = {
  readonly steps: readonly Step[];
  readonly problems: readonly Problem[];
};
