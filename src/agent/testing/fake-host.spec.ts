import { FakeHost } from '#agent/testing/fake-host.js';
import { exampleInputWith } from '#host/testing/example.js';
import { reconcilerContract } from '#host/testing/reconciler-contract.js';

describe('a fake host', () => {
  for (const { name, run } of reconcilerContract(async () => {
    return { value: { reconciler: new FakeHost(), inputOf: exampleInputWith } };
  })) {
    it(name, run);
  }
});
