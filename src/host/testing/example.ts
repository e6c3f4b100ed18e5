import type { Underlay } from '#host/desired/underlay.js';
import { defaultHostSettings, type HostInput, type Peer } from '#host/input.js';

export const underlay: Underlay = { device: 'eth0', mtu: 1500 };

/** Agent number `n` from 2 on: the n-th of everything. Up to 65,000. */
export function examplePeer(n: number): Peer {
  const [high, low] = [n >> 8, n & 255];
  const piece = n - 1;
  const hex = (byte: number) => byte.toString(16).padStart(2, '0');
  return {
    agentId: `agent-${n}`,
    nodeIp: `10.0.${high}.${low}`,
    vtepIp: `44.128.${high}.${low}`,
    vtepIp6: `fd01:a::${n.toString(16)}`,
    vtepMac: `70:b3:d5:80:${hex(high)}:${hex(low)}`,
    overlays: [
      { name: 'dcos', subnet: `9.${piece >> 8}.${piece & 255}.0/24` },
      { name: 'dcos6', subnet6: `fd01:b:0:0:${piece.toString(16)}::/80` },
    ],
  };
}

/** Agent 1 among agent 2, which holds subnets, and agent 3, which holds none. */
export function exampleInput(
  peers: readonly Peer[] = [examplePeer(2), { ...examplePeer(3), overlays: [] }],
): HostInput {
  return {
    clusterId: 'c1',
    formerClusterIds: [],
    lease: {
      nodeIp: '10.0.0.1',
      vxlan: {
        vni: 1024,
        port: 64000,
        vtepName: 'vtep1024',
        vtepIp: '44.128.0.1/16',
        vtepIp6: 'fd01:a::1/64',
        vtepMac: '70:b3:d5:80:00:01',
      },
      overlays: [
        {
          name: 'dcos',
          subnet: '9.0.0.0/24',
          mesosBridge: { name: 'm-dcos', cidr: '9.0.0.0/25' },
          dockerBridge: { name: 'd-dcos', cidr: '9.0.0.128/25' },
        },
        {
          name: 'dcos6',
          subnet6: 'fd01:b::/80',
          mesosBridge: { name: 'm-dcos6', cidr6: 'fd01:b::/81' },
          dockerBridge: { name: 'd-dcos6', cidr6: 'fd01:b::8000:0:0/81' },
        },
      ],
    },
    leaseValid: true,
    overlays: [
      { name: 'dcos', subnet: '9.0.0.0/8', enabled: true },
      { name: 'dcos6', subnet6: 'fd01:b::/64', enabled: true },
    ],
    peers,
    settings: defaultHostSettings,
  };
}

/** Whose lease has the overlays with these names, all with the same subnet. */
export function exampleInputWith(...names: readonly string[]): HostInput {
  const input = exampleInput();
  const overlays = names.flatMap((name) => input.lease.overlays.slice(0, 1).map((overlay) => ({ ...overlay, name })));
  return { ...input, lease: { ...input.lease, overlays } };
}
