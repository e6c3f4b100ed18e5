import assert from 'node:assert/strict';
import { parseRunId } from '#ipam/identity.js';
import { Ipam } from '#ipam/ipam.js';
import { PlanUnderTest } from '#ipam/testing/plan-under-test.js';

describe('the run_id of a registration', () => {
  const run = (id: string) => ({ runId: parseRunId(id) });

  it('is part of the record, and of the record that is stored', () => {
    const under = new PlanUnderTest();
    under.run({ ...under.request('a'), ...run('r1') });
    const lease = under.ipam.lease(under.request('a').agentId);
    assert.equal(lease?.runId, 'r1');
    assert.equal(Ipam.restore(under.ipam.records()).lease(under.request('a').agentId)?.runId, 'r1');
  });

  it('of a process that starts takes the place of the one before, and nothing else changes', () => {
    const under = new PlanUnderTest();
    under.run({ ...under.request('a'), ...run('r1') });
    const { events } = under.run({ ...under.request('a', { sequence: 2 }), ...run('r2') });
    assert.equal(under.ipam.lease(under.request('a').agentId)?.runId, 'r2');
    assert.deepEqual(
      events.map((event) => event.kind === 'agent-changed' && event.statusOnly),
      [true],
    );
  });

  it('is forgotten when a process registers that has none', () => {
    const under = new PlanUnderTest();
    under.run({ ...under.request('a'), ...run('r1') });
    under.register('a', { sequence: 2 });
    assert.equal(under.ipam.lease(under.request('a').agentId)?.runId, undefined);
  });

  it('is written when it alone differs, and not when the request is repeated', () => {
    const under = new PlanUnderTest();
    const first = { ...under.request('a'), ...run('r1') };
    under.run(first);
    assert.equal(under.run(first).changes.length, 0);
    const { changes } = under.run({ ...first, ...run('r2') });
    assert.equal(changes.length, 2, 'the record, and the revision');
  });
});
