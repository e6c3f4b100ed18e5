import assert from 'node:assert/strict';
import { parseCidr4 } from '#address/cidr4.js';
import { parseCidr } from '#address/ip.js';
import type { Action } from '#ipam/commands/command.js';
import { parseAgentId } from '#ipam/identity.js';
import { parseStatusError } from '#ipam/registration-fields.js';
import { dcos, overlay, PlanUnderTest } from '#ipam/testing/plan-under-test.js';

const minute = 60_000;

describe('rule 11, history: the last 10,000 changes are kept', () => {
  it('has revision, time, action, principal and subnet', () => {
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
  });

  /** What a command that must be applied leaves in the history, newest last: action, principal, subjects, detail. */
  const told = (plan: PlanUnderTest, action: Action, by = ''): readonly (readonly unknown[])[] => {
    const after = plan.ipam.revision;
    plan.run(action, { by });
    return plan.ipam
      .history({ after, limit: 10 })
      .map(({ what, who, subjects, detail }) => [what, who, subjects.join(' '), detail]);
  };

  it('shows how an agent came to what it holds, with the blocks that it was granted', () => {
    const plan = new PlanUnderTest();
    assert.deepEqual(told(plan, plan.request('a')), [['register', 'a', '44.128.0.1 9.0.0.0/24', 'arrived']]);
    const moved = plan.request('a', { sequence: 2, node: '10.0.0.9' });
    assert.deepEqual(told(plan, moved), [['register', 'a', '', 'node_ip 10.0.0.1 → 10.0.0.9']]);
    plan.run({ kind: 'add-overlay', overlay: overlay('blue', '10.128.0.0/16', 24), source: 'operator' });
    const more = plan.request('a', { sequence: 3, node: '10.0.0.9' });
    assert.deepEqual(told(plan, more), [['register', 'a', '10.128.0.0/24', 'subnets changed']]);
    const silent = { node: '10.0.0.9', holders: [plan.judge('a', true)] };
    const anew = plan.request('a', { ...silent, instance: 'second' });
    assert.deepEqual(told(plan, anew), [['register', 'a', '', 'host reinstalled']]);
    const taken = plan.request('a', { instance: 'third', node: '10.0.0.9', takeover: true });
    assert.deepEqual(told(plan, taken), [['register', 'a', '44.128.0.2 10.128.1.0/24 9.0.1.0/24', 'taken over']]);
    const { epoch } = plan.agent('a');
    const gone = 'a 44.128.0.2 10.128.1.0/24 9.0.1.0/24';
    const leave = { kind: 'leave', agentId: parseAgentId('a'), epoch } as const;
    assert.deepEqual(told(plan, leave), [['leave', 'a', gone, 'is quarantined for 15m']]);
    const back = plan.request('a', { instance: 'third', node: '10.0.0.9', sequence: 2 });
    assert.deepEqual(told(plan, back), [['register', 'a', '44.128.0.2 10.128.1.0/24 9.0.1.0/24', 'returned']]);
  });

  it('shows which agent lost its node_ip to which, and that it has it back', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    const taken = plan.request('b', { node: '10.0.0.1', holders: [plan.judge('a', true)] });
    assert.deepEqual(told(plan, taken), [
      ['lose-node-ip', 'a', '10.0.0.1', 'taken over by agent b'],
      ['register', 'b', '44.128.0.2 9.0.1.0/24', 'arrived'],
    ]);
    plan.release('b');
    const regained = plan.request('a', { sequence: 2 });
    assert.deepEqual(told(plan, regained), [['register', 'a', '', 'node_ip 10.0.0.1 regained']]);
  });

  it('is read backwards, page by page, and no revision is split', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    plan.register('b', { node: '10.0.0.2' });
    // Two entries of one revision.
    plan.register('c', { node: '10.0.0.1', holders: [plan.judge('a', true)] });
    const page = (limit: number, before?: number): readonly string[] =>
      plan.ipam.history({ after: 0, before, limit }).map(({ revision, what }) => `${revision} ${what}`);
    assert.deepEqual(page(1), ['4 lose-node-ip', '4 register']);
    assert.deepEqual(page(2, 4), ['2 register', '3 register']);
    assert.deepEqual(page(2, 2), ['1 configure-network']);
    assert.deepEqual(page(2, 1), []);
    assert.deepEqual(
      plan.ipam.history({ after: 2, before: 4, limit: 10 }).map(({ who }) => who),
      ['b'],
    );
  });

  it('is asked for some kinds of changes', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    plan.register('b', { node: '10.0.0.2' });
    plan.release('a');
    const only = (...what: string[]): readonly string[] =>
      plan.ipam.history({ after: 0, limit: 2, what: new Set(what) }).map((entry) => entry.what);
    assert.deepEqual(only('configure-network', 'release'), ['configure-network', 'release']);
    assert.deepEqual(only('register'), ['register', 'register']);
    assert.deepEqual(only('expire'), []);
  });

  it('shows releases with their principals, and leases that ran out', () => {
    const plan = new PlanUnderTest({ reclaimMs: 60 * minute, quarantineMs: 15 * minute });
    plan.register('a');
    plan.register('b1');
    const release = { kind: 'release', agentIds: [parseAgentId('a')], force: true, holders: [] } as const;
    assert.deepEqual(told(plan, release, 'ann'), [
      ['release', 'ann', 'a 44.128.0.1 9.0.0.0/24', 'is quarantined for 15m'],
    ]);
    const expire = { kind: 'expire', agentId: parseAgentId('b1'), epoch: plan.agent('b1').epoch } as const;
    assert.deepEqual(told(plan, expire), [['expire', 'b1', 'b1 44.128.0.2 9.0.1.0/24', 'is quarantined for 15m']]);
  });

  it('shows what operators changed, with their names', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    const blue = overlay('blue', '10.128.0.0/16', 24);
    const subnet = parseCidr('9.0.4.0/24');
    const vip = parseAgentId('vip');
    const cases: readonly (readonly [Action, readonly string[]])[] = [
      [
        { kind: 'add-overlay', overlay: blue, source: 'operator' },
        ['add-overlay', 'blue', '10.128.0.0/16 prefix 24, enabled'],
      ],
      [
        { kind: 'update-overlay', name: 'blue', enabled: false },
        ['update-overlay', 'blue', '10.128.0.0/16 prefix 24, enabled → 10.128.0.0/16 prefix 24, disabled'],
      ],
      [{ kind: 'remove-overlay', name: 'blue' }, ['remove-overlay', 'blue', '10.128.0.0/16 prefix 24, disabled']],
      [
        { kind: 'update-network', vtepSubnet: parseCidr4('44.128.0.0/16'), vtepMtu: 1400 },
        [
          'update-network',
          'network.vtep_subnet network.vtep_mtu',
          'network.vtep_subnet 44.128.0.0/20 → 44.128.0.0/16, network.vtep_mtu 0 → 1400',
        ],
      ],
      [{ kind: 'reserve', overlay: 'dcos', subnet, agentId: vip }, ['reserve', '9.0.4.0/24 vip', 'dcos']],
      [{ kind: 'unreserve', overlay: 'dcos', subnet }, ['unreserve', '9.0.4.0/24 vip', 'dcos']],
      [
        { kind: 'exclude', overlay: 'dcos', subnet: parseCidr('9.0.0.0/23') },
        ['exclude', '9.0.0.0/23', 'dcos; 1 of its blocks stay held until they are freed'],
      ],
      [{ kind: 'unexclude', overlay: 'dcos', subnet: parseCidr('9.0.0.0/23') }, ['unexclude', '9.0.0.0/23', 'dcos']],
      [
        { kind: 'exclude', overlay: undefined, subnet: parseCidr('44.128.1.0/24') },
        ['exclude', '44.128.1.0/24', 'VTEP'],
      ],
      [{ kind: 'record-backup', master: 'm1' }, ['save-snapshot', '', 'through m1']],
      [{ kind: 'begin-adoption' }, ['begin-adoption', '', '']],
      [{ kind: 'end-adoption', missing: 1 }, ['end-adoption', '', 'although 1 on record had not come back']],
    ];
    for (const [action, [what, ...rest]] of cases) {
      assert.deepEqual(told(plan, action, 'ann'), [[what, 'ann', ...rest]]);
    }
  });

  it('leaves out changes without an effect', () => {
    const plan = new PlanUnderTest();
    const { agentId, epoch } = plan.register('a');
    assert.deepEqual(told(plan, plan.request('a')), []);
    assert.deepEqual(told(plan, plan.request('a', { sequence: 2 })), []);
    const overlays = [{ overlay: 'dcos', status: 'ok', error: parseStatusError('') }] as const;
    assert.deepEqual(told(plan, { kind: 'report-status', agentId, epoch, overlays }), []);
    assert.deepEqual(told(plan, { kind: 'add-overlay', overlay: dcos, source: 'config' }), []);
  });

  it('finds what concerns one agent, whether it did it or had it done', () => {
    const plan = new PlanUnderTest();
    plan.register('a');
    plan.register('b1');
    plan.run({ kind: 'release', agentIds: [parseAgentId('a')], force: true, holders: [] }, { by: 'ann' });
    const of = (agentId: string) =>
      plan.ipam.history({ after: 0, limit: 9, agentId: parseAgentId(agentId) }).map(({ what }) => what);
    assert.deepEqual(of('a'), ['register', 'release']);
    assert.deepEqual(of('b1'), ['register']);
    assert.deepEqual(of('c'), []);
    const newest = plan.ipam.history({ after: 0, limit: 1, agentId: parseAgentId('a') });
    assert.deepEqual(
      newest.map(({ what }) => what),
      ['release'],
    );
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

  it('keeps what operators did however much agents do, in the same records on a restored replica', () => {
    const plan = new PlanUnderTest();
    const expected = plan.ipam.history({ after: 0, limit: 10 }).map(({ what }) => what);
    plan.run({ kind: 'update-overlay', name: 'dcos', enabled: false }, { by: 'ann' });
    plan.run({ kind: 'update-overlay', name: 'dcos', enabled: true }, { by: 'ann' });
    const { agentId } = plan.register('a');
    for (let n = 0; n < 10_050; n++) {
      plan.register('a', { sequence: 2 + n, node: `10.0.${n % 2}.1` });
    }
    const agents = plan.ipam.history({ after: 0, limit: 30_000, agentId });
    assert.equal(agents.length, 10_000);
    const by = (who: string) => plan.ipam.history({ after: 0, limit: 30_000, who }).map(({ what }) => what);
    assert.deepEqual(by('ann'), ['update-overlay', 'update-overlay']);
    assert.deepEqual(by(''), expected);
    const restored = plan.restored();
    assert.equal(restored.hash(), plan.ipam.hash());
    assert.deepEqual(restored.history({ after: 0, limit: 30_000 }), plan.ipam.history({ after: 0, limit: 30_000 }));
    plan.run({ kind: 'update-overlay', name: 'dcos', enabled: false }, { by: 'ann' });
    assert.equal(plan.restored().hash(), plan.ipam.hash());
  });

  it('finds what was done within a time, and by which principal', () => {
    const plan = new PlanUnderTest();
    const at = (wallTime: number, by: string, enabled: boolean) =>
      plan.run({ kind: 'update-overlay', name: 'dcos', enabled }, { by, wallTime });
    at(1_000, 'ann@10.0.0.1', false);
    // The clock of the next leader is behind.
    at(500, 'bob', true);
    at(2_000, 'ann@10.0.0.2', false);
    at(3_000, 'anna', true);
    const found = (query: { since?: number; until?: number; who?: string }) =>
      plan.ipam.history({ after: 1, limit: 10, ...query }).map(({ wallTime }) => wallTime);
    assert.deepEqual(found({ since: 1_000, until: 3_000 }), [1_000, 2_000]);
    assert.deepEqual(found({ since: 400, until: 600 }), [500]);
    assert.deepEqual(found({ who: 'ann' }), [1_000, 2_000]);
    assert.deepEqual(found({ who: 'ann@10.0.0.2' }), [2_000]);
    assert.deepEqual(found({ who: 'an' }), []);
  });
});
