import assert from 'node:assert/strict';
import { formatCidr, parseCidr, parseIp } from '#address/ip.js';
import { encodeCommand } from '#ipam/codec/command-codec.js';
import { RecordError } from '#ipam/codec/wire.js';
import type { Register } from '#ipam/commands/command.js';
import { parseAgentId, parseInstanceId } from '#ipam/identity.js';
import { Ipam } from '#ipam/ipam.js';
import { parseStatusError } from '#ipam/registration-fields.js';
import { everything, overlay, PlanUnderTest } from '#ipam/testing/plan-under-test.js';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

describe('the plan as a reader sees it', () => {
  it('lists agents page by page in order of id', () => {
    const plan = new PlanUnderTest();
    for (const n of [3, 1, 2, 0]) plan.register(`a${n}`);
    const pages = [undefined, 'a1', 'a3'].map((after) =>
      plan.ipam.agentsAfter(after === undefined ? undefined : parseAgentId(after), 2),
    );
    assert.deepEqual(
      pages.map((page) => page.map((agent) => agent.agentId)),
      [['a0', 'a1'], ['a2', 'a3'], []],
    );
    assert.deepEqual(
      [...plan.ipam.leases()].map((lease) => lease.agentId),
      ['a0', 'a1', 'a2', 'a3'],
    );
  });

  it('previews a change as it would be answered, also where the plan has changed since it was read', () => {
    const plan = new PlanUnderTest();
    plan.register('a0');
    const { revision } = plan.ipam;
    const preview = (enabled: boolean, expectedRevision: number) => {
      const command = { kind: 'update-overlay', name: 'dcos', enabled, wallTime: 0, by: '', expectedRevision } as const;
      const found = plan.ipam.preview(command, plan.time);
      return found.kind === 'refused' ? found.code : found.changes;
    };
    assert.deepEqual([preview(false, revision), preview(true, revision)], [true, false]);
    assert.equal(preview(false, revision - 1), 'aborted');
  });

  it('names the holder of an address', () => {
    const plan = new PlanUnderTest({}, [overlay('dcos', '9.0.0.0/8', 24), overlay('six', 'fd01:b::/64', 80)]);
    plan.register('a0');
    plan.register('a1');
    plan.release('a1');
    plan.register('a9', { networkConfig: { ...everything, dockerBridge: false } });
    plan.run({ kind: 'reserve', overlay: 'dcos', subnet: parseCidr('9.0.7.0/24'), agentId: parseAgentId('vip') });
    const found = (ip: string) => {
      const answer = plan.ipam.lookup(parseIp(ip), plan.time);
      const { ip: _, ...rest } = { ...answer, ...('subnet' in answer && { subnet: formatCidr(answer.subnet) }) };
      return rest;
    };
    const dcos = { kind: 'overlay', overlay: 'dcos' };
    const vtep = { kind: 'vtep', subnet: '44.128.0.0/20' };
    assert.deepEqual(found('9.0.0.127'), {
      ...dcos,
      subnet: '9.0.0.0/24',
      state: 'held',
      agentId: 'a0',
      bridge: 'm-dcos',
    });
    assert.deepEqual(found('9.0.0.128'), {
      ...dcos,
      subnet: '9.0.0.0/24',
      state: 'held',
      agentId: 'a0',
      bridge: 'd-dcos',
    });
    assert.deepEqual(found('9.0.1.1'), {
      ...dcos,
      subnet: '9.0.1.0/24',
      state: 'quarantined',
      agentId: undefined,
      bridge: undefined,
    });
    assert.deepEqual(found('9.0.7.1'), {
      ...dcos,
      subnet: '9.0.7.0/24',
      state: 'reserved',
      agentId: 'vip',
      bridge: undefined,
    });
    const halves = ['9.0.2.1', '9.0.2.200'].map((ip) => found(ip));
    assert.deepEqual(
      halves.map((half) => 'bridge' in half && half.bridge),
      ['m-dcos', undefined],
      'an agent without a Docker bridge',
    );
    assert.deepEqual(found('9.255.0.1'), {
      ...dcos,
      subnet: '9.255.0.0/24',
      state: 'free',
      agentId: undefined,
      bridge: undefined,
    });
    assert.deepEqual(found('fd01:b::8000:0:1'), {
      kind: 'overlay',
      overlay: 'six',
      subnet: 'fd01:b::/80',
      state: 'held',
      agentId: 'a0',
      bridge: 'd-six',
    });
    assert.deepEqual(found('44.128.0.1'), { ...vtep, state: 'held', agentId: 'a0' });
    assert.deepEqual(found('44.128.0.0'), { ...vtep, state: 'excluded', agentId: undefined });
    assert.deepEqual(found('44.128.15.255'), { ...vtep, state: 'excluded', agentId: undefined });
    assert.deepEqual(found('fd01:a::1'), { ...vtep, subnet: 'fd01:a::/64', state: 'held', agentId: 'a0' });
    assert.deepEqual(found('fd01:a::1:0:0:1'), {
      ...vtep,
      subnet: 'fd01:a::/64',
      state: 'excluded',
      agentId: undefined,
    });
    assert.deepEqual(found('10.0.0.1'), { kind: 'node', agentId: 'a0' });
    assert.deepEqual(found('192.0.2.1'), { kind: 'unknown' });
    assert.deepEqual(found('2001:db8::1'), { kind: 'unknown' });
  });

  it('names the agents that a registration depends on', () => {
    const plan = new PlanUnderTest();
    plan.register('a0');
    plan.register('a1');
    const names = (request: Register) => plan.ipam.holdersConcerned(request).map((lease) => lease.agentId);
    assert.deepEqual(names(plan.request('a0')), []);
    assert.deepEqual(names(plan.request('a0', { instance: 'other' })), ['a0']);
    assert.deepEqual(names(plan.request('a0', { instance: 'other', node: '10.0.0.2' })), ['a0', 'a1']);
    assert.deepEqual(names(plan.request('new', { node: '10.0.0.2' })), ['a1']);
  });
});

