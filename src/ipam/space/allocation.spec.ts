import assert from 'node:assert/strict';
import { formatCidr4, parseCidr4 } from '#address/cidr4.js';
import { formatCidr6, parseCidr6 } from '#address/cidr6.js';
import { formatCidr, parseIp } from '#address/ip.js';
import { formatMac } from '#address/mac.js';
import { Ipam } from '#ipam/ipam.js';
import { dcos, everything, overlay, PlanUnderTest, subnetOf } from '#ipam/testing/plan-under-test.js';

describe('the worked example', () => {
  it('allocates to the first two agents as in the worked example', () => {
    const plan = new PlanUnderTest({}, [dcos, overlay('dcos6', 'fd01:b::/64', 80)]);
    const first = plan.register('a');
    const [v4, v6] = first.overlays;
    assert.equal(subnetOf(first), '9.0.0.0/24');
    assert.deepEqual(v4?.mesosBridge, { name: 'm-dcos', ip: parseCidr4('9.0.0.0/25'), ip6: undefined });
    assert.deepEqual(v4?.dockerBridge, { name: 'd-dcos', ip: parseCidr4('9.0.0.128/25'), ip6: undefined });
    assert.deepEqual(v6?.mesosBridge, { name: 'm-dcos6', ip: undefined, ip6: parseCidr6('fd01:b::/81') });
    assert.deepEqual(v6?.dockerBridge, { name: 'd-dcos6', ip: undefined, ip6: parseCidr6('fd01:b::8000:0:0/81') });
    assert.equal(formatCidr4(first.vxlan.vtepIp), '44.128.0.1/20');
    assert.equal(first.vxlan.vtepIp6 && formatCidr6(first.vxlan.vtepIp6), 'fd01:a::1/64');
    assert.equal(formatMac(first.vxlan.vtepMac), '70:b3:d5:80:00:01');
    assert.deepEqual([first.vxlan.vni, first.vxlan.vtepName, first.vxlan.vxlanPort], [1024, 'vtep1024', 64000]);
    const second = plan.register('b1');
    assert.equal(subnetOf(second), '9.0.1.0/24');
    assert.equal(formatCidr4(second.vxlan.vtepIp), '44.128.0.2/20');
    assert.equal(formatMac(second.vxlan.vtepMac), '70:b3:d5:80:00:02');
  });

  it('gives an agent that takes no subnet its VTEP only', () => {
    const plan = new PlanUnderTest();
    const agent = plan.register('a', { networkConfig: { ...everything, allocateSubnet: false } });
    assert.deepEqual(agent.overlays, []);
    assert.deepEqual(agent.problems, []);
    assert.equal(formatCidr4(agent.vxlan.vtepIp), '44.128.0.1/20');
  });

  it('leaves out what the agent does not want', () => {
    const plan = new PlanUnderTest({}, [
      overlay('both', '9.0.0.0/8', 24, 'fd01:b::/64', 80),
      overlay('six', 'fd01:c::/64', 80),
    ]);
    const config = { ...everything, mesosBridge: false, enableIpv6: false };
    const agent = plan.register('a', { networkConfig: config });
    assert.deepEqual(
      agent.overlays.map(({ info, subnet6, mesosBridge }) => [info.name, subnet6, mesosBridge]),
      [['both', undefined, undefined]],
    );
    assert.deepEqual(agent.overlays[0]?.dockerBridge?.ip, parseCidr4('9.0.0.128/25'));
    // Asked for later, IPv6 is added to what is held.
    const later = plan.register('a', { sequence: 2 });
    assert.deepEqual(
      later.overlays.map(({ info, subnet, subnet6 }) => [
        info.name,
        subnet && formatCidr(subnet),
        subnet6 && formatCidr(subnet6),
      ]),
      [
        ['both', '9.0.0.0/24', 'fd01:b::/80'],
        ['six', undefined, 'fd01:c::/80'],
      ],
    );
    assert.equal(later.epoch, agent.epoch);
  });

  it('without a split gives the one bridge the whole subnet, in both families, and says so of each address', () => {
    const plan = new PlanUnderTest({}, [dcos, overlay('dcos6', 'fd01:b::/64', 80)]);
    const config = { ...everything, split: false };
    const [v4, v6] = plan.register('a', { networkConfig: { ...config, dockerBridge: false } }).overlays;
    assert.deepEqual(v4?.mesosBridge, { name: 'm-dcos', ip: parseCidr4('9.0.0.0/24'), ip6: undefined });
    assert.deepEqual(v6?.mesosBridge, { name: 'm-dcos6', ip: undefined, ip6: parseCidr6('fd01:b::/80') });
    assert.equal(v4?.dockerBridge, undefined);
    const other = plan.register('b', { node: '10.0.0.2', networkConfig: { ...config, mesosBridge: false } })
      .overlays[0];
    assert.deepEqual([other?.mesosBridge, other?.dockerBridge?.ip], [undefined, parseCidr4('9.0.1.0/24')]);
    const bridges = ['9.0.0.200', '9.0.1.1'].map((ip) => plan.ipam.lookup(parseIp(ip), 0));
    assert.deepEqual(
      bridges.map((found) => 'bridge' in found && found.bridge),
      ['m-dcos', 'd-dcos'],
    );
  });
});

