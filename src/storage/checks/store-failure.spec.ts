import assert from 'node:assert/strict';
import { storeError } from '#storage/checks/store-failure.js';

describe('the failure of a store', () => {
  it('for want of descriptors names the limit, and not the disk', () => {
    for (const error of [
      Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' }),
      Object.assign(new Error('not open'), { cause: new Error('IO error: /db/000007.log: Too many open files') }),
    ]) {
      const { code, message } = storeError('/data', 'write', error);
      assert.equal(code, 'io');
      assert.match(message, /no more files can be opened .* Raise the limit of open files \(RLIMIT_NOFILE/);
      assert.doesNotMatch(message, /See to the disk/);
    }
  });
});
