import assert from 'node:assert/strict';
import fc from 'fast-check';
import { assertNever } from '#errors/invariant.js';
import { logIndex, memberId } from '#raft/log/entry.js';
import { logStoreContract } from '#replica/contracts/log-store-contract.js';
import { type LogStore, type LogWrite, StoreError } from '#replica/ports/log-store.js';
import type { RecordChange } from '#replica/ports/state-machine.js';
import { identityLagMs, openLogStore } from '#storage/key-value-log-store.js';
import { IdentitySlots } from '#storage/records/identity-slots.js';
import { sweepPauseMs, sweepStepKeys } from '#storage/snapshots/sweeper.js';
import { HandClock } from '#storage/testing/hand-clock.js';
import { MemoryDisk } from '#storage/testing/memory-disk.js';
import {
  contentOf,
  eventually,
  hardState,
  membership,
  memoryStoreDisk,
  meta,
  record,
  sampleEntries,
  sampleNonce,
  sampleStoreId,
  self,
} from '#storage/testing/sample.js';

async function bootstrapped(disk: MemoryDisk, clock = new HandClock()): Promise<LogStore> {
  const store = await openLogStore(memoryStoreDisk(disk, clock));
  await store.bootstrap(self, meta(0, 0));
  return store;
}

async function reopened(disk: MemoryDisk): Promise<LogStore> {
  return openLogStore(memoryStoreDisk(disk.reboot()));
}