describe('rule 7, all or nothing, per overlay', () => {
  it('takes neither family of an overlay that lacks one of them, and names it', () => {
    const plan = new PlanUnderTest({}, [overlay('both', '9.0.0.0/8', 24, 'fd01:b::/79', 80), dcosTwo]);
    plan.register('a0');
    plan.register('a1');
    const late = plan.register('a2');
    assert.deepEqual(
      late.overlays.map(({ info }) => info.name),
      ['other'],
    );
    assert.deepEqual(
      late.problems.map(({ overlay: name, family, reason }) => [name, family, reason]),
      [['both', 6, 'exhausted']],
    );
    assert.match(late.problems[0]?.message ?? '', /overlay "both" \(fd01:b::\/79\) has no free \/80/);
    assert.equal(plan.ipam.usage(plan.time)?.overlays[0]?.v4?.held, 2n);
  });

  const dcosTwo = overlay('other', '10.128.0.0/16', 24);

  it('gives it when there is room again, at the same epoch, and says so in the history', () => {
    const plan = new PlanUnderTest({}, [overlay('dcos', '9.0.0.0/23', 24)]);
    plan.register('a0');
    plan.register('a1');
    const late = plan.register('a2');
    assert.deepEqual(late.overlays, []);
    assert.match(plan.ipam.history({ after: 0, limit: 1 })[0]?.detail ?? '', /not allocated: dcos IPv4 \(exhausted\)/);
    // It is in the history once, however often the agent asks again.
    const told = plan.ipam.revision;
    plan.register('a2', { sequence: 2, hostname: 'renamed' });
    assert.deepEqual(plan.ipam.history({ after: told, limit: 9 }), []);
    plan.run({ kind: 'update-overlay', name: 'dcos', subnet: parseCidr4('9.0.0.0/22') });
    const retry = plan.register('a2', { sequence: 3 });
    assert.equal(subnetOf(retry), '9.0.2.0/24');
    assert.deepEqual(retry.problems, []);
    assert.equal(retry.epoch, late.epoch);
  });

  it('keeps the family that is held when there is no room for the one that is asked for beside it', () => {
    const plan = new PlanUnderTest({}, [overlay('both', '9.0.0.0/8', 24, 'fd01:b::/79', 80)]);
    plan.register('a0', { networkConfig: { ...everything, enableIpv6: false } });
    plan.register('a1');
    plan.register('a2');
    const more = plan.register('a0', { sequence: 2 });
    assert.deepEqual([subnetOf(more, 'both'), more.overlays[0]?.subnet6], ['9.0.0.0/24', undefined]);
    assert.deepEqual(
      more.problems.map(({ family, reason }) => [family, reason]),
      [[6, 'exhausted']],
    );
  });

  it('refuses the registration when no VTEP address is free, and holds nothing of it', () => {
    const plan = new PlanUnderTest({ vtepSubnet: parseCidr4('44.128.0.0/28') });
    for (let n = 0; n < 14; n++) plan.register(`a${n}`);
    const refusal = plan.refused(plan.request('b14'));
    assert.equal(refusal.code, 'resource-exhausted');
    assert.match(refusal.message, /the VTEP subnet 44\.128\.0\.0\/28 has no free address: all 14 are taken/);
    plan.run({ kind: 'update-network', vtepSubnet: parseCidr4('44.128.0.0/20') });
    // The first one that is new: not the old network's broadcast address, which comes next in turn.
    assert.equal(formatCidr4(plan.register('b14').vxlan.vtepIp), '44.128.0.15/20');
    assert.equal(formatCidr4(plan.agent('a0').vxlan.vtepIp), '44.128.0.1/20');
  });
});

describe('rule 8, no allocation before the state is known', () => {
  it('refuses to register while no network is applied', () => {
    const plan = new PlanUnderTest();
    assert.ok(plan.ipam.network);
    plan.ipam = new Ipam();
    const refusal = plan.refused(plan.request('a'));
    assert.equal(refusal.code, 'failed-precondition');
    assert.match(refusal.message, /no network is configured yet/);
  });
});
