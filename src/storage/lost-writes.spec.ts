import assert from 'node:assert/strict';
import { StoreError, type StoreErrorCode } from '#replica/ports/log-store.js';
import type { KeyValueOperation } from '#storage/key-value.js';
import { openLogStore } from '#storage/key-value-log-store.js';
import { entryKey } from '#storage/records/keys.js';
import type { Table } from '#storage/testing/key-value-table.js';
import { LifeOfAStore } from '#storage/testing/life-of-a-store.js';
import { applied, MemoryDisk } from '#storage/testing/memory-disk.js';
import { contentOf, memoryStoreDisk } from '#storage/testing/sample.js';

async function refusal(disk: MemoryDisk): Promise<StoreErrorCode | undefined> {
  try {
    const store = await openLogStore(memoryStoreDisk(disk));
    await store.close();
    return undefined;
  } catch (error) {
    assert(error instanceof StoreError, String(error));
    assert.match(error.message, /rejoin as a new member/);
    return error.code;
  }
}

function replayed(batches: readonly (readonly KeyValueOperation[])[]): Table {
  return batches.reduce<Table>((table, batch) => applied(table, batch), new Map());
}

function describeKey(key: string): string {
  return Buffer.from(key, 'latin1').toString('hex');
}

describe('a database that lost or changed something while it was closed', () => {
  let disk = new MemoryDisk();
  /** As they were when the store was new: they know of no later write. */
  let firstSlots: MemoryDisk['slots'];
  let whole: Awaited<ReturnType<typeof contentOf>>;

  beforeEach(async () => {
    disk = new MemoryDisk();
    await new LifeOfAStore(disk).run(async (done) => {
      if (done === 1) firstSlots = disk.reboot().slots;
    });
    whole = await contentOf(await openLogStore(memoryStoreDisk(disk.reboot())));
  });

  function withTable(table: Table): MemoryDisk {
    const copy = disk.reboot();
    copy.table = table;
    return copy;
  }

  it('starts whole when nothing was lost', async () => {
    assert.deepEqual(replayed(disk.batches), disk.table);
    assert.equal(await refusal(disk.reboot()), undefined);
  });

  it('is refused, whichever batch vanished from the middle, at any time of its life', async () => {
    let refused = 0;
    for (let end = 2; end <= disk.batches.length; end++) {
      const lived = disk.batches.slice(0, end);
      const sound = await contentOf(await openLogStore(memoryStoreDisk(new MemoryDisk(replayed(lived), firstSlots))));
      for (const dropped of lived.slice(0, -1).keys()) {
        const hurt = new MemoryDisk(replayed(lived.filter((_, at) => at !== dropped)), firstSlots);
        if ((await refusal(hurt.reboot())) !== undefined) {
          refused += 1;
          continue;
        }
        // Unseen is only what makes no difference: deletions of what was out of use, or what later writes replaced.
        const found = await contentOf(await openLogStore(memoryStoreDisk(hurt)));
        assert.deepEqual(found, sound, `batch ${dropped} of ${end}`);
      }
    }
    assert(refused > 50, `${refused} refused`);
  });

  it('is refused as amnesiac, however long ago the copy of it was made', async () => {
    for (let end = 1; end < disk.batches.length; end++) {
      assert.equal(await refusal(withTable(replayed(disk.batches.slice(0, end)))), 'amnesia', `after batch ${end}`);
    }
    assert.equal(await refusal(withTable(new Map())), 'corrupt');
  });

  it('is refused when any one record of it is missing', async () => {
    for (const key of disk.table.keys()) {
      const table = new Map(disk.table);
      table.delete(key);
      assert.equal(await refusal(withTable(table)), 'corrupt', describeKey(key));
    }
  });

  it('is refused with the place in the log where it is not whole', async () => {
    const harmed = (harm: (table: Map<string, Uint8Array>) => void) => {
      const table = new Map(disk.table);
      harm(table);
      return openLogStore(memoryStoreDisk(withTable(table)));
    };
    const key = (index: number) => Buffer.from(entryKey(index)).toString('latin1');
    await assert.rejects(
      harmed((table) => table.delete(key(21))),
      /log entry 21 is missing/,
    );
    await assert.rejects(
      harmed((table) => table.delete(key(22))),
      /log ends at entry 21 instead of 22/,
    );
    await assert.rejects(
      harmed((table) => table.set(key(23), new Uint8Array(40))),
      /log goes on after its last entry, 22/,
    );
    await assert.rejects(
      harmed((table) => table.set(key(22), table.get(key(21)) ?? new Uint8Array(0))),
      /in the place of log entry 22 there is entry 21/,
    );
  });

  it('is refused when any one byte of it is flipped', async () => {
    for (const [key, value] of disk.table) {
      for (const at of value.keys()) {
        const flipped = value.slice();
        flipped[at] = (flipped[at] ?? 0) ^ 0xff;
        assert.equal(
          await refusal(withTable(new Map(disk.table).set(key, flipped))),
          'corrupt',
          `byte ${at} of ${describeKey(key)}`,
        );
      }
    }
  });

  it('is refused when a record of it is an older one, or one that was deleted', async () => {
    let tried = 0;
    for (const batch of disk.batches) {
      for (const operation of batch) {
        if (operation.type !== 'put') continue;
        const key = Buffer.from(operation.key).toString('latin1');
        const present = disk.table.get(key);
        const isPartOfTheStore = present !== undefined || key.startsWith('l');
        if (!isPartOfTheStore || (present !== undefined && Buffer.compare(present, operation.value) === 0)) continue;
        const hurt = withTable(new Map(disk.table).set(key, operation.value));
        const code = await refusal(hurt.reboot());
        if (code === undefined) {
          assert.equal(present, undefined, describeKey(key));
          assert.deepEqual(await contentOf(await openLogStore(memoryStoreDisk(hurt))), whole);
        }
        tried += 1;
      }
    }
    assert(tried > 5);
  });
});
