import { type Underlay, underlayOf } from '#host/desired/underlay.js';
import type { HostInput } from '#host/input.js';
import type { ObservedHost } from '#host/observe/observed.js';
import { disableIpv6Path, forwardPath } from '#host/tools/sysctl-path.js';

export type HostFacts = {
  /** The interface that has the node's address; absent: none has it. */
  readonly underlay?: Underlay;
  /** Why the tunnel can have no IPv6 on this host, and what to do; absent: it can. */
  readonly ipv6Off?: string;
  /** By name, bridges of the lease that can have no IPv6: why, and what to do; absent: all can. */
  readonly bridgesIpv6Off?: Readonly<Record<string, string>>;
  /** Bytes; set only while no interface has the node's address: containers keep the MTU that they have. */
  readonly tunnelMtu?: number;
};

export function factsOf(
  observed: Pick<ObservedHost, 'links' | 'sysctls' | 'surroundings'>,
  { lease }: Pick<HostInput, 'lease'>,
): HostFacts {
  const { vtepName } = lease.vxlan;
  const underlay = underlayOf(observed, lease.nodeIp);
  const off = ipv6Off(observed.sysctls, vtepName);
  const bridges = Object.fromEntries(
    lease.overlays.flatMap(({ mesosBridge }) => {
      const why = mesosBridge?.cidr6 === undefined ? undefined : ipv6Off(observed.sysctls, mesosBridge.name);
      return mesosBridge === undefined || why === undefined ? [] : [[mesosBridge.name, why]];
    }),
  );
  const tunnelMtu = observed.links.get(vtepName)?.mtu;
  return {
    ...(underlay === undefined ? {} : { underlay }),
    ...(off === undefined ? {} : { ipv6Off: off }),
    ...(Object.keys(bridges).length === 0 ? {} : { bridgesIpv6Off: bridges }),
    ...(underlay !== undefined || tunnelMtu === undefined ? {} : { tunnelMtu }),
  };
}

export function sameFacts(a: HostFacts, b: HostFacts): boolean {
  const same = (key: 'underlay' | 'bridgesIpv6Off') => JSON.stringify(a[key]) === JSON.stringify(b[key]);
  return same('underlay') && same('bridgesIpv6Off') && a.ipv6Off === b.ipv6Off && a.tunnelMtu === b.tunnelMtu;
}

/** Why `device` can have no IPv6; a device that is not there yet gets what the default says. */
export function ipv6Off(sysctls: ReadonlyMap<string, string>, device: string): string | undefined {
  if (sysctls.get(forwardPath[6]) === undefined) return `IPv6 is off in this kernel: ${kernelIpv6Remedy}`;
  const own = sysctls.get(disableIpv6Path(device));
  if ((own ?? sysctls.get(disableIpv6Path('default'))) !== '1') return undefined;
  const name = own === undefined ? 'default' : device;
  return `IPv6 is off on ${device} (net.ipv6.conf.${name}.disable_ipv6 is 1): ${sysctlIpv6Remedy}`;
}

export const kernelIpv6Remedy = 'boot without ipv6.disable=1, or set network_config.enable_ipv6 to false';
export const sysctlIpv6Remedy =
  'run "sysctl -w net.ipv6.conf.all.disable_ipv6=0" and look for disable_ipv6 in /etc/sysctl.d, or set network_config.enable_ipv6 to false';
