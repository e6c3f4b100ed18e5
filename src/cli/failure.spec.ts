import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { exitCodes, expectedFailure } from '#cli/failure.js';
import { thrown } from '#errors/testing/thrown.js';
import { movedMembers } from '#master/members/offline-move.js';
import { StoreError } from '#replica/ports/log-store.js';

describe('a failure of a command', () => {
  for (const [what, error] of [
    ['that a room expects', thrown(() => movedMembers([], [{ name: 'm1', peer: 'm1:7071' }]))],
    ['of the store', new StoreError('locked', 'a master has it open')],
    ['of the operating system', thrown(() => readFileSync('/proc/none'))],
  ] as const) {
    it(`${what} is a refusal in its own words`, () => {
      assert.ok(error instanceof Error);
      const failure = expectedFailure(error);
      assert.deepEqual([failure?.exitCode, failure?.message], [exitCodes.refused, error.message]);
    });
  }

  it('that nothing expects is a bug, and not shown as a refusal', () => {
    for (const bug of [new Error('x'), new TypeError('x'), thrown(() => new URL('x')), 'x']) {
      assert.equal(expectedFailure(bug), undefined);
    }
  });
});
