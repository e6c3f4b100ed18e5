import assert from 'node:assert/strict';
import { logIndex } from '#raft/log/entry.js';
import { StoreError } from '#replica/ports/log-store.js';
import { openLogStore } from '#storage/key-value-log-store.js';
import { HandClock } from '#storage/testing/hand-clock.js';
import { LifeOfAStore } from '#storage/testing/life-of-a-store.js';
import { type CrashKind, crashKinds, MemoryDisk } from '#storage/testing/memory-disk.js';
import { contentOf, eventually, memoryStoreDisk } from '#storage/testing/sample.js';

type Content = Awaited<ReturnType<typeof contentOf>>;

async function restarted(disk: MemoryDisk): Promise<Content> {
  const store = await openLogStore(memoryStoreDisk(disk));
  const content = await contentOf(store);
  await store.close();
  return content;
}

/** What may be found after a crash in the step from one content to the next: either, or the new vote alone. */
function allowed(before: Content, after: Content): readonly Content[] {
  const { hardState } = after;
  const voteOnly =
    hardState === undefined
      ? before
      : { ...before, hardState: { ...hardState, commit: before.hardState?.commit ?? logIndex(0) } };
  return [before, after, voteOnly];
}

describe('a crash between any two steps of a write', () => {
  /** Content after n acts. */
  const contents: Content[] = [];
  let steps: readonly string[] = [];
  let keysAtTheEnd = 0;

  before(async () => {
    const life = new LifeOfAStore(new MemoryDisk());
    contents.push(await restarted(new MemoryDisk()));
    await life.run(async () => {
      contents.push(await restarted(life.disk.reboot()));
    });
    steps = life.disk.steps;
    keysAtTheEnd = life.disk.table.size;
  });

  it('is tried at every write to the database and to the identity file', () => {
    assert(steps.filter((step) => step === 'write batch').length >= 15, steps.join());
    assert(steps.filter((step) => step === 'write identity').length >= 5, steps.join());
    assert(steps.includes('create identity'));
    assert.deepEqual(contents.at(-1)?.records, [
      ['a', 'from the snapshot'],
      ['y', 'two'],
      ['z', 'last'],
    ]);
  });

  async function crashed(step: number, kind: CrashKind): Promise<{ readonly disk: MemoryDisk; readonly done: number }> {
    const disk = new MemoryDisk();
    disk.crashAt(step, kind);
    const done = await new LifeOfAStore(disk).run();
    assert(disk.crashed);
    return { disk: disk.reboot(), done };
  }

  for (const kind of crashKinds) {
    it(`leaves a store that starts whole: acknowledged writes are there, a vote is never lost (write ${kind})`, async () => {
      for (const [step, what] of steps.entries()) {
        const { disk, done } = await crashed(step, kind);
        const found = await restarted(disk.reboot());
        const before = contents[done];
        const after = contents[done + 1] ?? before;
        assert(before !== undefined && after !== undefined);
        const matches = allowed(before, after).some((one) => {
          try {
            assert.deepEqual(found, one);
            return true;
          } catch {
            return false; // Not this one; the failure below shows what was found.
          }
        });
        if (what === 'write identity' && kind === 'kept') {
          const { term, vote } = after.hardState ?? {};
          assert.deepEqual([found.hardState?.term, found.hardState?.vote], [term, vote], `vote of step ${step}`);
        }
        assert(
          matches,
          `step ${step} (${what}) after ${done} acts:\n${JSON.stringify({ found, before, after }, null, 1)}`,
        );
      }
    });
  }

  it('may happen again while starting', async () => {
    for (const step of steps.keys()) {
      const { disk } = await crashed(step, 'kept');
      const found = await restarted(disk.reboot());
      for (const kind of crashKinds) {
        const again = disk.reboot();
        again.crashAt(0, kind);
        await assert.rejects(openLogStore(memoryStoreDisk(again)), StoreError);
        assert.deepEqual(await restarted(again.reboot()), found, `step ${step}, then ${kind} at start`);
      }
    }
  });

  it('leaves nothing behind: garbage is swept after the next start, and life goes on to its end', async () => {
    for (const step of steps.keys()) {
      const { disk } = await crashed(step, 'kept');
      const clock = new HandClock();
      const store = await openLogStore(memoryStoreDisk(disk, clock));
      const { log, records, applied } = await contentOf(store);
      const inUse = 1 + (applied === undefined ? 0 : 1) + log.length + records.length;
      await eventually(`sweep after a crash at step ${step}: ${disk.table.size} keys become ${inUse}`, () => {
        clock.turn(20);
        return disk.table.size === inUse;
      });
      await store.close();
    }
    assert.equal(keysAtTheEnd, 2 + 2 + 3);
  });

  it('poisons the store: nothing is taken any more, and the first failure is named', async () => {
    const disk = new MemoryDisk();
    disk.crashAt(steps.lastIndexOf('write batch'), 'lost');
    const life = new LifeOfAStore(disk);
    await life.run();
    for (const attempt of [() => life.store.write({}), () => life.store.openSnapshot(), () => contentOf(life.store)]) {
      await assert.rejects(attempt(), (error) => {
        assert(error instanceof StoreError);
        assert.equal(error.code, 'poisoned');
        assert.match(error.message, /takes nothing more after a failure.*crash at step/);
        return true;
      });
    }
  });
});
