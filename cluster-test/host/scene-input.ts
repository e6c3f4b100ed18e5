/** Inputs for hosts driven without masters: agent number `n` of a network like the worked example. */
import { join } from 'node:path';
import { testFolder } from '#cluster-test/host/test-folder.js';
import { defaultHostSettings, type HostInput, type HostSettings, type OverlayLease, type Peer } from '#host/input.js';

export const clusterId = 'test-cluster';

/** Agent `n` from 1 to 200: 10.0.0.n, 44.128.0.n, 9.0.(n-1).0/24, fd01:b:0:0:(n-1)::/80. */
export function peerOf(n: number): Peer {
  return {
    agentId: `agent-${n}`,
    nodeIp: `10.0.0.${n}`,
    vtepIp: `44.128.0.${n}`,
    vtepIp6: `fd01:a::${n.toString(16)}`,
    vtepMac: `70:b3:d5:80:00:${n.toString(16).padStart(2, '0')}`,
    overlays: [
      { name: 'dcos', subnet: `9.0.${n - 1}.0/24` },
      { name: 'dcos6', subnet6: subnet6(n) },
    ],
  };
}

function subnet6(n: number): string {
  return n === 1 ? 'fd01:b::/80' : `fd01:b:0:0:${(n - 1).toString(16)}::/80`;
}

/** The halves of agent `n`'s subnets. */
export function leaseOf(n: number): OverlayLease[] {
  const low6 = n === 1 ? 'fd01:b::/81' : `fd01:b:0:0:${(n - 1).toString(16)}::/81`;
  const high6 = `fd01:b::${(n - 1).toString(16)}:8000:0:0/81`.replace('::0:', '::');
  return [
    {
      name: 'dcos',
      subnet: `9.0.${n - 1}.0/24`,
      mesosBridge: { name: 'm-dcos', cidr: `9.0.${n - 1}.0/25` },
      dockerBridge: { name: 'd-dcos', cidr: `9.0.${n - 1}.128/25` },
    },
    {
      name: 'dcos6',
      subnet6: subnet6(n),
      mesosBridge: { name: 'm-dcos6', cidr6: low6 },
      dockerBridge: { name: 'd-dcos6', cidr6: high6 },
    },
  ];
}

/** Settings with a CNI folder of the test's own, removed at the end. */
export function settingsFor(role: string, others: Partial<HostSettings> = {}): HostSettings {
  const { folder } = testFolder(role);
  return { ...defaultHostSettings, cniDir: join(folder, 'net.d'), cniDataDir: join(folder, 'networks'), ...others };
}

/** Agent `n` among the peers with numbers `others`. Without `overlays` it holds nothing. */
export function inputFor(
  n: number,
  others: readonly number[],
  settings: HostSettings,
  overlays: readonly OverlayLease[] = leaseOf(n),
): HostInput {
  const { nodeIp, vtepIp, vtepIp6, vtepMac } = peerOf(n);
  return {
    clusterId,
    formerClusterIds: [],
    lease: {
      nodeIp,
      vxlan: {
        vni: 1024,
        port: 64000,
        vtepName: 'vtep1024',
        vtepMac,
        vtepIp: `${vtepIp}/20`,
        vtepIp6: `${vtepIp6}/64`,
      },
      overlays,
    },
    leaseValid: true,
    overlays: [
      { name: 'dcos', subnet: '9.0.0.0/8', enabled: true },
      { name: 'dcos6', subnet6: 'fd01:b::/64', enabled: true },
    ],
    peers: others.map(peerOf),
    settings,
  };
}

/** The lease without what is made by Docker, for tests that need no Docker. */
export function withoutDocker(overlays: readonly OverlayLease[]): OverlayLease[] {
  return overlays.map(({ dockerBridge: _, ...rest }) => rest);
}
