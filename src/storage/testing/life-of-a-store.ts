/**
 * The life of a member's store, act by act: made, bootstrapped, votes, entries, a conflict, records, compaction, a
 * snapshot that is given up and one that is installed. Specs crash it, drop parts of it and damage it everywhere.
 */
import { logIndex, memberId } from '#raft/log/entry.js';
import type { LogStore } from '#replica/ports/log-store.js';
import type { RecordChange } from '#replica/ports/state-machine.js';
import { openLogStore } from '#storage/key-value-log-store.js';
import { HandClock } from '#storage/testing/hand-clock.js';
import type { MemoryDisk } from '#storage/testing/memory-disk.js';
import { hardState, membership, memoryStoreDisk, meta, record, sampleEntries, self } from '#storage/testing/sample.js';

export class LifeOfAStore {
  readonly disk: MemoryDisk;
  readonly #clock = new HandClock();
  #store: LogStore | undefined;

  constructor(disk: MemoryDisk) {
    this.disk = disk;
  }

  get store(): LogStore {
    if (this.#store === undefined) throw new Error('not open');
    return this.#store;
  }

  /** In order; each leaves the store in a state of its own, or (second, sweep, close) just as it was. */
  readonly acts: readonly (readonly [name: string, act: () => Promise<void>])[] = [
    ['open', () => this.open()],
    ['bootstrap', () => this.store.bootstrap(self, meta(0, 0))],
    ['vote', () => this.store.write({ hardState: hardState(1, 0, 1) })],
    ['append', () => this.store.write({ entries: sampleEntries(1, 6) })],
    ['second', () => this.#pass(1000)],
    ['commit and apply', () => this.#apply(3, 3, record('a', 'one'), record('b', 'two'))],
    ['replace a tail', () => this.store.write({ entries: sampleEntries(5, 5, 2), hardState: hardState(2, 3) })],
    ['vote in the same term', () => this.store.write({ hardState: hardState(2, 3, 1) })],
    ['apply only', () => this.#apply(4, 4, record('a', 'changed'), removed('b'), record('c', 'three'))],
    ['append one', () => this.store.write({ entries: sampleEntries(6, 6, 2) })],
    ['vote again', () => this.store.write({ hardState: hardState(3, 4, 1) })],
    ['apply more', () => this.#apply(6, 6, record('d', 'four'))],
    ['compact', () => this.store.compact(logIndex(4))],
    ['sweep the log', () => this.#pass(200)],
    ['give up a snapshot', () => this.#giveUp()],
    ['sweep it', () => this.#pass(200)],
    ['install a snapshot', () => this.#install()],
    ['sweep the old state', () => this.#pass(200)],
    ['apply after it', () => this.#apply(22, 22, record('z', 'last'), removed('x'))],
    ['close', () => this.store.close()],
  ];

  async open(): Promise<void> {
    this.#store = await openLogStore(memoryStoreDisk(this.disk, this.#clock));
  }

  /** Lives on until `disk` crashes, or to the end. Returns the number of acts that were acknowledged. */
  async run(acknowledged: (done: number) => Promise<void> = async () => undefined): Promise<number> {
    let done = 0;
    for (const [, act] of this.acts) {
      try {
        await act();
      } catch (error) {
        if (this.disk.crashed) return done;
        throw error;
      }
      if (this.disk.crashed) return done;
      done += 1;
      await acknowledged(done);
    }
    return done;
  }

  #apply(index: number, commit: number, ...changes: readonly RecordChange[]): Promise<void> {
    const term = index <= 4 ? 1 : index <= 6 ? 2 : 4;
    const inForce = index <= 3 ? 1 : commit <= 4 ? 2 : index <= 6 ? 3 : 4;
    const vote = inForce === 4 ? 0 : 1;
    const of = index < 6 ? membership() : { ...membership(), nextMemberId: memberId(5) };
    return this.store.write({
      hardState: hardState(inForce, commit, vote),
      applied: { meta: meta(index, term, of), changes },
    });
  }

  async #giveUp(): Promise<void> {
    const sink = await this.store.stageSnapshot(meta(15, 3));
    await sink.append([record('never', 'seen')]);
    await sink.abort();
  }

  async #install(): Promise<void> {
    const sink = await this.store.stageSnapshot(meta(20, 4));
    await sink.append([record('a', 'from the snapshot'), record('x', 'one')]);
    await sink.append([record('y', 'two')]);
    const install = await sink.finish();
    await this.store.write({ install, hardState: hardState(4, 20), entries: sampleEntries(21, 22, 4) });
  }

  /** Advances the clock bit by bit, and waits each time for the work that this starts. */
  async #pass(ms: number): Promise<void> {
    const stepMs = 20;
    const turnsOfTheLoop = 5;
    for (let passed = 0; passed < ms; passed += stepMs) {
      this.#clock.turn(stepMs);
      for (let turn = 0; turn < turnsOfTheLoop; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

function removed(key: string): RecordChange {
  return { key: Buffer.from(key), value: undefined };
}
