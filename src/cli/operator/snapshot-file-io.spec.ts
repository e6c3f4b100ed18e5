import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Failure } from '#cli/failure.js';
import { readWhole, writeWhole } from '#cli/operator/snapshot-file-io.js';
import { Ipam } from '#ipam/ipam.js';
import { writeSnapshotFile } from '#storage/snapshots/snapshot-file.js';
import { meta } from '#storage/testing/sample.js';

const plain = { recipients: [], check: () => {} };

function pieces(): AsyncGenerator<Uint8Array> {
  const source = {
    meta: meta(7),
    async *chunks() {
      yield new Ipam().records().map(([key, value]) => ({ key, value }));
    },
    close: async () => {},
  };
  return writeSnapshotFile(source, { savedBy: 'm1', savedAt: 0, version: 'spec' });
}

describe('the file of a snapshot', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sublet-snapshot-file-spec-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('takes the place of an older one whole, and nothing else is left in the folder', async () => {
    const file = join(folder, 'plan.snapshot');
    writeFileSync(file, 'older');
    await writeWhole(file, pieces(), plain);
    assert.equal((await readWhole(file, undefined)).header.savedBy, 'm1');
    assert.deepEqual(readdirSync(folder), ['plan.snapshot']);
  });

  it('is written where a link leads, and the link stays', async () => {
    const file = join(folder, 'plan.snapshot');
    const link = join(folder, 'latest');
    writeFileSync(file, 'older');
    symlinkSync('plan.snapshot', link);
    await writeWhole(link, pieces(), plain);
    assert.ok(lstatSync(link).isSymbolicLink());
    assert.notEqual(readFileSync(file, 'utf8'), 'older');
    assert.equal((await readWhole(link, undefined)).header.savedBy, 'm1');
  });

  it('takes the place of nothing that is not a file: a device, a pipe or a folder, also behind a link', async () => {
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    mkdirSync(join(folder, 'backups'));
    symlinkSync('pipe', join(folder, 'stdout'));
    for (const name of ['pipe', 'backups', 'stdout']) {
      await assert.rejects(writeWhole(join(folder, name), pieces(), plain), (error) => {
        assert.ok(error instanceof Failure, String(error));
        assert.match(error.message, new RegExp(`/${name}: it is not a file, and the snapshot would take its place$`));
        return true;
      });
    }
    assert.ok(lstatSync(pipe).isFIFO());
    assert.deepEqual(readdirSync(folder).toSorted(), ['backups', 'pipe', 'stdout']);
  });
});
