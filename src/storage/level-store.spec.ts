import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { condition, requires } from '#cluster-test/requirement.js';
import { logIndex } from '#raft/log/entry.js';
import { logStoreContract } from '#replica/contracts/log-store-contract.js';
import { type LogStore, StoreError } from '#replica/ports/log-store.js';
import { systemClock } from '#replica/ports/system-clock.js';
import { type LevelStoreOptions, openLevelStore } from '#storage/level-store.js';
import { HandClock } from '#storage/testing/hand-clock.js';
import { contentOf, hardState, membership, meta, record, sampleEntries, self } from '#storage/testing/sample.js';

const small = { freeBytesFloor: 0, ballastBytes: 64 * 1024 };

/** Stores of a fresh directory each, as `open` makes them. */
function contractOf(open: (directory: string) => Promise<LogStore>) {
  return logStoreContract(async () => {
    const directory = await mkdtemp(join(tmpdir(), 'sublet-store-'));
    const first = await open(directory);
    let newest = first;
    const reopen = async (): Promise<LogStore> => {
      await newest.close();
      newest = await open(directory);
      return newest;
    };
    const dispose = async (): Promise<void> => {
      await newest.close();
      await rm(directory, { recursive: true });
    };
    return { value: { store: first, reopen }, dispose };
  });
}

