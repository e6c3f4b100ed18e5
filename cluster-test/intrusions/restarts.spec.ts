/** Row 69 of docs/intrusions.md without systemd: a master that is killed again and again comes back on its own data each time. */
import assert from 'node:assert/strict';
import { benchConfig } from '#cluster-test/bench/plan.js';
import { showOnFailure } from '#cluster-test/process/fixture.js';
import { Masters } from '#cluster-test/process/masters.js';

const kills = 10;

describe('a master that is killed ten times in a row', function () {
  this.timeout(60_000);
  let masters: Masters | undefined;

  afterEach(function () {
    showOnFailure(this, masters?.masters);
  });
  after(() => masters?.[Symbol.asyncDispose]());

  it('row 69: comes back each time, also when it is killed while it starts', async () => {
    masters = await Masters.start({ count: 1, config: benchConfig() });
    const [master = assert.fail()] = masters.masters;
    for (let kill = 0; kill < kills; kill++) {
      // Every other time it is killed before it serves.
      if (kill % 2 === 0) await masters.ready();
      await master.child.kill();
      masters.restart(master);
    }
    await masters.ready();
    assert.doesNotMatch(master.child.output, /corrupt|damaged/);
  });
});
