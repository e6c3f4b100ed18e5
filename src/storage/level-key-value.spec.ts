import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { KeyValueBackend, KeyValueOperation } from '#storage/key-value.js';
import { openLevelKeyValue } from '#storage/level-key-value.js';
import { keyValueContract } from '#storage/testing/key-value-contract.js';

describe('LevelDB', () => {
  for (const { name, run } of keyValueContract(async () => {
    const directory = await mkdtemp(join(tmpdir(), 'sublet-level-'));
    const open = (): Promise<KeyValueBackend> =>
      openLevelKeyValue(join(directory, 'db'), {
        place: directory,
        mayCreate: true,
        writeBufferBytes: 4 * 1024 * 1024,
      });
    let backend = await open();
    const reopen = async (): Promise<KeyValueBackend> => {
      await backend.close();
      backend = await open();
      return backend;
    };
    const dispose = async (): Promise<void> => {
      await backend.close();
      await rm(directory, { recursive: true });
    };
    return { value: { backend, reopen }, dispose };
  })) {
    it(name, run);
  }
});

describe('a scan of LevelDB', () => {
  let directory = '';

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sublet-scan-'));
  });

  afterEach(() => rm(directory, { recursive: true }));

  it('that fails while its reader is busy rejects the read, and nothing else', async () => {
    const options = { place: directory, mayCreate: true, writeBufferBytes: 4 * 1024 * 1024 };
    const backend = await openLevelKeyValue(join(directory, 'db'), options);
    const operations = Array.from({ length: 10_000 }, (_, at): KeyValueOperation => {
      const key = Buffer.alloc(4);
      key.writeUInt32BE(at);
      return { type: 'put', key, value: Buffer.alloc(100) };
    });
    await backend.write(operations);
    const scan = backend.scan({ from: Buffer.alloc(4), to: Buffer.alloc(4, 0xff) })[Symbol.asyncIterator]();
    await scan.next();
    // What is read from here on fails; a part was read ahead.
    await backend.close();
    const strays: unknown[] = [];
    const stray = (error: unknown) => strays.push(error);
    process.on('unhandledRejection', stray);
    try {
      assert.equal((await scan.next()).done, false);
      for (let turn = 0; turn < 5; turn += 1) await nextTurn();
      await assert.rejects(async () => scan.next(), { code: 'LEVEL_ITERATOR_NOT_OPEN' });
    } finally {
      process.off('unhandledRejection', stray);
    }
    assert.deepEqual(strays, []);
  });
});
