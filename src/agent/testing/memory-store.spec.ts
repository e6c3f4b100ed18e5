import { agentStoreContract } from '#agent/testing/agent-store-contract.js';
import { MemoryStore } from '#agent/testing/memory-store.js';

describe('a state directory in memory', () => {
  for (const { name, check } of agentStoreContract) {
    it(name, async () => {
      const store = new MemoryStore();
      const breakDisk = (): void => {
        store.full = true;
      };
      await check({ store, reopen: async () => store, breakDisk });
    });
  }
});