describe('log store', () => {
  for (const { name, run } of logStoreContract(async () => {
    const disk = new MemoryDisk();
    let nonces = 0;
    const newNonce = (): string => (nonces++).toString(16).padStart(8, '0');
    const open = (): Promise<LogStore> => openLogStore({ ...memoryStoreDisk(disk), newNonce });
    const first = await open();
    let newest = first;
    const reopen = async (): Promise<LogStore> => {
      await newest.close();
      newest = await open();
      return newest;
    };
    return { value: { store: first, reopen } };
  })) {
    it(name, run);
  }

  it('counts its openings on disk before it is handed out, each with a nonce of its own', async () => {
    const disk = new MemoryDisk();
    let nonce = 0x10;
    const opened = () =>
      openLogStore({ ...memoryStoreDisk(disk), newNonce: () => (nonce++).toString(16).padStart(8, '0') });
    const sessions = [];
    for (let time = 0; time < 3; time++) {
      sessions.push((await opened()).identity.session);
      const slots = await IdentitySlots.load(disk.identityFile(), 'here');
      assert.deepEqual(sessions.at(-1), { starts: slots?.identity.starts, nonces: slots?.identity.nonces });
    }
    assert.deepEqual(
      sessions.map(({ starts, nonces }) => `${starts} ${nonces.join()}`),
      ['1 00000010', '2 00000011,00000010', '3 00000012,00000011,00000010'],
    );
  });

  it('keeps facts about the stores of peers: within a second, and at its close', async () => {
    const disk = new MemoryDisk();
    const clock = new HandClock();
    const store = await bootstrapped(disk, clock);
    const fact = { starts: 3, nonce: '0123abcd', term: 4, index: 5 };
    const one = new Map([['1'.repeat(32), fact]]);
    const two = new Map([...one, ['2'.repeat(32), { ...fact, index: 6 }]]);
    assert.deepEqual(store.peerFacts, new Map());
    store.keepPeerFacts(one);
    clock.turn(identityLagMs);
    await eventually('facts on disk', async () => (await reopened(disk)).peerFacts.size === 1);
    assert.deepEqual((await reopened(disk)).peerFacts, one);
    store.keepPeerFacts(two);
    await store.write({ hardState: hardState(9, 0) });
    await store.close();
    assert.deepEqual((await reopened(disk)).peerFacts, two);
  });

  it('refuses what breaks an invariant of Raft, naming it, and takes nothing more', async () => {
    const applied = (index: number) => ({ meta: meta(index), changes: [] });
    const cases: readonly (readonly [what: string, write: LogWrite, message: RegExp])[] = [
      ['a gap after the log', { entries: sampleEntries(7, 8) }, /entry 7 after last entry 5/],
      ['a gap inside', { entries: [...sampleEntries(6, 6), ...sampleEntries(8, 8)] }, /entries with a gap/],
      [
        'to replace what is committed',
        { entries: sampleEntries(3, 6, 2) },
        /entry 3 would replace a committed one \(commit 3\)/,
      ],
      ['a commit beyond the log', { hardState: hardState(1, 6) }, /commit 6 beyond last entry 5/],
      ['an applied index beyond the commit', { applied: applied(4) }, /applied index 4 beyond commit 3/],
      ['an applied index that goes back', { applied: applied(1) }, /applied index 1 behind the stored one, 2/],
      ['a term that goes back', { hardState: hardState(0, 3) }, /the term goes back/],
      ['a commit that goes back', { hardState: hardState(1, 2) }, /the commit goes back/],
      ['a snapshot of somebody else', { install: { meta: meta(9) } }, /did not stage/],
      [
        'a key that is too long',
        { applied: { meta: meta(3), changes: [record('k'.repeat(513), '')] } },
        /state key of 513 bytes; allowed are 1 to 512/,
      ],
    ];
    for (const [what, write, message] of cases) {
      const disk = new MemoryDisk();
      const store = await bootstrapped(disk);
      await store.write({ entries: sampleEntries(1, 5), hardState: hardState(1, 3), applied: applied(2) });
      const { table } = disk;
      await assert.rejects(store.write(write), message, what);
      await assert.rejects(store.write({}), { code: 'poisoned' }, what);
      assert.equal(disk.table, table, what);
      assert.equal((await reopened(disk)).loaded.entries.length, 5, what);
    }
  });

  it('takes nothing but a snapshot before it is bootstrapped', async () => {
    const store = await openLogStore(memoryStoreDisk(new MemoryDisk()));
    await assert.rejects(store.write({ hardState: hardState(1, 0) }), /not bootstrapped takes nothing but a snapshot/);
  });

  it('becomes the member of the snapshot it joins by, known by its store id', async () => {
    const disk = new MemoryDisk();
    const store = await openLogStore(memoryStoreDisk(disk));
    const joined = {
      ...membership(),
      members: [
        { id: memberId(3), name: 'm3', peer: '127.0.0.1:7173', storeId: 'f'.repeat(32) },
        { id: memberId(7), name: 'm7', peer: '127.0.0.1:7177', storeId: sampleStoreId },
      ],
    };
    const sink = await store.stageSnapshot(meta(40, 2, joined));
    await sink.append([record('a', 'one')]);
    await store.write({ install: await sink.finish(), hardState: hardState(2, 40) });
    for (const [at, one] of [store, await reopened(disk)].entries()) {
      const session = { starts: at + 1, nonces: Array.from({ length: at + 1 }, () => sampleNonce) };
      assert.deepEqual(one.identity, { storeId: sampleStoreId, clusterId: 'sample', memberId: 7, session });
    }
    assert.deepEqual(await contentOf(await reopened(disk)), {
      hardState: hardState(2, 40),
      compacted: { index: 40, term: 2 },
      applied: meta(40, 2, joined),
      log: [],
      records: [['a', 'one']],
    });
  });

  it('deletes a snapshot that is given up, before or after it is whole, without waiting for a restart', async () => {
    for (const whole of [false, true]) {
      const disk = new MemoryDisk();
      const clock = new HandClock();
      const store = await bootstrapped(disk, clock);
      const before = disk.table.size;
      const sink = await store.stageSnapshot(meta(40, 2));
      await sink.append([record('a', 'one'), record('b', 'two')]);
      assert.equal(disk.table.size, before + 2);
      const staged = whole ? await sink.finish() : undefined;
      await sink.abort();
      await sink.abort();
      await eventually('it is swept', () => {
        clock.turn(sweepPauseMs);
        return disk.table.size === before;
      });
      if (staged === undefined) continue;
      await assert.rejects(
        store.write({ install: staged, hardState: hardState(2, 40) }),
        /snapshot at 40 was installed or given up before/,
      );
      const again = await reopened(disk);
      assert.equal((await contentOf(again)).applied?.index, 0);
    }
  });

  it('keeps a snapshot that is installed, whichever caller gives it up later', async () => {
    const disk = new MemoryDisk();
    const clock = new HandClock();
    const store = await bootstrapped(disk, clock);
    const sink = await store.stageSnapshot(meta(40, 2));
    await sink.append([record('a', 'one')]);
    const written = store.write({ install: await sink.finish(), hardState: hardState(2, 40) });
    const early = sink.abort();
    await Promise.all([written, early]);
    await sink.abort();
    for (let turns = 0; turns < 100; turns += 1) {
      clock.turn(sweepPauseMs);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await store.close();
    assert.deepEqual((await contentOf(await reopened(disk))).records, [['a', 'one']]);
  });

  it('has a hard state that covers a bootstrap beyond index 0', async () => {
    const disk = new MemoryDisk();
    const store = await openLogStore(memoryStoreDisk(disk));
    await store.bootstrap(self, meta(1, 1));
    const again = await reopened(disk);
    assert.deepEqual(again.loaded.hardState, hardState(1, 1));
    assert.deepEqual(again.loaded.compacted, { index: 1, term: 1 });
  });

  it('fsyncs a changed term or vote in the identity file before the batch, and nothing else for other writes', async () => {
    const disk = new MemoryDisk();
    const store = await bootstrapped(disk);
    const stepsOf = async (write: LogWrite) => {
      const before = disk.steps.length;
      await store.write(write);
      return disk.steps.slice(before);
    };
    const both = ['write identity', 'write batch'];
    assert.deepEqual(await stepsOf({ hardState: hardState(1, 0) }), both);
    assert.deepEqual(await stepsOf({ hardState: hardState(1, 0, 1) }), both);
    assert.deepEqual(await stepsOf({ entries: sampleEntries(1, 3), hardState: hardState(1, 2, 1) }), ['write batch']);
    assert.deepEqual(await stepsOf({ hardState: hardState(2, 3) }), both);
  });

  it('has the durable index in the identity file lag by a second at most', async () => {
    const disk = new MemoryDisk();
    const clock = new HandClock();
    const store = await bootstrapped(disk, clock);
    const early = disk.reboot();
    await store.write({ entries: sampleEntries(1, 3) });
    const lost = () => new MemoryDisk(early.table, disk.reboot().slots);
    await (await openLogStore(memoryStoreDisk(lost()))).close();
    const steps = disk.steps.length;
    clock.turn(999);
    assert.equal(disk.steps.length, steps);
    clock.turn(1);
    const { slots } = disk;
    await eventually('the identity file is written', () => disk.slots !== slots);
    await assert.rejects(openLogStore(memoryStoreDisk(lost())), (error) => {
      assert(error instanceof StoreError);
      assert.equal(error.code, 'amnesia');
      assert.match(error.message, /ends at write 2 \(log index 0\), but write 3 \(log index 3\) was durable/);
      return true;
    });
  });

  it('is poisoned, too, when the identity file can’t be written in between', async () => {
    const disk = new MemoryDisk();
    const clock = new HandClock();
    const store = await bootstrapped(disk, clock);
    await store.write({ entries: sampleEntries(1, 3) });
    disk.crashAt(disk.steps.length, 'torn');
    clock.turn(1000);
    await eventually('the disk has crashed', () => disk.crashed);
    await assert.rejects(store.write({ entries: sampleEntries(4, 4) }), /update the identity file/);
  });

  it('reports its first failure once, whichever call it was and whichever caller', async () => {
    const clock = new HandClock();
    const failures: readonly (readonly [what: string, fail: (store: LogStore) => Promise<unknown>])[] = [
      ['stage a snapshot', (store) => store.stageSnapshot(meta(40))],
      ['write', (store) => store.write({ entries: sampleEntries(4, 4) })],
      ['update the identity file', async () => clock.turn(1000)],
    ];
    for (const [what, fail] of failures) {
      const disk = new MemoryDisk();
      const store = await bootstrapped(disk, clock);
      await store.write({ entries: sampleEntries(1, 3) });
      const told: StoreError[] = [];
      store.poisoned.then((error) => told.push(error));
      await new Promise(setImmediate);
      assert.equal(told.length, 0, what);
      disk.crashAt(disk.steps.length, 'lost');
      await fail(store).catch((error: unknown) => assert(error instanceof StoreError));
      await eventually('it is told', () => told.length > 0);
      assert.match(told[0]?.message ?? '', new RegExp(`could not ${what}: `));
      await assert.rejects(store.write({}), { code: 'poisoned' });
      assert.equal(told.length, 1, what);
      assert.equal(await store.poisoned, told[0], 'a listener that comes late learns the same');
    }
  });

  it('takes nothing more once a snapshot shows that its records have changed by themselves, and reports it', async () => {
    const disk = new MemoryDisk();
    const store = await bootstrapped(disk);
    const changes = [record('a', 'sound'), record('b', 'sound')];
    await store.write({
      entries: sampleEntries(1, 1),
      hardState: hardState(1, 1),
      applied: { meta: meta(1), changes },
    });
    const told: StoreError[] = [];
    store.poisoned.then((error) => told.push(error));
    disk.table = new Map(
      [...disk.table].map(([key, value]) => {
        const text = Buffer.from(value).toString('latin1').replace('sound', 'soumd');
        return [key, key.endsWith('b') ? Buffer.from(text, 'latin1') : value] as const;
      }),
    );
    const source = await store.openSnapshot();
    await assert.rejects(
      async () => {
        for await (const chunk of source.chunks(1000)) assert.ok(chunk.length > 0);
      },
      { code: 'corrupt', message: /state record 62 does not have the sum it was written with/ },
    );
    await source.close();
    assert.deepEqual(
      told.map(({ code }) => code),
      ['corrupt'],
    );
    await assert.rejects(store.write({}), { code: 'poisoned' });
  });

  it('writes a record that many commands have changed once, as the last of them left it', async () => {
    const disk = new MemoryDisk();
    const store = await bootstrapped(disk);
    const gone = (key: string): RecordChange => ({ key: Buffer.from(key), value: undefined });
    const changes = [record('a', '1'), record('b', '1'), record('a', '2'), gone('b'), gone('c'), record('c', '1')];
    await store.write({
      entries: sampleEntries(1, 3),
      hardState: hardState(1, 3),
      applied: { meta: meta(3), changes: [...changes, record('a', '3')] },
    });
    // Three entries, three records and the head.
    assert.equal(disk.batches.at(-1)?.length, 7);
    assert.deepEqual((await contentOf(await reopened(disk))).records, [
      ['a', '3'],
      ['c', '1'],
    ]);
  });

  it('deletes what is out of use in steps of bounded size', async () => {
    const disk = new MemoryDisk();
    const clock = new HandClock();
    const store = await bootstrapped(disk, clock);
    const last = 2 * sweepStepKeys + 500;
    await store.write({
      entries: sampleEntries(1, last + 10),
      hardState: hardState(1, last),
      applied: { meta: meta(last), changes: [] },
    });
    const batches = disk.batches.length;
    await store.compact(logIndex(last));
    await eventually('the log is swept', () => {
      clock.turn(20);
      return disk.table.size === 2 + 10;
    });
    const [compaction, ...sweeps] = disk.batches.slice(batches);
    assert.equal(compaction?.length, 1);
    assert.deepEqual(
      sweeps.map((batch) => batch.length),
      [sweepStepKeys, sweepStepKeys, 500],
    );
  });

  it('keeps few accounts of what is to be deleted, however long that can not be done', async () => {
    const clock = new HandClock();
    const store = await bootstrapped(new MemoryDisk(), clock);
    const rounds = 400;
    for (let index = 1; index <= rounds; index++) {
      const applied = { meta: meta(index), changes: [] };
      await store.write({ entries: sampleEntries(index, index), hardState: hardState(1, index), applied });
      if (index > 1) await store.compact(logIndex(index - 1));
      // In between others are given up: their generations follow on each other as well.
      await (await store.stageSnapshot(meta(rounds + 1))).abort();
    }
    await store.write({ entries: sampleEntries(rounds + 1, rounds + 1) });
  });

  it('gives back what a model of it holds, whatever was written, compacted, installed and restarted', async () => {
    await fc.assert(fc.asyncProperty(fc.array(command, { minLength: 1, maxLength: 40 }), runBesideModel), {
      numRuns: 150,
    });
  });
});

type Command = {
  readonly kind: 'append' | 'commit' | 'apply' | 'compact' | 'install' | 'abort' | 'restart' | 'pause';
  readonly a: number;
  readonly b: number;
};

const command: fc.Arbitrary<Command> = fc.record({
  kind: fc.constantFrom(
    'append',
    'append',
    'commit',
    'apply',
    'apply',
    'compact',
    'install',
    'abort',
    'restart',
    'pause',
  ),
  a: fc.nat(8),
  b: fc.nat(8),
});

class Model {
  term = 1;
  vote = 0;
  commit = 0;
  compacted = 0;
  compactedTerm = 0;
  /** Terms of the entries after `compacted`. */
  log: number[] = [];
  applied = 0;
  appliedTerm = 0;
  records = new Map<string, string>();

  get last(): number {
    return this.compacted + this.log.length;
  }

  termAt(index: number): number {
    return index === this.compacted ? this.compactedTerm : (this.log[index - this.compacted - 1] ?? 0);
  }

  content() {
    return {
      hardState: hardState(this.term, this.commit, this.vote),
      compacted: { index: this.compacted, term: this.compactedTerm },
      applied: meta(this.applied, this.appliedTerm),
      log: this.log.map((term, at) => `${term}/${this.compacted + 1 + at}`),
      records: [...this.records].sort(([x], [y]) => (x < y ? -1 : 1)),
    };
  }

  hardState() {
    return hardState(this.term, this.commit, this.vote);
  }
}

async function runBesideModel(commands: readonly Command[]): Promise<void> {
  let disk = new MemoryDisk();
  let clock = new HandClock();
  let store = await bootstrapped(disk, clock);
  const model = new Model();
  await store.write({ hardState: model.hardState() });
  for (const { kind, a, b } of commands) {
    if (kind === 'restart') {
      if (a < 4) await store.close();
      disk = disk.reboot();
      clock = new HandClock();
      store = await openLogStore(memoryStoreDisk(disk, clock));
      assert.deepEqual(await contentOf(store), model.content());
    } else if (kind === 'pause') {
      clock.turn(200 * a);
    } else {
      await obey(store, model, kind, a, b);
    }
  }
  await store.close();
  assert.deepEqual(await contentOf(await openLogStore(memoryStoreDisk(disk.reboot()))), model.content());
}

async function obey(
  store: LogStore,
  model: Model,
  kind: Exclude<Command['kind'], 'restart' | 'pause'>,
  a: number,
  b: number,
): Promise<void> {
  switch (kind) {
    case 'append': {
      const from = Math.max(model.commit + 1, model.last + 1 - a);
      if (from <= model.last || b > 6) model.term += 1;
      model.vote = b % 3;
      model.log.length = from - model.compacted - 1;
      model.log.push(...Array.from({ length: b + 1 }, () => model.term));
      return store.write({ entries: sampleEntries(from, from + b, model.term), hardState: model.hardState() });
    }
    case 'commit':
      model.commit = Math.min(model.last, model.commit + a);
      return store.write({ hardState: model.hardState() });
    case 'apply': {
      const index = Math.min(model.commit, model.applied + a);
      model.appliedTerm = model.termAt(index);
      model.applied = index;
      const changes: RecordChange[] = [record(`k${a}`, `${index}`), { key: Buffer.from(`k${b}`), value: undefined }];
      model.records.set(`k${a}`, `${index}`);
      model.records.delete(`k${b}`);
      return store.write({ applied: { meta: meta(index, model.appliedTerm), changes } });
    }
    case 'compact': {
      const through = Math.min(model.applied, model.compacted + a);
      model.compactedTerm = model.termAt(through);
      model.log.splice(0, through - model.compacted);
      model.compacted = through;
      return store.compact(logIndex(through));
    }
    case 'install':
    case 'abort': {
      const index = Math.max(model.commit, model.applied) + 1 + a;
      const sink = await store.stageSnapshot(meta(index, model.term));
      await sink.append([record('k1', 'new'), record(`k${b}`, 'newer')]);
      if (kind === 'abort') return sink.abort();
      model.records = new Map([
        ['k1', 'new'],
        [`k${b}`, 'newer'],
      ]);
      model.compacted = model.applied = model.commit = index;
      model.compactedTerm = model.appliedTerm = model.term;
      model.log = [];
      return store.write({ install: await sink.finish(), hardState: model.hardState() });
    }
    default:
      return assertNever(kind);
  }
}
