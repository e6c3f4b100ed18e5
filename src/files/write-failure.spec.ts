import assert from 'node:assert/strict';
import { WriteError } from '#files/write-failure.js';

describe('a file that can not be written', () => {
  it('is named, with the folder whose disk is full, and what to do', () => {
    const cause = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    const error = new WriteError('/var/lib/sublet-agent/lease', cause);
    assert.equal(
      error.message,
      "/var/lib/sublet-agent/lease can't be written: the disk of /var/lib/sublet-agent is full (ENOSPC): free space there",
    );
    assert.equal(error.code, 'ENOSPC');
  });

  it('is named with the folder that there is not', () => {
    const cause = Object.assign(new Error("ENOENT: no such file or directory, open '/a/b.1.part'"), { code: 'ENOENT' });
    assert.equal(new WriteError('/a/b', cause).message, "/a/b can't be written: there is no folder /a");
  });

  it('is named with the words of the system for anything else', () => {
    assert.equal(new WriteError('/a/b', new Error('EIO: i/o error')).message, "/a/b can't be written: EIO: i/o error");
  });
});
