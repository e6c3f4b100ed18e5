import assert from 'node:assert/strict';
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type LogStore, StoreError, type StoreErrorCode } from '#replica/ports/log-store.js';
import { openLevelStore } from '#storage/level-store.js';
import { HandClock } from '#storage/testing/hand-clock.js';
import { contentOf, hardState, membership, meta, record, sampleEntries, self } from '#storage/testing/sample.js';

const count = 400;
const page = 4096;

type Damage = {
  readonly name: string;
  readonly expect: StoreErrorCode;
  readonly message: RegExp;
  readonly harm: (store: string) => void;
};

function openAt(directory: string): Promise<LogStore> {
  return openLevelStore(directory, { clock: new HandClock(), freeBytesFloor: 0, ballastBytes: 0 });
}

/** Writes entries and records, one each per batch, as the probe of LevelDB does. */
async function live(store: LogStore, from: number, to: number): Promise<void> {
  const of = membership(store.identity.storeId);
  for (let index = from; index <= to; index++) {
    await store.write({
      entries: sampleEntries(index, index, 1, 1000),
      hardState: hardState(1, index, 1),
      applied: { meta: meta(index, 1, of), changes: [record(`record-${index}`, `value of ${index} `.repeat(30))] },
    });
  }
}

async function refused(directory: string, expect: StoreErrorCode, message: RegExp): Promise<void> {
  await assert.rejects(
    openAt(directory).then((store) => store.close()),
    (error) => {
      assert(error instanceof StoreError, String(error));
      assert.match(error.message, message);
      assert.equal(error.code, expect, error.message);
      assert.match(error.message, /sublet members remove NAME/);
      return true;
    },
  );
}

function newest(store: string, extension: string): string {
  const names = readdirSync(join(store, 'db')).filter((name) => name.endsWith(extension));
  const file = names.sort().at(-1);
  if (file === undefined) throw new Error(`no ${extension} in ${store}`);
  return join(store, 'db', file);
}

function edit(file: string, change: (bytes: Buffer) => void): void {
  const bytes = readFileSync(file);
  change(bytes);
  writeFileSync(file, bytes);
}

const log = (store: string) => newest(store, '.log');
const table = (store: string) => newest(store, '.ldb');
const flip = (bytes: Buffer, at: number) => bytes.writeUInt8(bytes.readUInt8(at) ^ 0xff, at);

