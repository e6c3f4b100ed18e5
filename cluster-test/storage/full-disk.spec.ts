/** A log store on a file system of 2 MiB that fills up and is freed again: what was acknowledged stays. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { command, requires, root } from '#cluster-test/requirement.js';
import { logIndex, term } from '#raft/log/entry.js';
import { type LogStore, StoreError } from '#replica/ports/log-store.js';
import { FileDiskSpace } from '#storage/files/disk-space.js';
import { openLevelStore } from '#storage/level-store.js';
import { HandClock } from '#storage/testing/hand-clock.js';
import { hardState, membership, meta, record, self } from '#storage/testing/sample.js';

const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;
const sizes = { freeBytesFloor: 500 * kibibyte, ballastBytes: 300 * kibibyte, writeBufferBytes: 64 * kibibyte };
/** More than fits. */
const writesMax = 1000;

describe('a log store on a disk that fills up', () => {
  let mount = '';
  let clock = new HandClock();
  let store: LogStore | undefined;

  before(function () {
    requires(this, root, command('mount'));
    mount = mkdtempSync(join(tmpdir(), 'sublet-full-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', mount]);
  });

  after(async () => {
    if (mount === '') return;
    await store?.close();
    execFileSync('umount', [mount]);
    rmdirSync(mount);
  });

  async function open(): Promise<LogStore> {
    clock = new HandClock();
    store = await openLevelStore(join(mount, 'store'), { clock, ...sizes });
    return store;
  }

  async function close(): Promise<void> {
    await store?.close();
    store = undefined;
  }

  /** Writes until the disk refuses; returns what was acknowledged, and the refusal. */
  async function fill(onto: LogStore, from: number, onWrite: (index: number) => Promise<void>) {
    const of = membership(onto.identity.storeId);
    for (let index = from; index < from + writesMax; index++) {
      try {
        await onto.write({
          entries: [{ term: term(1), index: logIndex(index), type: 'normal', data: randomBytes(3000) }],
          hardState: hardState(1, index, 1),
          applied: { meta: meta(index, 1, of), changes: [record(`r${index}`, 'value')] },
        });
      } catch (error) {
        assert(error instanceof StoreError, String(error));
        return { acknowledged: index - 1, error };
      }
      await onWrite(index);
    }
    throw new Error(`${writesMax} writes fit into 2 MiB`);
  }

  function fillRest(): void {
    const filler = join(mount, 'filler-of-the-rest');
    for (const bytes of [64 * kibibyte, 4 * kibibyte, 1]) {
      for (;;) {
        try {
          writeFileSync(filler, Buffer.alloc(bytes), { flag: 'a' });
        } catch {
          break; // That is what was wanted: no room for so much.
        }
      }
    }
  }

  async function until(what: string, condition: () => boolean): Promise<void> {
    const pollsMax = 5000;
    for (let poll = 0; poll < pollsMax; poll++) {
      if (condition()) return;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    throw new Error(`never came to be: ${what}`);
  }

  async function recordsOf(opened: LogStore): Promise<number> {
    let count = 0;
    for await (const batch of opened.records()) count += batch.length;
    return count;
  }

  let acknowledged = 0;

  it('asks that proposals be refused before it is full, then says clearly that it is, and takes nothing more', async () => {
    writeFileSync(join(mount, 'filler'), Buffer.alloc(1000 * kibibyte));
    const opened = await open();
    await opened.bootstrap(self, meta(0, 0, membership(opened.identity.storeId)));
    assert.equal(opened.space().problem, undefined);
    let firstProblem = 0;
    const end = await fill(opened, 1, async (index) => {
      clock.turn(1000);
      if (firstProblem === 0 && opened.space().problem !== undefined) firstProblem = index;
    });
    acknowledged = end.acknowledged;
    assert(firstProblem > 0 && acknowledged - firstProblem > 10, `warned at ${firstProblem} of ${acknowledged}`);
    assert.match(opened.space().problem ?? '', /[KM]iB free on the file system of .*; 625\.0 KiB are needed/);
    assert.equal(end.error.code, 'full');
    assert.match(end.error.message, /No space left while the store in .* Free some space .* then start again/);
    await assert.rejects(opened.write({ hardState: hardState(1, acknowledged, 1) }), { code: 'poisoned' });
    await close();
  });

  it('opens on the full disk by giving up its ballast, with all that was acknowledged', async () => {
    fillRest();
    const opened = await open();
    assert(!existsSync(join(mount, 'store', 'ballast')));
    assert(opened.loaded.entries.length >= acknowledged, `${opened.loaded.entries.length} of ${acknowledged}`);
    assert((await recordsOf(opened)) >= acknowledged);
    assert.match(opened.space().problem ?? '', /ballast that were given up/);
    await close();
  });

  it('refuses to open when there is no ballast left, and says what to do', async () => {
    fillRest();
    await assert.rejects(open(), (error) => {
      assert(error instanceof StoreError, String(error));
      assert.equal(error.code, 'full');
      assert.match(error.message, /No space left .* Free some space/);
      return true;
    });
  });

  it('goes on, whole, once space is freed, and builds its ballast again', async () => {
    rmSync(join(mount, 'filler'));
    rmSync(join(mount, 'filler-of-the-rest'));
    const opened = await open();
    assert(opened.loaded.entries.length >= acknowledged);
    await until('LevelDB has compacted, and the next look finds room', () => {
      clock.turn(1000);
      return opened.space().problem === undefined;
    });
    assert(existsSync(join(mount, 'store', 'ballast')));
    const next = opened.loaded.entries.length + 1;
    const of = membership(opened.identity.storeId);
    await opened.write({
      entries: [{ term: term(1), index: logIndex(next), type: 'normal', data: randomBytes(3000) }],
      hardState: hardState(1, next, 1),
      applied: { meta: meta(next, 1, of), changes: [record(`r${next}`, 'value')] },
    });
    await close();
    const again = await open();
    assert.equal(again.loaded.entries.length, next);
    assert.equal(await recordsOf(again), next);
    await close();
  });
});

describe('a floor of free space', () => {
  const floorBytes = 400 * kibibyte;
  let mount = '';

  before(function () {
    requires(this, root, command('mount'));
    mount = mkdtempSync(join(tmpdir(), 'sublet-floor-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', mount]);
  });

  after(() => {
    if (mount === '') return;
    execFileSync('umount', [mount]);
    rmdirSync(mount);
  });

  it('that was fallen below counts as kept again only with a quarter more free', async () => {
    const space = new FileDiskSpace(mount, join(mount, 'ballast'), { floorBytes, ballastBytes: 0 });
    const lowWith = async (freeBytes: number): Promise<boolean> => {
      writeFileSync(join(mount, 'filler'), Buffer.alloc(2 * mebibyte - freeBytes));
      await space.check();
      const { problem, freeBytes: told } = space.space();
      assert.equal(told, freeBytes);
      return problem !== undefined;
    };
    const course = [600, 440, 360, 440, 480, 520, 440, 360];
    const low: boolean[] = [];
    for (const free of course) low.push(await lowWith(free * kibibyte));
    assert.deepEqual(low, [false, false, true, true, true, false, false, true]);
  });
});
