import { logStoreContract } from '#replica/contracts/log-store-contract.js';
import { MemoryLogDisk, MemoryLogStore } from '#replica/testing/memory-log-store.js';

describe('a log store in memory', () => {
  for (const { name, run } of logStoreContract(async () => {
    const disk = new MemoryLogDisk('0123456789abcdef0123456789abcdef');
    const open = (): MemoryLogStore => new MemoryLogStore(disk, (_, done) => setImmediate(done));
    return { value: { store: open(), reopen: async () => open() } };
  })) {
    it(name, run);
  }
});
