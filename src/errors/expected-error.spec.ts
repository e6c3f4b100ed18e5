import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { isSystemError, systemErrorIn } from '#errors/expected-error.js';
import { thrown } from '#errors/testing/thrown.js';

describe('an error of the operating system', () => {
  const failed = thrown(() => readFileSync('/proc/none'));

  it('is known by its call, and apart from errors of Node.js and of ours', () => {
    assert.ok(isSystemError(failed));
    const ofNode = thrown(() => new URL('no address'));
    for (const other of [ofNode, new Error('ENOENT'), new TypeError('no'), 'ENOENT', undefined]) {
      assert.equal(isSystemError(other), false);
      assert.equal(systemErrorIn(other), undefined);
    }
  });

  it('is found under the errors that it caused', () => {
    assert.equal(systemErrorIn(new Error('outer', { cause: new Error('inner', { cause: failed }) })), failed);
    const circle = new Error('circle');
    circle.cause = circle;
    assert.equal(systemErrorIn(circle), undefined);
  });
});