/** Of a store whose writes are all in one `.log`. */
const logDamages: readonly Damage[] = [
  {
    name: 'a flipped byte in the middle of the .log',
    expect: 'corrupt',
    message: /LevelDB could not read all of it \(".*dropping/,
    harm: (store) => edit(log(store), (bytes) => flip(bytes, 150_000)),
  },
  {
    name: 'a zeroed block in the middle of the .log',
    expect: 'corrupt',
    message: /could not read all of it|is missing/,
    harm: (store) => edit(log(store), (bytes) => bytes.fill(0, 49 * page, 50 * page)),
  },
  {
    name: 'a whole zeroed LevelDB block, which LevelDB skips without a word',
    expect: 'corrupt',
    message: /could not read all of it|is missing/,
    harm: (store) => edit(log(store), (bytes) => bytes.fill(0, 4 * 32_768, 5 * 32_768)),
  },
  {
    name: 'a .log with its tail cut off',
    expect: 'amnesia',
    message: /ends at write \d+ \(log index 39\d\), but write 402 \(log index 400\) was durable/,
    harm: (store) => truncateSync(log(store), readFileSync(log(store)).length - 5000),
  },
  {
    name: 'a .log with its tail zeroed',
    expect: 'corrupt',
    message: /could not read all of it/,
    harm: (store) => edit(log(store), (bytes) => bytes.fill(0, bytes.length - 5000)),
  },
  {
    name: 'a deleted .log',
    expect: 'corrupt',
    message: /its head record is missing/,
    harm: (store) => rmSync(log(store)),
  },
  {
    name: 'a missing CURRENT',
    expect: 'corrupt',
    message: /CURRENT file is missing/,
    harm: (store) => rmSync(join(store, 'db', 'CURRENT')),
  },
  {
    name: 'a missing CURRENT and identity file: no empty database takes their place',
    expect: 'corrupt',
    message: /CURRENT file is missing, but there are .*\.log/,
    harm: (store) => {
      rmSync(join(store, 'db', 'CURRENT'));
      rmSync(join(store, 'identity'));
    },
  },
  {
    name: 'a missing database',
    expect: 'corrupt',
    message: /CURRENT file is missing/,
    harm: (store) => rmSync(join(store, 'db'), { recursive: true }),
  },
  {
    name: 'a missing identity file',
    expect: 'corrupt',
    message: /identity file is missing/,
    harm: (store) => rmSync(join(store, 'identity')),
  },
  {
    name: 'an identity file with both slots damaged',
    expect: 'corrupt',
    message: /neither slot of its identity file is sound/,
    harm: (store) =>
      edit(join(store, 'identity'), (bytes) => {
        flip(bytes, 100);
        flip(bytes, page + 100);
      }),
  },
  {
    name: 'a truncated identity file',
    expect: 'corrupt',
    message: /neither slot of its identity file is sound/,
    harm: (store) => truncateSync(join(store, 'identity'), 100),
  },
];

/** Of a store whose writes have gone into a table. */
const tableDamages: readonly Damage[] = [
  {
    name: 'a table with nothing but its footer',
    expect: 'corrupt',
    message: /head record is missing|LevelDB could not/,
    harm: (store) => edit(table(store), (bytes) => bytes.fill(0, 0, bytes.length - 48)),
  },
  {
    name: 'a missing table',
    expect: 'corrupt',
    message: /1 missing files/,
    harm: (store) => rmSync(table(store)),
  },
  {
    name: 'a missing MANIFEST',
    expect: 'corrupt',
    message: /names "MANIFEST-\d+", which is not there/,
    harm: (store) => {
      const name = readdirSync(join(store, 'db')).find((file) => file.startsWith('MANIFEST'));
      rmSync(join(store, 'db', name ?? ''));
    },
  },
];

describe('a store with damaged files', () => {
  let root = '';
  let inLog = '';
  let inTable = '';
  let old = '';
  let copy = '';

  before(async () => {
    root = mkdtempSync(join(tmpdir(), 'sublet-damage-'));
    [inLog = '', inTable = '', old = '', copy = ''] = ['in-log', 'in-table', 'old', 'copy'].map((name) =>
      join(root, name),
    );
    const store = await openAt(inLog);
    await store.bootstrap(self, meta(0, 0, membership(store.identity.storeId)));
    await live(store, 1, count / 2);
    await store.close();
    cpSync(inLog, old, { recursive: true });
    rmSync(inLog, { recursive: true });
    const again = await openAt(inLog);
    await again.bootstrap(self, meta(0, 0, membership(again.identity.storeId)));
    await live(again, 1, count);
    await again.close();
    cpSync(inLog, inTable, { recursive: true });
    await (await openAt(inTable)).close();
  });

  after(() => rmSync(root, { recursive: true }));

  beforeEach(() => rmSync(copy, { recursive: true, force: true }));

  for (const [sound, damages] of [
    [() => inLog, logDamages],
    [() => inTable, tableDamages],
  ] as const) {
    for (const { name, expect, message, harm } of damages) {
      it(`is refused, and stays refused, with ${name}`, async () => {
        cpSync(sound(), copy, { recursive: true });
        harm(copy);
        // LevelDB keeps its complaints for two openings.
        for (let attempt = 0; attempt < 3; attempt++) await refused(copy, expect, message);
      });
    }
  }

  it('starts whole when sound, from its .log and from its table', async () => {
    for (const sound of [inLog, inTable]) {
      cpSync(sound, copy, { recursive: true });
      const store = await openAt(copy);
      const { log: found, records, applied } = await contentOf(store);
      assert.deepEqual([found.length, records.length, applied?.index], [count, count, count]);
      await store.close();
      rmSync(copy, { recursive: true });
    }
  });

  for (const [harm, change] of [
    ['zeroed', (bytes: Buffer, from: number) => bytes.fill(0, from, Math.min(from + page, bytes.length))],
    ['hit by a flipped byte', (bytes: Buffer, from: number) => flip(bytes, Math.min(from + 1000, bytes.length - 1))],
  ] as const) {
    it(`is refused, or whole, whichever page of a table is ${harm}`, async () => {
      cpSync(inTable, copy, { recursive: true });
      const { length } = readFileSync(table(copy));
      let refusals = 0;
      for (let from = 0; from < length; from += page) {
        edit(table(copy), (bytes) => change(bytes, from));
        try {
          const store = await openAt(copy);
          const { log: found, records } = await contentOf(store);
          await store.close();
          // Nothing but older versions of the head lay there.
          assert.deepEqual([found.length, records.length], [count, count], `page at ${from}`);
        } catch (error) {
          assert(error instanceof StoreError && error.code === 'corrupt', String(error));
          refusals += 1;
        }
        rmSync(copy, { recursive: true });
        cpSync(inTable, copy, { recursive: true });
      }
      assert(refusals >= 5, `${refusals} refusals`);
    });
  }

  it('is refused as amnesiac when an old copy of the database is put under its identity file', async () => {
    cpSync(inLog, copy, { recursive: true });
    const store = await openAt(copy);
    const before = join(root, 'before');
    await store.close();
    cpSync(join(copy, 'db'), before, { recursive: true });
    const later = await openAt(copy);
    await live(later, count + 1, count + 5);
    await later.close();
    rmSync(join(copy, 'db'), { recursive: true });
    renameSync(before, join(copy, 'db'));
    await refused(copy, 'amnesia', /log index 400\), but write 407 \(log index 405\) was durable: an old copy/);
  });

  it('is refused when the database is another store’s', async () => {
    cpSync(inLog, copy, { recursive: true });
    rmSync(join(copy, 'db'), { recursive: true });
    cpSync(join(old, 'db'), join(copy, 'db'), { recursive: true });
    await refused(copy, 'corrupt', /identity file is of store [0-9a-f]{32}, its database of store [0-9a-f]{32}/);
  });

  it('starts whole with one slot damaged, whichever, and mends it', async () => {
    for (const at of [100, page + 100]) {
      cpSync(inLog, copy, { recursive: true });
      edit(join(copy, 'identity'), (bytes) => flip(bytes, at));
      const store = await openAt(copy);
      assert.equal((await contentOf(store)).records.length, count);
      assert.deepEqual(store.loaded.hardState, hardState(1, count, 1));
      await live(store, count + 1, count + 1);
      await store.close();
      edit(join(copy, 'identity'), (bytes) => flip(bytes, at === 100 ? page + 100 : 100));
      await (await openAt(copy)).close();
      rmSync(copy, { recursive: true });
    }
  });

  it('is a new store, with another id, when it was wiped', async () => {
    cpSync(inLog, copy, { recursive: true });
    const store = await openAt(copy);
    const { storeId } = store.identity;
    await store.close();
    rmSync(copy, { recursive: true });
    const wiped = await openAt(copy);
    assert.notEqual(wiped.identity.storeId, storeId);
    assert.equal(wiped.identity.memberId, undefined);
    assert.equal(wiped.loaded.applied, undefined);
    await wiped.close();
  });

  it('takes up where a crash left the making of the database', async () => {
    cpSync(inLog, copy, { recursive: true });
    for (const name of readdirSync(join(copy, 'db'))) {
      if (!/^(LOG|LOCK|MANIFEST-.*)$/.test(name)) rmSync(join(copy, 'db', name));
    }
    rmSync(join(copy, 'identity'));
    const name = readdirSync(join(copy, 'db')).find((file) => file.startsWith('MANIFEST')) ?? '';
    renameSync(join(copy, 'db', name), join(copy, 'db', 'MANIFEST-000001'));
    const store = await openAt(copy);
    assert.equal(store.loaded.applied, undefined);
    await store.close();
  });
});
