/** What every `IdentityFile` does: the one on a file system, and the disks in memory that stand for it. */
import assert from 'node:assert/strict';
import { type ContractCase, contractCase, type Subject } from '#replica/contracts/contract.js';
import { type IdentityFile, slotBytes } from '#storage/files/identity-file.js';

/** `reopen` closes the file, and opens what is durable again. */
export type ContractIdentityFile = { readonly file: IdentityFile; readonly reopen: () => Promise<IdentityFile> };

/** `make` gives one that is not created yet. */
export function identityFileContract(make: () => Promise<Subject<ContractIdentityFile>>): readonly ContractCase[] {
  const fileCase = (name: string, check: (subject: ContractIdentityFile) => Promise<void>): ContractCase =>
    contractCase(make, name, check);
  return [
    fileCase('has no slots before it is created, and takes none', async ({ file }) => {
      assert.equal(await file.read(), undefined);
      await assert.rejects(file.write(0, slot(1)));
      assert.equal(await file.read(), undefined);
    }),
    fileCase('is created with both slots, and once more with others', async ({ file, reopen }) => {
      await file.create([slot(1), slot(2)]);
      assert.deepEqual(await numbers(file), [1, 2]);
      await file.create([slot(3), slot(4)]);
      assert.deepEqual(await numbers(await reopen()), [3, 4]);
    }),
    fileCase('overwrites one slot, and leaves the other', async ({ file, reopen }) => {
      await file.create([slot(1), slot(2)]);
      await file.write(1, slot(3));
      assert.deepEqual(await numbers(file), [1, 3]);
      await file.write(0, slot(4));
      await file.write(0, slot(5));
      assert.deepEqual(await numbers(file), [5, 3]);
      assert.deepEqual(await numbers(await reopen()), [5, 3]);
    }),
    fileCase('keeps bytes of its own: the buffers that it was given or gave may change', async ({ file }) => {
      const given = [slot(1), slot(2)] as const;
      await file.create(given);
      given[0].fill(9);
      const later = slot(3);
      await file.write(1, later);
      later.fill(9);
      for (const bytes of (await file.read()) ?? []) bytes.fill(9);
      assert.deepEqual(await numbers(file), [1, 3]);
    }),
    fileCase('can be written after it was closed', async ({ file }) => {
      await file.create([slot(1), slot(2)]);
      await file.write(0, slot(3));
      await file.close();
      await file.close();
      await file.write(1, slot(4));
      assert.deepEqual(await numbers(file), [3, 4]);
    }),
  ];
}

function slot(number: number): Uint8Array {
  return new Uint8Array(slotBytes).fill(number);
}

/** What each slot is filled with. */
async function numbers(file: IdentityFile): Promise<readonly (number | undefined)[]> {
  const slots = await file.read();
  assert.ok(slots !== undefined, 'there is no file');
  for (const bytes of slots) assert.deepEqual(new Set(bytes).size, 1, 'a slot is whole');
  return slots.map((bytes) => bytes[0]);
}
