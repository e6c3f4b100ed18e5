import assert from 'node:assert/strict';
import { parseAgentId } from '#ipam/identity.js';
import { PlanUnderTest } from '#ipam/plan-under-test.js';

describe('rule 11, history: the last 10,000 changes are kept', () => {
  it('says revision, time, what, who and which subnet', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    plan.time = 5000;
    plan.release('a');
    assert.deepEqual(
      plan.ipam.history({ after: 0, limit: 10 }).map(({ detail: _, ...rest }) => rest),
      [
        {
          revision: 1,
          wallTime: 1_700_000_000_000,
          what: 'configure-network',
          who: '',
          subjects: ['44.128.0.0/20', '9.0.0.0/8'],
        },
        {
          revision: 2,
          wallTime: 1_700_000_000_000,
          what: 'register',
          who: 'a',
          subjects: ['44.128.0.1', '9.0.0.0/24'],
        },
        {
          revision: 3,
          wallTime: 1_700_000_005_000,
          what: 'release',
          who: 'a',
          subjects: ['a', '44.128.0.1', '9.0.0.0/24'],
        },
      ],
    );
    assert.deepEqual(
      plan.ipam.history({ after: 2, limit: 10 }).map(({ revision }) => revision),
      [3],
    );
    assert.deepEqual(
      plan.ipam.history({ after: 0, limit: 1, agentId: parseAgentId('a') }).map(({ revision }) => revision),
      [3],
    );
  });

  it('names the operator who asked', () => {
    const plan = new PlanUnderTest();
    plan.run({ kind: 'update-overlay', name: 'dcos', enabled: false }, { by: 'ann' });
    assert.equal(plan.ipam.history({ after: 1, limit: 1 })[0]?.who, 'ann');
  });

  it('holds no more than 10,000 entries, in the records as in memory', () => {
    const plan = new PlanUnderTest();
    for (let n = 0; n < 10_050; n++) plan.run({ kind: 'update-overlay', name: 'dcos', enabled: n % 2 === 1 });
    const all = plan.ipam.history({ after: 0, limit: 20_000 });
    assert.equal(all.length, 10_000);
    assert.equal(all[0]?.revision, 52);
    assert.equal([...plan.store.keys()].filter((key) => key.startsWith('0a')).length, 10_000);
    const restored = plan.restored();
    assert.equal(restored.hash(), plan.ipam.hash());
    assert.deepEqual(restored.history({ after: 0, limit: 20_000 }), all);
  });
});
