import assert from 'node:assert/strict';
import { formatCidr4, parseCidr4 } from '#address/cidr4.js';
import { formatCidr6, parseCidr6 } from '#address/cidr6.js';
import { parseCidr } from '#address/ip.js';
import { parseAgentId } from '#ipam/identity.js';
import { dcos, overlay, PlanUnderTest, subnetOf } from '#ipam/testing/plan-under-test.js';

const minute = 60_000;

describe('rule 9, a config file that disagrees with the replicated state adds what is new and changes nothing', () => {
  it('lists additions and differences, each with its remedy', () => {
    const plan = new PlanUnderTest({}, [
      dcos,
      overlay('gone', '10.96.0.0/16', 24),
      overlay('extra', '10.97.0.0/16', 24),
    ]);
    plan.run({ kind: 'remove-overlay', name: 'gone' });
    const file = [{ ...dcos, enabled: false }, overlay('gone', '10.96.0.0/16', 24), overlay('new', '10.98.0.0/16', 24)];
    const found = plan.ipam.disagreements({ vtepSubnet: parseCidr4('44.128.0.0/16'), vni: 7 }, file);
    assert.deepEqual(
      found.additions.map(({ name }) => name),
      ['new'],
    );
    assert.deepEqual(
      found.differences.map(({ field, configured, replicated }) => [field, configured, replicated]),
      [
        ['network.vtep_subnet', '44.128.0.0/16', '44.128.0.0/20'],
        ['network.vni', '7', '1024'],
        ['network.overlays.dcos', '9.0.0.0/8 prefix 24, disabled', '9.0.0.0/8 prefix 24, enabled'],
        ['network.overlays.gone', '10.96.0.0/16 prefix 24, enabled', 'removed'],
        ['network.overlays.extra', 'absent', '10.97.0.0/16 prefix 24, enabled'],
      ],
    );
    assert.match(found.differences[2]?.remedy ?? '', /sublet overlay disable dcos/);
    assert.deepEqual(plan.ipam.disagreements({}, plan.ipam.network?.overlays ?? []), {
      additions: [],
      differences: [],
    });
  });

  it('does not compare overlays with a file that mentions none', () => {
    const plan = new PlanUnderTest();
    assert.deepEqual(plan.ipam.disagreements({}, undefined), { additions: [], differences: [] });
    assert.deepEqual(
      plan.ipam.disagreements({}, []).differences.map(({ field, configured }) => [field, configured]),
      [['network.overlays.dcos', 'absent']],
    );
  });

  it('does not bring back a removed name from a file, only by an operator', () => {
    const plan = new PlanUnderTest();
    plan.run({ kind: 'remove-overlay', name: 'dcos' });
    assert.deepEqual(plan.ipam.removedOverlays, ['dcos']);
    assert.deepEqual(plan.restored().removedOverlays, ['dcos']);
    const refusal = plan.refused({ kind: 'add-overlay', overlay: dcos, source: 'config' });
    assert.match(refusal.message, /removed by an operator; only an operator's "overlay add" brings it back/);
    plan.run({ kind: 'add-overlay', overlay: dcos, source: 'operator' });
    assert.deepEqual(plan.ipam.removedOverlays, []);
    plan.run({ kind: 'add-overlay', overlay: dcos, source: 'config' });
  });

  it('removes no more names than can be remembered', () => {
    const plan = new PlanUnderTest({}, []);
    const add = (name: string) => plan.run({ kind: 'add-overlay', overlay: { ...dcos, name }, source: 'operator' });
    for (let n = 0; n < 10_000; n++) {
      add(`o${n}`);
      plan.run({ kind: 'remove-overlay', name: `o${n}` });
    }
    add('more');
    const refusal = plan.refused({ kind: 'remove-overlay', name: 'more' });
    assert.equal(refusal.code, 'resource-exhausted');
    assert.match(refusal.message, /10000 names are remembered as removed, at most 10000 can be/);
  });

  it('accepts the same network again and refuses another', () => {
    const plan = new PlanUnderTest();
    const { network } = plan.ipam;
    assert.ok(network);
    const { result } = plan.run({ kind: 'configure-network', settings: network, overlays: [] });
    assert.equal(result.kind === 'network' && result.changed, false);
    const refusal = plan.refused({ kind: 'configure-network', settings: { ...network, vni: 7 }, overlays: [] });
    assert.match(refusal.message, /network\.vni is 1024, not 7/);
  });
});

describe('rule 10, an overlay in use is not removed; a disabled one keeps what is held and allocates no more', () => {
  it('refuses to remove it, with the count', () => {
    const plan = new PlanUnderTest();
    plan.register('a0');
    plan.register('a1');
    const refusal = plan.refused({ kind: 'remove-overlay', name: 'dcos' });
    assert.equal(refusal.code, 'failed-precondition');
    assert.match(refusal.message, /remove overlay "dcos": 2 of its subnets are held/);
  });

  it('refuses to remove it while something of it is quarantined, and forgets it afterwards', () => {
    const plan = new PlanUnderTest();
    plan.register('a0');
    plan.run({ kind: 'reserve', overlay: 'dcos', subnet: parseCidr('9.9.0.0/24'), agentId: parseAgentId('vip') });
    plan.run({ kind: 'exclude', overlay: 'dcos', subnet: parseCidr('9.10.0.0/16') });
    plan.release('a0');
    plan.time += minute;
    assert.match(plan.refused({ kind: 'remove-overlay', name: 'dcos' }).message, /in quarantine for another 14m/);
    plan.time += 14 * minute;
    const { events } = plan.run({ kind: 'remove-overlay', name: 'dcos' });
    assert.deepEqual(events, [{ kind: 'overlay-removed', name: 'dcos', revision: plan.index }]);
    assert.deepEqual([plan.ipam.reservations(), plan.ipam.exclusions()], [[], []]);
    plan.run({ kind: 'add-overlay', overlay: dcos, source: 'operator' });
    assert.equal(subnetOf(plan.register('a0', { sequence: 2 })), '9.0.0.0/24');
    assert.equal(plan.restored().hash(), plan.ipam.hash());
  });

  it('keeps what is held of a disabled one and allocates no more', () => {
    const plan = new PlanUnderTest();
    plan.register('a0');
    const { events } = plan.run({ kind: 'update-overlay', name: 'dcos', enabled: false });
    const disabled = { kind: 'overlay-changed', overlay: { ...dcos, enabled: false }, revision: plan.index };
    assert.deepEqual(events, [disabled]);
    const kept = plan.register('a0', { sequence: 2 });
    assert.equal(subnetOf(kept), '9.0.0.0/24');
    assert.equal(kept.overlays[0]?.info.enabled, false);
    const other = plan.register('a1');
    assert.deepEqual([other.overlays, other.problems], [[], []]);
    plan.run({ kind: 'update-overlay', name: 'dcos', enabled: true });
    assert.equal(subnetOf(plan.register('a1')), '9.0.1.0/24');
  });

  it('gives an overlay added at run time to an agent that registers again, at the same epoch', () => {
    const plan = new PlanUnderTest();
    const { epoch } = plan.register('a');
    const { events } = plan.run({
      kind: 'add-overlay',
      overlay: overlay('blue', '10.128.0.0/16', 26),
      source: 'operator',
    });
    assert.deepEqual(
      events.map(({ kind }) => kind),
      ['overlay-changed'],
    );
    const again = plan.register('a');
    assert.equal(subnetOf(again, 'blue'), '10.128.0.0/26');
    assert.equal(again.epoch, epoch);
  });

  it('grows overlays to supernets, downwards too, under agents that keep their pieces', () => {
    const plan = new PlanUnderTest({}, [overlay('both', '9.1.0.0/16', 24, 'fd01:b:1::/48', 80)]);
    plan.register('a0');
    plan.run({
      kind: 'update-overlay',
      name: 'both',
      subnet: parseCidr4('9.0.0.0/15'),
      subnet6: parseCidr6('fd01:b::/32'),
    });
    assert.equal(subnetOf(plan.agent('a0'), 'both'), '9.1.0.0/24');
    assert.equal(subnetOf(plan.register('a1'), 'both'), '9.0.0.0/24');
    const usage = plan.ipam.usage(plan.time)?.overlays[0];
    assert.deepEqual([usage?.v4?.total, usage?.v6?.total], [512n, 1n << 48n]);
    const narrower = plan.refused({ kind: 'update-overlay', name: 'both', subnet: parseCidr4('9.0.0.0/16') });
    assert.match(narrower.message, /subnet 9\.0\.0\.0\/16 is not a supernet of 9\.0\.0\.0\/15: it can only grow/);
  });

  it('grows the VTEP subnet, but does not move IPv6 VTEP addresses under agents', () => {
    const plan = new PlanUnderTest({ vtepSubnet: parseCidr4('44.128.16.0/20') });
    plan.register('a0');
    const moved = plan.refused({ kind: 'update-network', vtepSubnet: parseCidr4('44.128.0.0/19') });
    assert.match(
      moved.message,
      /vtep_subnet must still begin at 44\.128\.16\.0: else the IPv6 addresses of 1 VTEPs would change/,
    );
    const other = plan.refused({ kind: 'update-network', vtepSubnet: parseCidr4('45.128.0.0/16') });
    assert.match(other.message, /is not a supernet of 44\.128\.16\.0\/20/);
    const four = new PlanUnderTest({ vtepSubnet: parseCidr4('44.128.16.0/20'), vtepSubnet6: undefined });
    four.register('a0');
    const { events } = four.run({ kind: 'update-network', vtepSubnet: parseCidr4('44.128.0.0/16') });
    assert.deepEqual(events, [{ kind: 'network-changed', network: four.ipam.network, revision: four.index }]);
    assert.equal(formatCidr4(four.agent('a0').vxlan.vtepIp), '44.128.16.1/16');
    assert.equal(formatCidr4(four.register('a1').vxlan.vtepIp), '44.128.0.1/16');
    // Added later, IPv6 has the offsets that the IPv4 addresses have by then.
    four.run({ kind: 'update-network', vtepSubnet6: parseCidr6('fd01:a::/64') });
    const vtep6 = four.agent('a0').vxlan.vtepIp6;
    assert.equal(vtep6 && formatCidr6(vtep6), 'fd01:a::1001/64');
  });
});