describe('log store on LevelDB', () => {
  for (const { name, run } of contractOf((place) => openLevelStore(place, { clock: systemClock, ...small }))) {
    it(name, run);
  }

  let directory = '';
  const open = new Set<LogStore>();

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sublet-store-'));
  });

  afterEach(async () => {
    for (const store of open) await store.close();
    open.clear();
    await rm(directory, { recursive: true });
  });

  async function openStore(options: Partial<LevelStoreOptions> = {}): Promise<LogStore> {
    const store = await openLevelStore(directory, { clock: new HandClock(), ...small, ...options });
    open.add(store);
    return store;
  }

  async function reopen(store: LogStore): Promise<LogStore> {
    await store.close();
    open.delete(store);
    return openStore();
  }

  async function bootstrapped(): Promise<LogStore> {
    const store = await openStore();
    await store.bootstrap(self, meta(0, 0, membership(store.identity.storeId)));
    return store;
  }

  it('is empty when new, and keeps its store id', async () => {
    const store = await openStore();
    assert.match(store.identity.storeId, /^[0-9a-f]{32}$/);
    assert.match(store.identity.session.nonces.join(), /^[0-9a-f]{8}$/);
    const { session } = store.identity;
    const none = { clusterId: undefined, memberId: undefined };
    assert.deepEqual(store.identity, { storeId: store.identity.storeId, ...none, session });
    assert.deepEqual(store.loaded.entries, []);
    assert.equal(store.loaded.applied, undefined);
    assert.equal(store.loaded.hardState, undefined);
    const { storeId } = store.identity;
    assert.equal((await reopen(store)).identity.storeId, storeId);
  });

  it('gives back what was written: entries, hard state, records, identity', async () => {
    const store = await bootstrapped();
    const { storeId } = store.identity;
    const of = membership(storeId);
    const { session } = store.identity;
    assert.deepEqual(store.identity, { storeId, clusterId: 'sample', memberId: self, session });
    await store.write({ entries: sampleEntries(1, 3), hardState: hardState(1, 0, 1) });
    await store.write({
      hardState: hardState(1, 3, 1),
      entries: sampleEntries(4, 4),
      applied: { meta: meta(2, 1, of), changes: [record('b', 'two'), record('a', 'one'), record('c', 'three')] },
    });
    await store.write({
      applied: { meta: meta(3, 1, of), changes: [record('b', 'other'), { key: Buffer.from('c'), value: undefined }] },
    });
    const again = await reopen(store);
    assert.deepEqual(await contentOf(again), {
      hardState: hardState(1, 3, 1),
      compacted: { index: 0, term: 0 },
      applied: meta(3, 1, of),
      log: ['1/1', '1/2', '1/3', '1/4'],
      records: [
        ['a', 'one'],
        ['b', 'other'],
      ],
    });
    const { nonces } = again.identity.session;
    const later = { starts: session.starts + 1, nonces };
    assert.deepEqual([nonces.slice(1), new Set(nonces).size], [session.nonces, nonces.length]);
    assert.deepEqual(again.identity, { storeId, clusterId: 'sample', memberId: self, session: later });
    assert.deepEqual(again.loaded.entries[3]?.data, sampleEntries(4, 4)[0]?.data);
  });

  it('replaces a conflicting tail whole', async () => {
    const store = await bootstrapped();
    await store.write({ entries: sampleEntries(1, 9), hardState: hardState(1, 3) });
    await store.write({ entries: sampleEntries(5, 6, 2), hardState: hardState(2, 3) });
    assert.deepEqual(
      (await reopen(store)).loaded.entries.map(({ term, index }) => [term, index]),
      [
        [1, 1],
        [1, 2],
        [1, 3],
        [1, 4],
        [2, 5],
        [2, 6],
      ],
    );
  });

  it('syncs every batch it writes', async () => {
    const scratch = new ClassicLevel(join(directory, 'scratch'));
    await scratch.open();
    const prototype: { write: (options?: unknown) => Promise<void> } = Object.getPrototypeOf(scratch.batch());
    await scratch.close();
    const { write } = prototype;
    const seen: unknown[] = [];
    prototype.write = function (options) {
      seen.push(options);
      return write.call(this, options);
    };
    try {
      const store = await bootstrapped();
      await store.write({ entries: sampleEntries(1, 1), hardState: hardState(1, 0, 1) });
      const sink = await store.stageSnapshot(meta(9));
      await sink.append([record('a', 'b')]);
    } finally {
      prototype.write = write;
    }
    assert.deepEqual(
      seen,
      Array.from({ length: 5 }, () => ({ sync: true })),
    );
  });

  it('refuses a second process, naming the first', async () => {
    await openStore();
    await assert.rejects(openLevelStore(directory, { clock: new HandClock(), ...small }), (error) => {
      assert(error instanceof StoreError);
      assert.equal(error.code, 'locked');
      assert.match(error.message, new RegExp(`in use by this process \\(${process.pid}\\)`));
      return true;
    });
  });

  it('names the other process that has the store', async function () {
    requires(this, condition(process.platform === 'linux', 'not Linux, which alone tells who holds a lock'));
    const url = (file: string) => JSON.stringify(new URL(file, import.meta.url).href);
    const script = `
      const { openLevelStore } = await import(${url('level-store.js')});
      const { HandClock } = await import(${url('testing/hand-clock.js')});
      await openLevelStore(${JSON.stringify(directory)}, { clock: new HandClock(), freeBytesFloor: 0, ballastBytes: 0 });
      console.log('open');
      process.stdin.resume();`;
    const holder = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    try {
      await once(holder.stdout, 'data');
      await assert.rejects(openStore(), (error) => {
        assert(error instanceof StoreError);
        assert.equal(error.code, 'locked');
        assert.match(error.message, new RegExp(`in use by process ${holder.pid} \\(.*node.*\\)`));
        return true;
      });
    } finally {
      holder.kill();
      await once(holder, 'exit');
    }
    // Killed without a goodbye, it leaves a store that opens.
    await openStore();
  });

  it('streams a snapshot in chunks within their limit while writes go on', async () => {
    const store = await bootstrapped();
    const of = membership(store.identity.storeId);
    const written = Array.from({ length: 300 }, (_, at) =>
      record(`key-${String(at).padStart(4, '0')}`, 'x'.repeat(at)),
    );
    await store.write({
      entries: sampleEntries(1, 1),
      hardState: hardState(1, 1),
      applied: { meta: meta(1, 1, of), changes: written },
    });
    const source = await store.openSnapshot();
    await store.write({
      entries: sampleEntries(2, 2),
      hardState: hardState(1, 2),
      applied: { meta: meta(2, 1, of), changes: [{ key: Buffer.from('key-0000'), value: undefined }] },
    });
    const got = [];
    for await (const chunk of source.chunks(1000)) {
      assert(chunk.reduce((bytes, { key, value }) => bytes + key.length + value.length, 0) <= 1000);
      got.push(...chunk.map(({ key, value }) => [String(Buffer.from(key)), Buffer.from(value).length]));
    }
    assert.deepEqual(source.meta, meta(1, 1, of));
    assert.deepEqual(
      got,
      written.map(({ key, value }) => [String(key), value.length]),
    );
    await source.close();
  });

  it('compacts, and never past the applied position or a snapshot in transfer', async () => {
    const store = await bootstrapped();
    const of = membership(store.identity.storeId);
    const applied = (index: number) => ({ meta: meta(index, 1, of), changes: [record('k', String(index))] });
    await store.write({ entries: sampleEntries(1, 20), hardState: hardState(1, 20), applied: applied(8) });
    const source = await store.openSnapshot();
    await store.write({ applied: applied(15) });
    await store.compact(logIndex(12));
    await source.close();
    let again = await reopen(store);
    assert.deepEqual(again.loaded.compacted, { index: 8, term: 1 });
    assert.equal(again.loaded.entries[0]?.index, 9);
    await again.compact(logIndex(12));
    again = await reopen(again);
    assert.deepEqual(again.loaded.compacted, { index: 12, term: 1 });
    assert.equal(again.loaded.entries.length, 8);
    await assert.rejects(again.compact(logIndex(16)), /beyond the applied index 15/);
  });
});
