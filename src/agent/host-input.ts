/** The input of the host, made of the lease, the network and the peers. */
import type { Lease, LeasedBridge, LeaseNetwork } from '#agent/lease/lease.js';
import type {
  BridgeLease,
  HostInput,
  HostLease,
  HostSettings,
  NetworkOverlay,
  OverlayLease,
  Peer,
} from '#host/input.js';

export type HostInputParts = {
  readonly lease: Lease;
  readonly leaseValid: boolean;
  /** The newest that is known. */
  readonly network: LeaseNetwork;
  readonly peers: readonly Peer[];
  readonly settings: HostSettings;
  readonly formerClusterIds: readonly string[];
};

export function hostInput({
  lease,
  leaseValid,
  network,
  peers,
  settings,
  formerClusterIds,
}: HostInputParts): HostInput {
  return {
    clusterId: lease.clusterId,
    formerClusterIds,
    lease: hostLease(lease),
    leaseValid,
    overlays: network.overlays.map(
      ({ name, subnet, subnet6, enabled }): NetworkOverlay => ({ name, ...text({ subnet, subnet6 }), enabled }),
    ),
    peers,
    settings,
  };
}

function hostLease({ agentId, nodeIp, vxlan, overlays }: Lease): HostLease {
  const { vni, vxlanPort: port, vtepName, vtepIp, vtepIp6, vtepMac, vtepMtu } = vxlan;
  return {
    agentId,
    nodeIp,
    vxlan: { vni, port, vtepName, vtepIp, vtepMac, ...text({ vtepIp6 }), ...(vtepMtu === 0 ? {} : { vtepMtu }) },
    overlays: overlays.map(
      ({ name, subnet, subnet6, mesosBridge, dockerBridge }): OverlayLease => ({
        name,
        ...text({ subnet, subnet6 }),
        ...(mesosBridge ? { mesosBridge: bridge(mesosBridge) } : {}),
        ...(dockerBridge ? { dockerBridge: bridge(dockerBridge) } : {}),
      }),
    ),
  };
}

function bridge({ name, ip, ip6 }: LeasedBridge): BridgeLease {
  return { name, ...text({ cidr: ip, cidr6: ip6 }) };
}

/** Leaves out what is empty: that is how the API says "none", and absence is how the host's input does. */
function text<Key extends string>(fields: Readonly<Record<Key, string>>): { readonly [K in Key]?: string } {
  const given: { [K in Key]?: string } = {};
  for (const key in fields) if (fields[key] !== '') given[key] = fields[key];
  return given;
}