describe('a command', () => {
  it('with another expected_revision than the plan has is aborted', () => {
    const plan = new PlanUnderTest();
    const disable = { kind: 'update-overlay', name: 'dcos', enabled: false } as const;
    const refusal = plan.refused(disable, { expectedRevision: 7 });
    assert.deepEqual([refusal.code, refusal.field], ['aborted', 'expected_revision']);
    assert.match(refusal.message, /expected_revision 7: the plan is at revision 1/);
    plan.run(disable, { expectedRevision: 1 });
  });

  it('with a status that says nothing new changes nothing; one that does concerns no peer', () => {
    const plan = new PlanUnderTest();
    const { epoch } = plan.register('a0');
    const report = (status: 'ok' | 'failed', error = '', name = 'dcos') =>
      ({
        kind: 'report-status',
        agentId: parseAgentId('a0'),
        epoch,
        overlays: [{ overlay: name, status, error: parseStatusError(error) }],
      }) as const;
    const { events } = plan.run(report('failed', 'no Docker'));
    assert.deepEqual(
      events.map((event) => event.kind === 'agent-changed' && event.statusOnly),
      [true],
    );
    assert.deepEqual(
      plan.agent('a0').overlays.map(({ status, error }) => [status, error]),
      [['failed', 'no Docker']],
    );
    plan.run(report('ok', 'left over'));
    assert.deepEqual(
      plan.agent('a0').overlays.map(({ status, error }) => [status, error]),
      [['ok', '']],
    );
    const { result } = plan.run(report('ok'));
    assert.deepEqual(result, { kind: 'done', revision: 4, changed: false });
    assert.equal(plan.refused(report('ok', '', 'nope')).code, 'not-found');
  });

  it('that names an id with other characters than allowed is never made', () => {
    for (const id of ['', 'a b', 'ä', 'a/b', 'x'.repeat(254)]) assert.throws(() => parseAgentId(id), /agent_id/);
    assert.throws(() => parseInstanceId('x'.repeat(65)), /instance_id .* has 65 characters: 1 to 64/);
  });

  it('is applied once and in order, on a clock that does not go back', () => {
    const plan = new PlanUnderTest();
    const command = { kind: 'begin-adoption', wallTime: 0, by: '' } as const;
    assert.throws(() => plan.ipam.apply(command, { index: 1, time: 0 }), /index 1 does not follow revision 1/);
    plan.ipam.apply(command, { index: 2, time: 10 });
    assert.throws(() => plan.ipam.apply(command, { index: 3, time: 9 }), /cluster time went back/);
  });
});

describe('records', () => {
  const stored = () => {
    const plan = new PlanUnderTest();
    plan.register('a0');
    plan.release('a0');
    plan.register('a1');
    return plan.ipam.records();
  };

  it('that are damaged, missing or out of order are no plan', () => {
    const records = stored();
    const [first, ...rest] = records;
    assert.ok(first);
    assert.throws(() => Ipam.restore([...rest, first]), RecordError);
    assert.throws(() => Ipam.restore([[first[0], new Uint8Array([0xff])]]), RecordError);
    assert.throws(() => Ipam.restore([[new Uint8Array([2]), first[1]]]), /under the key of another/);
    const command = encodeCommand({ kind: 'begin-adoption', wallTime: 0, by: '' });
    assert.throws(() => Ipam.restore([[new Uint8Array([1]), command]]), RecordError);
    const later = new PlanUnderTest();
    later.register('a0');
    const both = [...later.ipam.records(), ...records.filter(([key]) => key[0] === 7)].sort(
      ([a], [b]) => (a[0] ?? 0) - (b[0] ?? 0),
    );
    assert.throws(() => Ipam.restore(both), /a block that agent "a0" holds is recorded as freed, too/);
    // Without its overlay, what an agent holds of it makes no sense.
    assert.throws(() => Ipam.restore(records.filter(([key]) => key[0] !== 3)), /not there/);
  });

  it('change in the same order on a restored replica, whatever the order in which blocks were freed', () => {
    const plan = new PlanUnderTest();
    for (const id of ['a0', 'a1', 'a2']) plan.register(id);
    for (const id of ['a2', 'a0', 'a1']) plan.release(id);
    plan.time += 3_600_000;
    const restored = plan.restored();
    const removal = { kind: 'remove-overlay', name: 'dcos' } as const;
    const { changes } = plan.run(removal);
    const at = { index: plan.index, time: plan.time };
    assert.deepEqual(
      restored.apply({ ...removal, wallTime: 1_700_000_000_000 + plan.time, by: '' }, at).changes,
      changes,
    );
  });

  it('can be taken in one by one', () => {
    const restoration = Ipam.restoration();
    for (const [key, value] of stored()) restoration.add(key, value);
    const plan = restoration.finish();
    assert.equal(plan.agentCount, 1);
    assert.deepEqual(
      plan.records().map(([key]) => hex(key)),
      stored().map(([key]) => hex(key)),
    );
  });
});
