import assert from 'node:assert/strict';
import type { MasterChange, MasterName } from '#ipam/commands/command.js';
import { parseAgentId } from '#ipam/identity.js';
import { Ipam } from '#ipam/ipam.js';
import { PlanUnderTest } from '#ipam/testing/plan-under-test.js';

const m3: MasterName = { name: 'm3', peer: '10.0.0.3:7071' };
const m4: MasterName = { name: 'm4', peer: '[fd00::4]:7071' };
const by = 'operator@10.0.0.9';

const record = (plan: PlanUnderTest, change: MasterChange, who = by) =>
  plan.run({ kind: 'record-membership', change }, { by: who });

describe('the record of a change of the masters', () => {
  it('is one entry of the history: when, what, the principal, which master, and where it was reached', () => {
    const plan = new PlanUnderTest();
    plan.time = 5000;
    const cases: readonly (readonly [MasterChange, string, readonly string[], string])[] = [
      [{ kind: 'add', master: m4 }, 'add-member', ['m4'], 'at [fd00::4]:7071, as a learner'],
      [{ kind: 'promote', master: m4 }, 'promote-member', ['m4'], 'at [fd00::4]:7071'],
      [{ kind: 'remove', master: m3 }, 'remove-member', ['m3'], 'at 10.0.0.3:7071'],
      [
        { kind: 'replace', master: m3, by: m4 },
        'replace-member',
        ['m3', 'm4'],
        'm3 at 10.0.0.3:7071 by m4 at [fd00::4]:7071',
      ],
    ];
    for (const [change, what, subjects, detail] of cases) {
      const after = plan.ipam.revision;
      record(plan, change);
      assert.deepEqual(plan.ipam.history({ after, limit: 10 }), [
        { revision: after + 1, wallTime: 1_700_000_005_000, what, who: by, subjects, detail },
      ]);
    }
  });

  it('changes nothing but the history and the revision, and sends no event', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    const before = { agents: plan.ipam.agentsAfter(undefined, 9), usage: plan.ipam.usage(0), hash: plan.ipam.hash() };
    const { result, events, changes } = record(plan, { kind: 'remove', master: m3 });
    assert.deepEqual(result, { kind: 'done', revision: plan.index, changed: true });
    assert.deepEqual(events, []);
    // The entry, and the revision.
    assert.deepEqual(
      changes.map(({ key }) => key[0]),
      [10, 1],
    );
    assert.deepEqual(plan.ipam.agentsAfter(undefined, 9), before.agents);
    assert.deepEqual(plan.ipam.usage(0), before.usage);
    assert.notEqual(plan.ipam.hash(), before.hash);
  });

  it('is the same on every replica, and after a snapshot', () => {
    const plan = new PlanUnderTest();
    const second = plan.restored();
    const change: MasterChange = { kind: 'replace', master: m3, by: m4 };
    record(plan, change);
    const at = { index: plan.index, time: plan.time };
    second.apply({ kind: 'record-membership', change, wallTime: 1_700_000_000_000, by }, at);
    assert.equal(second.hash(), plan.ipam.hash());
    const restored = plan.restored();
    assert.equal(restored.hash(), plan.ipam.hash());
    assert.deepEqual(restored.history({ after: 0, limit: 9 }), plan.ipam.history({ after: 0, limit: 9 }));
  });

  it('is applied where there is no network yet', () => {
    const ipam = new Ipam();
    const change: MasterChange = { kind: 'add', master: m4 };
    const { result } = ipam.apply({ kind: 'record-membership', change, wallTime: 1, by }, { index: 3, time: 0 });
    assert.deepEqual(result, { kind: 'done', revision: 3, changed: true });
    const restored = Ipam.restore(ipam.records());
    assert.equal(restored.hash(), ipam.hash());
    assert.equal(restored.history({ after: 0, limit: 9 }).length, 1);
  });

  it('is refused whole with a name or an address that is none, or longer than there are any', () => {
    const plan = new PlanUnderTest();
    const long: MasterName = { name: 'm'.repeat(64), peer: 'm5:7071' };
    const far: MasterName = { name: 'm5', peer: `${'h'.repeat(257)}:7071` };
    const cases: readonly (readonly [MasterChange, string, RegExp])[] = [
      [{ kind: 'add', master: { name: '', peer: 'm5:7071' } }, 'name', /add: the name of a master has 0 characters/],
      [{ kind: 'remove', master: long }, 'name', /remove: the name of a master has 64 characters: 1 to 63 are allowed/],
      [{ kind: 'promote', master: { name: 'm5', peer: '' } }, 'peer', /promote: the peer of a master has 0 characters/],
      [{ kind: 'replace', master: m3, by: far }, 'peer', /the peer of a master has 262 characters: 1 to 261 are allow/],
    ];
    for (const [change, field, message] of cases) {
      const refused = plan.refused({ kind: 'record-membership', change });
      assert.equal(refused.code, 'invalid-argument');
      assert.equal(refused.field, field);
      assert.match(refused.message, message);
    }
    assert.match(
      plan.refused({ kind: 'record-membership', change: { kind: 'add', master: m4 } }, { by: 'x'.repeat(254) }).message,
      /has 254 characters/,
    );
  });

  it('is not what is asked for with the id of an agent, which may be the name of a master', () => {
    const plan = new PlanUnderTest();
    plan.register('m3');
    record(plan, { kind: 'remove', master: m3 });
    const agentId = parseAgentId('m3');
    const whats = plan.ipam.history({ after: 0, limit: 9, agentId }).map(({ what }) => what);
    assert.deepEqual(whats, ['register']);
    // Nor by the principal: an operator's name has another form, but is not checked against it.
    record(plan, { kind: 'remove', master: m4 }, 'm3');
    assert.equal(plan.ipam.history({ after: 0, limit: 9, agentId }).length, 1);
  });
});
