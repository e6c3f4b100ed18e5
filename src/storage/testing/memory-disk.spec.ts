import { identityFileContract } from '#storage/testing/identity-file-contract.js';
import { keyValueContract } from '#storage/testing/key-value-contract.js';
import { MemoryDisk } from '#storage/testing/memory-disk.js';

describe('a database in memory', () => {
  for (const { name, run } of keyValueContract(async () => {
    const disk = new MemoryDisk();
    return { value: { backend: disk.backend(), reopen: async () => disk.reboot().backend() } };
  })) {
    it(name, run);
  }
});

describe('an identity file in memory', () => {
  for (const { name, run } of identityFileContract(async () => {
    const disk = new MemoryDisk();
    return { value: { file: disk.identityFile(), reopen: async () => disk.reboot().identityFile() } };
  })) {
    it(name, run);
  }
});
