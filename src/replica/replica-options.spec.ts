import assert from 'node:assert/strict';
import { checkNames, checkTiming } from '#replica/replica-options.js';

describe('the options of a replica', () => {
  it('have a timing that elections can live with', () => {
    checkTiming({ heartbeatMs: 100, electionMs: 500 });
    assert.throws(() => checkTiming({ heartbeatMs: 0, electionMs: 500 }), /heartbeat 0 ms is too short: 1 ms at least/);
    assert.throws(() => checkTiming({ heartbeatMs: 100, electionMs: 499 }), /499 ms is too short: .* 500 ms at least/);
  });

  it('have ids and names that a store can read back', () => {
    const founders = [{ name: 'a', peer: 'a:1' }];
    checkNames({ name: 'a', clusterId: 'x'.repeat(63), founders });
    assert.throws(() => checkNames({ name: 'a', clusterId: '', founders }), /0 characters: 1 to 63 are allowed/);
    assert.throws(() => checkNames({ name: 'a', clusterId: 'x'.repeat(64), founders }), /64 characters/);
    assert.throws(() => checkNames({ name: 'A', clusterId: 'x', founders }), /member name "A"/);
    const twins = [...founders, ...founders];
    assert.throws(() => checkNames({ name: 'a', clusterId: 'x', founders: twins }), /two founders are named "a"/);
    const odd = [{ name: 'b b', peer: 'b:1' }];
    assert.throws(() => checkNames({ name: 'a', clusterId: 'x', founders: odd }), /member name "b b"/);
  });
});
