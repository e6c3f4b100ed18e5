import assert from 'node:assert/strict';
import { type Entry, logIndex, memberId, noMember, term } from '#raft/log/entry.js';
import type { Message, StorageAppendMessage } from '#raft/message.js';
import type { AppliedChanges } from '#replica/driver/applied-state.js';
import { StorageWriter, type StorageWriterLimits } from '#replica/driver/storage-writer.js';
import type { LogStore, LogWrite, StagedSnapshot } from '#replica/ports/log-store.js';
import type { AppliedMeta, Membership } from '#replica/ports/membership.js';

const membership: Membership = {
  clusterId: 'test',
  incarnation: 'f1',
  confState: { voters: [memberId(1)], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false },
  members: [],
  nextMemberId: memberId(2),
};

function meta(index: number): AppliedMeta {
  return { index: logIndex(index), term: term(1), time: 0, membership };
}

function entries(from: number, to: number, inTerm = 1, bytes = 10): Entry[] {
  return Array.from({ length: to - from + 1 }, (_, at) => ({
    term: term(inTerm),
    index: logIndex(from + at),
    type: 'normal' as const,
    data: new Uint8Array(bytes),
  }));
}

/** Stands for what waits on a write. */
function ack(index: number): Message {
  const envelope = { from: memberId(1), to: memberId(2), term: term(1) };
  return {
    kind: 'append-response',
    ...envelope,
    index: logIndex(index),
    logTerm: term(0),
    reject: false,
    rejectHint: logIndex(0),
  };
}

type Work = {
  readonly entries?: readonly Entry[];
  readonly commit?: number;
  readonly inTerm?: number;
  readonly ack?: number;
};

function append(work: Work): StorageAppendMessage {
  const hardState =
    work.commit === undefined
      ? undefined
      : { term: term(work.inTerm ?? 1), vote: noMember, commit: logIndex(work.commit) };
  return {
    kind: 'storage-append',
    from: memberId(1),
    to: memberId(1),
    term: term(1),
    hardState,
    entries: work.entries ?? [],
    snapshot: undefined,
    responses: work.ack === undefined ? [] : [ack(work.ack)],
  };
}

const defaultLimits: StorageWriterLimits = { entriesPerWriteMax: 100, bytesPerWriteMax: 10_000, queuedMax: 100 };

/** A writer on a store whose writes are answered by hand. */
class Bench {
  readonly writes: LogWrite[] = [];
  readonly log: string[] = [];
  applied: AppliedChanges | undefined;
  /** What has to be done before a durable write is known. */
  made: Promise<void> = Promise.resolve();
  readonly writer: StorageWriter;
  #pending: { readonly resolve: () => void; readonly reject: (error: Error) => void } | undefined;

  constructor(limits: Partial<StorageWriterLimits> = {}) {
    const store: Pick<LogStore, 'write' | 'compact'> = {
      write: (write) => {
        this.writes.push(write);
        return this.#hold();
      },
      compact: (through) => {
        this.log.push(`compact ${through}`);
        return this.#hold();
      },
    };
    async function* records() {}
    const applied = {
      take: (commit: number) => {
        const taken = this.applied !== undefined && this.applied.meta.index <= commit ? this.applied : undefined;
        if (taken !== undefined) this.applied = undefined;
        return taken;
      },
      restore: () => this.made,
    };
    this.writer = new StorageWriter({
      store: { ...store, records },
      clock: { now: () => 0, after: () => () => {} },
      applied,
      limits: { ...defaultLimits, ...limits },
      stored: { term: term(1), vote: noMember, commit: logIndex(0) },
    });
  }

  add(work: Work, install?: StagedSnapshot): void {
    this.writer.add(append(work), install);
    this.run();
  }

  flush(): void {
    this.writer.flush();
    this.run();
  }

  compact(through: number): void {
    this.writer.compact(logIndex(through));
    this.run();
  }

  /** As the driver does it, after each change and after each write. */
  run(): void {
    this.#respond(this.writer.release());
    this.writer.begin()?.then(
      (durable) => {
        if (durable !== undefined) {
          this.log.push(`durable ${durable.write.entries?.at(-1)?.index ?? '-'}`);
          this.#respond(durable.responses);
        }
        this.run();
      },
      (error: unknown) => this.log.push(`failed ${error instanceof Error ? error.message : ''}`),
    );
  }

