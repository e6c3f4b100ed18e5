import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FolderError, makeFolder } from '#files/make-folder.js';

describe('making a folder', () => {
  const place = mkdtempSync(join(tmpdir(), 'sublet-folder-'));
  after(() => rmSync(place, { recursive: true }));

  function refusal(path: string): string {
    try {
      makeFolder(path);
    } catch (error) {
      assert.ok(error instanceof FolderError);
      return error.message;
    }
    return 'made';
  }

  it('makes all that is missing, with the mode, and is content with what is there', () => {
    makeFolder(join(place, 'a', 'b', 'c'), 0o700);
    assert.equal(statSync(join(place, 'a', 'b')).mode & 0o777, 0o700);
    makeFolder(join(place, 'a', 'b', 'c'));
  });

  it('says which part of the path is not a folder', () => {
    const file = join(place, 'file');
    writeFileSync(file, '');
    assert.equal(refusal(file), `${file} is not a folder`);
    assert.equal(refusal(join(file, 'a', 'b')), `${file} is not a folder`);
  });

  it('ends where a file system does not allow new folders', function () {
    if (process.platform !== 'linux') this.skip();
    const why = "/proc/sublet can't be made: its file system has no folders that can be made (ENOENT)";
    assert.equal(refusal('/proc/sublet/a'), why);
  });

  it('says why otherwise', () => {
    const long = join(place, 'x'.repeat(300));
    assert.equal(refusal(long), `${long} can't be made: a name in it is too long (ENAMETOOLONG)`);
    const circle = join(place, 'circle');
    symlinkSync(circle, circle);
    assert.equal(refusal(circle), `${circle} can't be made: its symbolic links lead in a circle (ELOOP)`);
    // A link to nowhere is there, and is nothing that one could make.
    const astray = join(place, 'astray');
    symlinkSync(join(place, 'nowhere'), astray);
    assert.match(refusal(astray), /astray/);
  });
});
