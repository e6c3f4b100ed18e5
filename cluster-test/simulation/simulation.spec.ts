/** Whole clusters under trouble, each from one seed; see docs/simulation.md. */
import assert from 'node:assert/strict';
import { simulate } from '#cluster-test/simulation/simulation.js';

const events = 5000;

describe('the simulator', () => {
  it('does the same again from the same seed', async () => {
    const first = await simulate({ seed: 1, events });
    const again = await simulate({ seed: 1, events });
    const other = await simulate({ seed: 2, events });
    assert.equal(again.traceHash, first.traceHash);
    assert.equal(again.events, first.events);
    assert.notEqual(other.traceHash, first.traceHash);
  });

  it('finds nothing wrong in fresh clusters', async () => {
    const first = Math.floor(Math.random() * 2 ** 31);
    for (let seed = first; seed < first + 5; seed += 1) {
      const { violation } = await simulate({ seed, events });
      assert.equal(violation, undefined, `seed ${seed}: ${violation?.message}`);
    }
  });
});
