/** What `work` throws, for specs that look at the error itself. */
import assert from 'node:assert/strict';

export function thrown(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  assert.fail('it did not throw');
}
