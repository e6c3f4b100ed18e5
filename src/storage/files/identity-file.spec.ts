import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileIdentity } from '#storage/files/identity-file.js';
import { identityFileContract } from '#storage/testing/identity-file-contract.js';

describe('an identity file on a file system', () => {
  for (const { name, run } of identityFileContract(async () => {
    const directory = await mkdtemp(join(tmpdir(), 'sublet-identity-'));
    const open = (): FileIdentity => new FileIdentity(join(directory, 'identity'));
    const file = open();
    let newest = file;
    const reopen = async (): Promise<FileIdentity> => {
      await newest.close();
      newest = open();
      return newest;
    };
    const dispose = async (): Promise<void> => {
      await newest.close();
      await rm(directory, { recursive: true });
    };
    return { value: { file, reopen }, dispose };
  })) {
    it(name, run);
  }
});
