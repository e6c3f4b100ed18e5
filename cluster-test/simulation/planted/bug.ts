/** The form of a deliberate bug. */
import type { FaultKind, Shape } from '#cluster-test/simulation/faults/profile.js';

export type BugChange = {
  /** Below `dist/src/`. */
  readonly file: string;
  /** Must occur exactly once; white space in it stands for any. */
  readonly right: string;
  readonly wrong: string;
};

export type Bug = {
  readonly name: string;
  readonly changes: readonly BugChange[];
  readonly aim: {
    readonly faults: readonly FaultKind[];
    /** In place of what the seed draws. */
    readonly shape?: Shape;
  };
};
