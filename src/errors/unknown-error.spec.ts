import assert from 'node:assert/strict';
import { errorCode } from '#errors/unknown-error.js';

describe('the code of what was caught', () => {
  it('is that of the system or of Node.js, and empty where there is none', () => {
    const codes = [
      Object.assign(new Error('a'), { code: 'ENOENT' }),
      Object.assign(new Error('b'), { code: 5 }),
      new Error('c'),
      { code: 'ENOENT' },
      'ENOENT',
      undefined,
    ].map(errorCode);
    assert.deepEqual(codes, ['ENOENT', '', '', '', '', '']);
  });
});
