import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeDurably } from '#files/durable-file.js';
import { WriteError } from '#files/write-failure.js';

describe('a file that is written durably', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sublet-durable-file-'));

  after(() => rmSync(folder, { recursive: true }));

  it('has the text and is of its owner alone; a link at the temporary name is not followed', () => {
    const path = join(folder, 'a');
    symlinkSync(join(folder, 'elsewhere'), `${path}.${process.pid}.new`);
    writeDurably(path, 'first');
    writeDurably(path, 'second');
    assert.equal(readFileSync(path, 'utf8'), 'second');
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.deepEqual(readdirSync(folder), ['a']);
  });

  it('leaves nothing beside it where it can not be written', () => {
    mkdirSync(join(folder, 'b', 'full'), { recursive: true });
    assert.throws(() => writeDurably(join(folder, 'b'), 'text'), WriteError);
    assert.deepEqual(readdirSync(folder).sort(), ['a', 'b']);
  });
});
