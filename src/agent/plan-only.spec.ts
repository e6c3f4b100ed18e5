import { PlanOnly } from '#agent/plan-only.js';
import { exampleInputWith } from '#host/testing/example.js';
import { reconcilerContract } from '#host/testing/reconciler-contract.js';

describe('a reconciler that only plans', () => {
  for (const { name, run } of reconcilerContract(async () => {
    return {
      value: {
        reconciler: new PlanOnly({ planner: { plan: async () => [] }, print: () => {} }),
        inputOf: exampleInputWith,
      },
    };
  })) {
    it(name, run);
  }
});