  #respond(responses: readonly Message[]): void {
    for (const response of responses) if (response.kind === 'append-response') this.log.push(`ack ${response.index}`);
  }

  /** The disk answers. */
  async done(error?: Error): Promise<void> {
    const pending = this.#pending;
    if (pending === undefined) throw new Error('nothing is in flight');
    this.#pending = undefined;
    if (error === undefined) pending.resolve();
    else pending.reject(error);
    await new Promise(setImmediate);
  }

  get ranges(): string[] {
    return this.writes.map(
      ({ entries: written = [] }) => `${written[0]?.index ?? '-'}..${written.at(-1)?.index ?? '-'}`,
    );
  }

  #hold(): Promise<void> {
    if (this.#pending !== undefined) throw new Error('two writes at once');
    return new Promise((resolve, reject) => {
      this.#pending = { resolve, reject };
    });
  }
}

describe('storage writer', () => {
  it('makes one write of all that came while a write was in flight', async () => {
    const bench = new Bench();
    bench.add({ entries: entries(1, 1), ack: 1 });
    for (let index = 2; index <= 9; index += 1) bench.add({ entries: entries(index, index), ack: index });
    assert.deepEqual(bench.ranges, ['1..1']);
    await bench.done();
    assert.deepEqual(bench.ranges, ['1..1', '2..9']);
    assert.deepEqual(bench.log, ['durable 1', 'ack 1']);
    await bench.done();
    assert.deepEqual(bench.log.slice(2), ['durable 9', ...[2, 3, 4, 5, 6, 7, 8, 9].map((index) => `ack ${index}`)]);
  });

  it('gives no response before the write is durable, and then in order', async () => {
    const bench = new Bench();
    bench.add({ entries: entries(1, 2), ack: 2 });
    bench.add({ ack: 2 });
    bench.add({ commit: 2, ack: 2 });
    assert.deepEqual(bench.log, []);
    await bench.done();
    assert.deepEqual(bench.log, ['durable 2', 'ack 2', 'ack 2', 'ack 2']);
    assert.equal(bench.writes.length, 1);
  });

  it('writes nothing for what promises nothing new, and answers at once', () => {
    const bench = new Bench();
    bench.add({ commit: 5, ack: 5 });
    assert.deepEqual([bench.writes.length, bench.log], [0, ['ack 5']]);
    assert.equal(bench.writer.commitLags, true);
  });

  it('holds a vote until its term is durable', async () => {
    const bench = new Bench();
    bench.add({ commit: 0, inTerm: 2, ack: 1 });
    assert.deepEqual(bench.log, []);
    assert.equal(bench.writes[0]?.hardState?.term, 2);
    await bench.done();
    assert.deepEqual(bench.log, ['durable -', 'ack 1']);
  });

  it('never writes what a later message has replaced, and keeps the rest contiguous', async () => {
    const bench = new Bench();
    bench.add({ entries: entries(1, 1) });
    bench.add({ entries: entries(2, 6, 1) });
    bench.add({ entries: entries(4, 5, 2), commit: 1, inTerm: 2 });
    bench.add({ entries: entries(6, 7, 2) });
    await bench.done();
    const written = bench.writes[1]?.entries?.map((entry) => `${entry.term}/${entry.index}`);
    assert.deepEqual(written, ['1/2', '1/3', '2/4', '2/5', '2/6', '2/7']);
    await bench.done();
    bench.add({ entries: entries(8, 8, 2) });
    bench.add({ entries: entries(9, 9, 2) });
    bench.add({ entries: entries(7, 7, 3), commit: 1, inTerm: 3 });
    await bench.done();
    assert.deepEqual(bench.ranges.at(-1), '7..7');
  });

  it('bounds a write in entries and bytes, and takes what is larger alone', async () => {
    const bench = new Bench({ entriesPerWriteMax: 5, bytesPerWriteMax: 1000 });
    bench.add({ entries: entries(1, 1) });
    bench.add({ entries: entries(2, 4) });
    bench.add({ entries: entries(5, 7) });
    bench.add({ entries: entries(8, 8, 1, 5000) });
    bench.add({ entries: entries(9, 9) });
    for (let writes = 0; writes < 5; writes += 1) await bench.done();
    assert.deepEqual(bench.ranges, ['1..1', '2..4', '5..7', '8..8', '9..9']);
  });

  it('is full while as much waits as may, what is in flight not counted', async () => {
    const bench = new Bench({ queuedMax: 2 });
    for (const at of [1, 2]) bench.add({ entries: entries(at, at), ack: at });
    assert.equal(bench.writer.full, false);
    bench.add({ ack: 2 });
    assert.equal(bench.writer.full, true);
    await bench.done();
    assert.equal(bench.writer.full, false);
  });

  it('stores applied changes with the next entries, never beyond the commit index it stores', async () => {
    const bench = new Bench();
    bench.add({ entries: entries(1, 3) });
    await bench.done();
    bench.applied = { meta: meta(3), changes: [] };
    bench.add({ entries: entries(4, 4), commit: 2 });
    assert.equal(bench.writes[1]?.applied, undefined);
    await bench.done();
    bench.add({ entries: entries(5, 5), commit: 3 });
    assert.equal(bench.writes[2]?.applied?.meta.index, 3);
    assert.equal(bench.writes[2]?.hardState?.commit, 3);
    assert.equal(bench.writes.length, 3);
  });

  it('on flush stores what is applied and the commit index, and nothing if there is nothing', async () => {
    const bench = new Bench();
    bench.add({ entries: entries(1, 1) });
    await bench.done();
    bench.flush();
    assert.equal(bench.writes.length, 1);
    bench.applied = { meta: meta(1), changes: [] };
    bench.add({ commit: 1 });
    bench.flush();
    assert.deepEqual([bench.writes[1]?.applied?.meta.index, bench.writes[1]?.hardState?.commit], [1, 1]);
    await bench.done();
    assert.equal(bench.writer.commitLags, false);
  });

  it('installs a snapshot in a write of its own', async () => {
    const bench = new Bench();
    bench.add({ entries: entries(1, 1) });
    bench.add({ entries: entries(2, 2), ack: 2 });
    bench.applied = { meta: meta(1), changes: [] };
    bench.add({ commit: 40, ack: 40 }, { meta: meta(40) });
    bench.add({ entries: entries(41, 42), ack: 42 });
    for (let writes = 0; writes < 4; writes += 1) await bench.done();
    assert.deepEqual(bench.ranges, ['1..1', '2..2', '-..-', '41..42']);
    assert.deepEqual([bench.writes[2]?.install?.meta.index, bench.writes[2]?.applied], [40, undefined]);
    assert.deepEqual(
      bench.log.filter((line) => line.startsWith('ack')),
      ['ack 2', 'ack 40', 'ack 42'],
    );
  });

  it('does not take the loading of a snapshot, once that is stored, for a disk that hangs', async () => {
    const bench = new Bench();
    let loaded = () => {};
    bench.made = new Promise((resolve) => {
      loaded = resolve;
    });
    bench.add({ commit: 40, ack: 40 }, { meta: meta(40) });
    bench.add({ entries: entries(41, 41), ack: 41 });
    assert.equal(bench.writer.diskSinceMs, 0);
    await bench.done();
    assert.equal(bench.writer.diskSinceMs, undefined);
    assert.equal(bench.writer.busy, true);
    assert.equal(bench.writes.length, 1, 'the next one waits for it all the same');
    loaded();
    await bench.made;
    await new Promise(setImmediate);
    await bench.done();
    assert.deepEqual(bench.ranges, ['-..-', '41..41']);
  });

  it('after a failed write gives no response and writes nothing more', async () => {
    const bench = new Bench();
    bench.add({ entries: entries(1, 1), ack: 1 });
    bench.add({ entries: entries(2, 2), ack: 2 });
    await bench.done(new Error('no space'));
    bench.add({ entries: entries(3, 3), ack: 3 });
    bench.flush();
    assert.deepEqual(bench.log, ['failed no space']);
    assert.equal(bench.writes.length, 1);
    assert.equal(bench.writer.busy, true, 'its outcome is unknown');
  });

  it('compacts between writes, before what has queued meanwhile: there may always be something', async () => {
    const bench = new Bench();
    bench.add({ entries: entries(1, 1) });
    bench.compact(1);
    bench.add({ entries: entries(2, 2) });
    await bench.done();
    await bench.done();
    await bench.done();
    assert.deepEqual(bench.log, ['durable 1', 'compact 1', 'durable 2']);
  });

  it('compacts nothing of a log that a snapshot has replaced', async () => {
    const bench = new Bench();
    bench.add({ commit: 40 }, { meta: meta(40) });
    bench.compact(1);
    await bench.done();
    bench.add({ entries: entries(41, 41) });
    await bench.done();
    assert.deepEqual(bench.log, ['durable -', 'durable 41']);
  });
});
