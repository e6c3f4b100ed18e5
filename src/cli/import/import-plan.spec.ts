import assert from 'node:assert/strict';
import { readFlannelKeys } from '#cli/import/flannel-keys.js';
import { importConflicts } from '#cli/import/import-plan.js';
import type { OldNetwork } from '#cli/import/old-network.js';
import type { LivePlan } from '#cli/plan-file/plan-changes.js';
import { reservationsMax } from '#ipam/limits.js';
import type { sublet } from '#proto/sublet.js';

type Agent = sublet.v1.Agent.$Properties;
type Reservation = sublet.v1.Reservation.$Properties;

const settings = {
  vtepSubnet: '44.128.0.0/20',
  vtepMacOui: '70:b3:d5:00:00:00',
  vtepName: 'vtep1024',
  vni: 1024,
  vxlanPort: 64_000,
  quarantineMs: 900_000,
};

function plan(
  reservations: readonly Reservation[],
  network: sublet.v1.Network.$Properties = {},
  pods: sublet.v1.Overlay.$Properties = {},
): LivePlan {
  const overlays = [{ name: 'pods', subnet: '10.5.0.0/16', prefix: 24, enabled: true, ...pods }];
  return {
    clusterId: 'sublet',
    revision: 1,
    network: { ...settings, overlays, ...network },
    reservations,
  };
}

/** One host, 10.0.0.1, with 10.5.34.0/24 of an overlay. */
function old(overlay = 'pods', subnet = '10.5.0.0/16'): OldNetwork {
  const entries = [
    { key: '/n/config', value: JSON.stringify({ Network: subnet }) },
    { key: '/n/subnets/10.5.34.0-24', value: '{"PublicIP": "10.0.0.1"}' },
  ];
  const { network } = readFlannelKeys(entries, '/n', overlay);
  assert.ok(network);
  return network;
}

function agent(agentId: string, nodeIp: string, subnet: string, reachable = true): Agent {
  return { agentId, nodeIp, reachable, overlays: [{ info: { name: 'pods' }, subnet }] };
}

function conflicts(live: LivePlan, network = old(), agents: readonly Agent[] = []): readonly string[] {
  return importConflicts(live, network, agents, new Set());
}

const place = '/n/subnets/10.5.34.0-24';

describe('what of the plan is in the way of an import', () => {
  it('is nothing where the host itself has its block, or a reservation of it', () => {
    assert.deepEqual(conflicts(plan([])), []);
    assert.deepEqual(conflicts(plan([]), old(), [agent('a', '10.0.0.1', '10.5.34.0/24')]), []);
    assert.deepEqual(conflicts(plan([{ overlay: 'pods', subnet: '10.5.34.0/24', nodeIp: '10.0.0.1' }])), []);
  });

  it('is an agent at the address of the host that holds another block; not one whose address was taken over', () => {
    assert.deepEqual(conflicts(plan([]), old(), [agent('a', '10.0.0.1', '10.5.7.0/24')]), [
      `${place}: PublicIP: agent a at 10.0.0.1 holds 10.5.7.0/24 of pods, not 10.5.34.0/24 of pods: stop it, and sublet release a`,
    ]);
    const both = [agent('a', '10.0.0.1', '10.5.34.0/24'), agent('b', '10.0.0.1', '10.5.7.0/24', false)];
    assert.deepEqual(conflicts(plan([]), old(), both), []);
  });

  it('is an agent whose address was taken over, and that holds the block', () => {
    assert.deepEqual(conflicts(plan([]), old(), [agent('b', '10.0.0.1', '10.5.34.0/24', false)]), [
      `${place}: 10.5.34.0/24 of pods is held by agent b at 10.0.0.1: stop it, and sublet release b`,
    ]);
  });

  it('is another reservation for the host', () => {
    assert.deepEqual(conflicts(plan([{ overlay: 'pods', subnet: '10.5.7.0/24', nodeIp: '10.0.0.1' }])), [
      `${place}: 10.5.7.0/24 of pods is reserved for node 10.0.0.1, which has 10.5.34.0/24 of pods: end one of the two reservations`,
    ]);
  });

  it('is a number of reservations beyond the limit', () => {
    const full = Array.from({ length: reservationsMax }, (_, at) => ({
      overlay: 'pods',
      subnet: `11.${at >> 8}.${at & 255}.0/24`,
      agentId: 'a',
    }));
    assert.deepEqual(conflicts(plan(full)), [
      `the masters have ${reservationsMax} reservations, and 1 more are needed: ${reservationsMax} at most are allowed`,
    ]);
    assert.deepEqual(conflicts(plan(full.slice(1))), []);
  });

  it('is an overlay that drains, and a new one that the masters would refuse', () => {
    assert.deepEqual(conflicts(plan([], {}, { enabled: false, draining: true })), [
      '/n/config: overlay pods is draining: sublet overlay enable pods',
    ]);
    const [problem, ...others] = conflicts(plan([], { overlays: [] }), old('Not a name'));
    assert.match(problem ?? '', /^\/n\/config: name: .*Not a name/);
    assert.deepEqual(others, []);
  });

  it('is a VTEP subnet of either family that begins elsewhere, where VTEPs have IPv6 addresses', () => {
    const dual = { ...old(), settings: { vtepSubnet: '44.128.0.0/20', vtepSubnet6: 'fd01:a:0:1::/64' } };
    assert.deepEqual(conflicts(plan([], { vtepSubnet6: 'fd01:a:0:1::/64' }), dual), []);
    assert.deepEqual(conflicts(plan([], { vtepSubnet6: 'fd01:a::/48' }), dual), [
      'network.vtep_subnet6: fd01:a:0:1::/64: the masters have fd01:a::/48, which begins elsewhere: IPv6 VTEP addresses would change',
    ]);
  });
});
