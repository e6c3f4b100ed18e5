import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lockFile } from '#files/file-lock.js';
import { FolderError } from '#files/make-folder.js';
import { makePrivateFolder } from '#files/private-folder.js';

describe('rows 55, 56: a folder of its user alone', () => {
  const place = mkdtempSync(join(tmpdir(), 'sublet-private-'));
  after(() => rmSync(place, { recursive: true }));
  function folder(mode: number): string {
    const path = join(place, mode.toString(8));
    mkdirSync(path);
    chmodSync(path, mode);
    return path;
  }

  it('is made so', () => {
    const path = join(place, 'new', 'inner');
    assert.equal(makePrivateFolder(path), undefined);
    assert.equal(statSync(path).mode & 0o777, 0o700);
    assert.equal(statSync(join(place, 'new')).mode & 0o777, 0o700);
  });

  for (const mode of [0o777, 0o770, 0o702, 0o722]) {
    it(`is refused with mode ${mode.toString(8)}: others may write there`, () => {
      const path = folder(mode);
      assert.throws(
        () => makePrivateFolder(path),
        (error) => error instanceof FolderError && error.message.includes(`"chmod go-w ${path}"`),
      );
    });
  }

  for (const mode of [0o755, 0o750, 0o701, 0o1777]) {
    it(`is warned of with mode ${mode.toString(8)}: others may read there`, () => {
      const path = folder(mode);
      assert.match(makePrivateFolder(path) ?? '', new RegExp(`mode ${mode.toString(8).padStart(4, '0')}.*chmod 700`));
    });
  }

  it('is good with mode 700', () => {
    assert.equal(makePrivateFolder(folder(0o700)), undefined);
  });

  it('has a lock that one process at a time has, until it gives it back', function () {
    const path = join(place, 'lock');
    const first = lockFile(path);
    if (first === 'no-tool') this.skip();
    assert.ok(first !== 'taken');
    assert.equal(lockFile(path), 'taken');
    first.release();
    const second = lockFile(path);
    assert.ok(typeof second === 'object');
    second.release();
  });
});
