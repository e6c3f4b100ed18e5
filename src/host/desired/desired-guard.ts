/**
 * What keeps the underlay out of the overlays: VXLAN is taken from the peers' node addresses alone, and what arrives by
 * a device of no overlay is not routed into one. Plain data; the rules are of the table `raw`, before destination NAT,
 * so that published ports of containers, which come with the host's own address, are not concerned.
 */
import { formatCidr4, networkOf4, parseInterface4 } from '#address/cidr4.js';
import { formatCidr6, networkOf6, parseInterface6 } from '#address/cidr6.js';
import type { Family } from '#address/ip.js';
import { type DesiredSet, isMasqueraded6 } from '#host/desired/desired-firewall.js';
import { guardedSet, peersSet } from '#host/desired/marks.js';
import type { BridgeLease, HostInput } from '#host/input.js';
import { hostRoute, isIpv6Text } from '#host/tools/text.js';

export type DesiredGuard = {
  readonly sets: readonly DesiredSet[];
  /** The rules of our chain, as iptables-save prints them; none: no chain. */
  readonly rules: Readonly<Record<Family, readonly string[]>>;
};

export const noGuard: DesiredGuard = { sets: [], rules: { 4: [], 6: [] } };

/** `containers`: the bridges of this host. */
export function guard(input: HostInput, containers: readonly BridgeLease[]): DesiredGuard {
  const { settings, lease } = input;
  if (settings.guard === false) return noGuard;
  const underlay: Family = isIpv6Text(lease.nodeIp) ? 6 : 4;
  const ranges = { 4: guarded4(input), 6: settings.enableIpv6 ? guarded6(input) : [] };
  const inside = [lease.vxlan.vtepName, ...containers.map(({ name }) => name)];
  const devices = ['lo', ...inside, ...(settings.guardExcept ?? [])];
  const rulesOf = (family: Family): string[] => [
    ...(family === underlay ? tunnelRules(family, lease.vxlan.port, inside) : []),
    ...(ranges[family].length === 0 ? [] : routingRules(family, devices)),
  ];
  return {
    sets: [
      setOf(peersSet[underlay], underlay, 'hash:ip', peerAddresses(input, underlay)),
      ...([4, 6] as const)
        .filter((family) => ranges[family].length > 0)
        .map((family) => setOf(guardedSet[family], family, 'hash:net', ranges[family])),
    ],
    rules: { 4: rulesOf(4), 6: rulesOf(6) },
  };
}

function setOf(name: string, family: Family, type: DesiredSet['type'], entries: Iterable<string>): DesiredSet {
  return { name, family, type, part: 'guard', entries: new Map(Array.from(entries, (entry) => [entry, false])) };
}

/** Those with a VTEP that can't be reached yet too: a lease that ran out here must not cut a peer off later. */
function* peerAddresses({ peers }: HostInput, family: Family): Iterable<string> {
  for (const { nodeIp } of peers) if (isIpv6Text(nodeIp) === (family === 6)) yield nodeIp;
}

function guarded4({ overlays, lease }: HostInput): string[] {
  const vteps = formatCidr4(networkOf4(parseInterface4(lease.vxlan.vtepIp)));
  return [vteps, ...overlays.flatMap(({ subnet }) => subnet ?? [])].map(hostRoute);
}

/** Overlays of global addresses are left out: they are not masqueraded, so their answers are routed in from outside. */
function guarded6({ overlays, lease }: HostInput): string[] {
  const { vtepIp6 } = lease.vxlan;
  const vteps = vtepIp6 === undefined ? [] : [formatCidr6(networkOf6(parseInterface6(vtepIp6)))];
  const local = overlays.flatMap(({ subnet6 }) => (subnet6 !== undefined && isMasqueraded6(subnet6) ? subnet6 : []));
  return [...vteps, ...local].map(hostRoute);
}

/**
 * The kernel decapsulates frames to these addresses, too, and peers send to none of them. Several types in one rule hold
 * for IPv4 when one does, for IPv6 when all do.
 */
const groupTypes: Readonly<Record<Family, readonly string[]>> = {
  4: ['BROADCAST,MULTICAST'],
  6: ['MULTICAST', 'ANYCAST'],
};

/**
 * A container may forge the address of a peer, so no frame of the tunnel comes out of an overlay. What a container sends
 * to a peer would be masqueraded, and the peer would take it for a frame of this host; from other devices this host may
 * forward frames between peers. What is forwarded to the same port of any other host is that host's.
 */
function tunnelRules(family: Family, port: number, inside: readonly string[]): string[] {
  const udp = `-p udp -m udp --dport ${port}`;
  const to = (type: string): string => `${udp} -m addrtype --dst-type ${type}`;
  const frame = to('LOCAL');
  const toPeer = `${udp} -m set --match-set ${peersSet[family]} dst`;
  return [
    ...groupTypes[family].map((type) => `${to(type)} -j DROP`),
    ...inside.flatMap((device) => [frame, toPeer].map((match) => `-i ${device} ${match} -j DROP`)),
    ...[frame, toPeer].map((match) => `${match} -m set ! --match-set ${peersSet[family]} src -j DROP`),
  ];
}

/** Most packets leave at the first of these, so that many bridges cost them little. */
function routingRules(family: Family, devices: readonly string[]): string[] {
  return [
    `-m set ! --match-set ${guardedSet[family]} dst -j RETURN`,
    ...devices.map((device) => `-i ${device} -j RETURN`),
    '-j DROP',
  ];
}
