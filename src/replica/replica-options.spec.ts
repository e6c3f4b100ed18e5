import assert from 'node:assert/strict';
import { checkLimits, checkNames, checkTiming, defaultReplicaLimits as limits } from '#replica/replica-options.js';

describe('the options of a replica', () => {
  it('have a timing that elections can live with', () => {
    checkTiming({ heartbeatMs: 100, electionMs: 500 });
    assert.throws(() => checkTiming({ heartbeatMs: 0, electionMs: 500 }), /heartbeat 0ms is too short: 1ms at least/);
    assert.throws(() => checkTiming({ heartbeatMs: 100, electionMs: 499 }), /499ms is too short: .* 500ms at least/);
  });

  it('have limits that allow any work at all, and that a connection can carry', () => {
    const { proposals, compaction } = limits;
    checkLimits({ ...limits, unsavedBytesMax: 0, uncommittedBytesMax: Number.POSITIVE_INFINITY });
    const none = { ...limits, proposals: { ...proposals, perBatchMax: 0 } };
    assert.throws(() => checkLimits(none), {
      name: 'RangeError',
      message: 'limits.proposals.perBatchMax is 0: 1 at least',
    });
    const notANumber = { ...limits, compaction: { ...compaction, entriesKept: Number.NaN } };
    assert.throws(() => checkLimits(notANumber), /limits\.compaction\.entriesKept is NaN: 0 at least/);
    const window = { ...limits, appendBytesMax: 2048, appendBytesInFlightMax: 1024 };
    assert.throws(() => checkLimits(window), /appendBytesInFlightMax is 1024: as much as limits\.appendBytesMax, 2048/);
    const large = { ...limits, proposals: { ...proposals, commandBytesMax: 2 ** 25 } };
    assert.throws(() => checkLimits(large), /limits\.proposals\.commandBytesMax is 33554432: 24\.0 MiB at most/);
    const append = { ...limits, appendBytesMax: 2 ** 25, appendBytesInFlightMax: 2 ** 26 };
    assert.throws(() => checkLimits(append), /limits\.appendBytesMax is 33554432: 24\.0 MiB at most/);
  });

  it('have ids and names that a store can read back', () => {
    const founders = [{ name: 'a', peer: 'a:1' }];
    checkNames({ name: 'a', clusterId: 'x'.repeat(63), founders });
    assert.throws(
      () => checkNames({ name: 'a', clusterId: '', founders }),
      /cluster id "": 1 to 63 characters of \[A-Za-z0-9._-\] are allowed/,
    );
    assert.throws(() => checkNames({ name: 'a', clusterId: 'x'.repeat(64), founders }), /cluster id "x{64}": 1 to 63/);
    assert.throws(() => checkNames({ name: 'a', clusterId: 'a b', founders }), /cluster id "a b"/);
    assert.throws(() => checkNames({ name: 'A', clusterId: 'x', founders }), /member name "A"/);
    const twins = [...founders, ...founders];
    assert.throws(() => checkNames({ name: 'a', clusterId: 'x', founders: twins }), /two founders are named "a"/);
    const odd = [{ name: 'b b', peer: 'b:1' }];
    assert.throws(() => checkNames({ name: 'a', clusterId: 'x', founders: odd }), /member name "b b"/);
  });
});
