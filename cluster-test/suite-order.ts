/**
 * A suite whose tests build on one another: after the first failure the rest is not run. Mocha's own `bail` would end the
 * whole run, the other files included, where spec files run side by side.
 */
import type { Suite } from 'mocha';

export function stopsAtFailure(suite: Suite): void {
  let failed = '';
  suite.beforeEach('after a failure the rest is not run', () => {
    if (failed !== '') throw new Error(`not run, since this test has failed: ${failed}`);
  });
  suite.afterEach('notes a failure', function () {
    if (this.currentTest?.state === 'failed') failed ||= this.currentTest.title;
  });
}
