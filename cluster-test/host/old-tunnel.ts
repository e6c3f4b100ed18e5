/**
 * The tunnel of another system between hosts, as it leaves it in the kernel: a VXLAN device, and for each peer a neighbour, an
 * FDB entry and a route. flannel's vxlan backend and DC/OS's overlay agent make no more than that.
 */
import type { Netns } from '#cluster-test/host/netns.js';

export type OldTunnelHost = {
  readonly netns: Netns;
  readonly nodeIp: string;
  /** `10.5.31.0/24` */
  readonly subnet: string;
  /** Without prefix. */
  readonly vtepIp: string;
  readonly mac: string;
};

export type OldTunnelDevice = {
  readonly name: string;
  readonly vni: number;
  readonly port: number;
  /** Of the VTEP addresses: 32, or that of a VTEP subnet. */
  readonly prefix: number;
  /** Whether node addresses are routed by table 42 for what comes from the overlay, as DC/OS does. */
  readonly nodesBy42?: true;
};

export function buildOldTunnel(device: OldTunnelDevice, hosts: readonly OldTunnelHost[]): void {
  const { name, vni, port, prefix } = device;
  for (const own of hosts) {
    const { netns, nodeIp, vtepIp, mac } = own;
    netns.sh('sysctl -qw net.ipv4.ip_forward=1');
    netns.sh(
      `ip link add ${name} address ${mac} type vxlan id ${vni} dstport ${port} local ${nodeIp} nolearning && ` +
        `ip address add ${vtepIp}/${prefix} dev ${name} && ip link set ${name} mtu 1450 up`,
    );
    for (const peer of hosts.filter((other) => other !== own)) {
      netns.sh(
        [
          `ip neigh replace ${peer.vtepIp} lladdr ${peer.mac} dev ${name} nud permanent`,
          `bridge fdb append ${peer.mac} dev ${name} dst ${peer.nodeIp} self permanent`,
          `ip route add ${peer.subnet} via ${peer.vtepIp} dev ${name} onlink`,
          ...(device.nodesBy42
            ? [`ip route add ${peer.nodeIp}/32 via ${peer.vtepIp} dev ${name} onlink table 42`]
            : []),
        ].join(' && '),
      );
    }
  }
}
