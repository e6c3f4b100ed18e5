import assert from 'node:assert/strict';
import { MemoryCluster } from '#master/testing/memory-log.js';
import { LedgerMachine } from '#replica/testing/ledger-machine.js';
import { replicatedLogContract } from '#replica/testing/replicated-log-contract.js';

describe('a log without consensus', () => {
  for (const { name, run } of replicatedLogContract(async () => {
    const cluster = new MemoryCluster([1, 2, 3].map(() => new LedgerMachine('first')));
    cluster.elect(0);
    return {
      value: {
        logs: [cluster.member(0), cluster.member(1), cluster.member(2)],
        elect: async () => cluster.elect(1),
        depose: async () => cluster.elect(undefined),
        settled: (promise) => promise,
        until: async (what, holds) => assert.ok(holds(), what),
      },
    };
  })) {
    it(name, run);
  }
});
