import assert from 'node:assert/strict';
import { leaseOf } from '#agent/lease/lease.js';
import { LeaseCache } from '#agent/state/lease-cache.js';
import { grant } from '#agent/testing/fake-masters.js';
import { MemoryStore } from '#agent/testing/memory-store.js';
import { HandClock } from '#storage/testing/hand-clock.js';

const lease = leaseOf(grant({ agentId: 'a', instanceId: 'i', nodeIp: '10.0.0.1' }));

function made() {
  const [store, clock, errors] = [new MemoryStore(), new HandClock(), [] as string[]];
  const log = {
    debug: () => {},
    info: () => {},
    warn: () => {},
    error: (_: object, line: string) => errors.push(line),
  };
  return { store, clock, errors, cache: new LeaseCache({ store, clock, log }) };
}

describe('the cache of a lease', () => {
  it('is due for a new end every 30 s, or every hundredth of a longer TTL', () => {
    const { clock, cache } = made();
    const hourMs = 3_600_000;
    assert.equal(cache.isDue(60_000), true, 'nothing is written yet');
    cache.save({ lease });
    for (const [ms, short, long] of [
      [29_999, false, false],
      [1, true, false],
      [5_999, true, false],
      [1, true, true],
    ] as const) {
      clock.turn(ms);
      assert.deepEqual([cache.isDue(60_000), cache.isDue(hourMs)], [short, long], `at ${clock.now()} ms`);
    }
    cache.save({ lease });
    assert.equal(cache.isDue(60_000), false);
  });

  it('has the reason of a failed write until one succeeds', () => {
    const { store, errors, cache } = made();
    store.full = true;
    cache.save({ lease });
    assert.equal(cache.error, 'ENOSPC: no space left on device');
    assert.deepEqual(errors, ['the lease could not be cached']);
    store.full = false;
    cache.save({ lease });
    assert.deepEqual([cache.error, store.lease], ['', { lease }]);
  });

  it('remembers the last eight former clusters, the newest first, and never the present one', () => {
    const { store, cache } = made();
    cache.rememberCluster(undefined, 'c0');
    cache.rememberCluster('c0', 'c0');
    assert.deepEqual(store.identity.formerClusterIds, []);
    for (let at = 1; at <= 10; at++) cache.rememberCluster(`c${at - 1}`, `c${at}`);
    assert.deepEqual(store.identity.formerClusterIds, ['c9', 'c8', 'c7', 'c6', 'c5', 'c4', 'c3', 'c2']);
    cache.rememberCluster('c10', 'c8');
    assert.deepEqual(store.identity.formerClusterIds, ['c10', 'c9', 'c7', 'c6', 'c5', 'c4', 'c3', 'c2']);
  });
});
