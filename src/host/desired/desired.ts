/**
 * How the host should look: plain data made from the input and from what the input can't know, such as which interface
 * carries the node's address. Pure; says nothing of how to get there. Texts are in the form in which the tools print
 * them, so that comparing is comparing strings.
 */
import { createHash } from 'node:crypto';
import type { Family } from '#address/ip.js';
import { cniFile, cniPlaces, type DesiredCni } from '#host/desired/desired-cni.js';
import { type DesiredDockerNetwork, dockerNetworks } from '#host/desired/desired-docker.js';
import { type DesiredFirewall, firewall } from '#host/desired/desired-firewall.js';
import { type DesiredGuard, guard, noGuard } from '#host/desired/desired-guard.js';
import { type DesiredRunFiles, noRunFiles, runFiles } from '#host/desired/desired-run-files.js';
import { type Marks, marksOf } from '#host/desired/marks.js';
import type { Underlay } from '#host/desired/underlay.js';
import type { BridgeLease, HostInput, HostSettings, NetworkOverlay, OverlayLease, Peer } from '#host/input.js';
import type { HostFacts } from '#host/observe/host-facts.js';
import { hostScope, overlayScope, type Problem } from '#host/problem.js';
import { firstAddress, hostRoute, isIpv6Text, prefixOf } from '#host/tools/text.js';

export type DesiredHost = {
  readonly marks: Marks;
  readonly device: DeviceWish;
  /** VTEP address → MAC. */
  readonly neighbours: ReadonlyMap<string, string>;
  /** MAC → node address. */
  readonly fdb: ReadonlyMap<string, string>;
  /** Subnet → VTEP address, in the main table. */
  readonly routes: ReadonlyMap<string, string>;
  /** Node address → VTEP address, in the source table. */
  readonly sourceRoutes: ReadonlyMap<string, string>;
  /** Overlay subnets whose traffic looks at the source table first. */
  readonly rules: ReadonlySet<string>;
  readonly sysctls: DesiredSysctls;
  readonly bridges: readonly DesiredBridge[];
  readonly firewall: DesiredFirewall;
  readonly guard: DesiredGuard;
  readonly cni: DesiredCni;
  readonly docker: readonly DesiredDockerNetwork[];
  /** Whether the host does without them where there is no Docker. */
  readonly dockerOptional: boolean;
  readonly runFiles: DesiredRunFiles;
  /** The overlays whose status is reported, in the lease's order. */
  readonly overlays: readonly DesiredOverlay[];
  /** The tunnel can have no IPv6: the kernel has dropped what there was of it, and nothing of it is touched. */
  readonly isIpv6Off: boolean;
  /** Whose addresses are whose, for saying which overlay a failed route hurts. */
  readonly ranges: readonly NetworkOverlay[];
  readonly problems: readonly Problem[];
};

export type DesiredOverlay = {
  readonly name: string;
  /** Of the subnets that this host holds; those whose IPv6 can't work here have it all the same. */
  readonly families: readonly Family[];
  /** What this host holds of it. */
  readonly subnets: readonly string[];
};

export type DeviceWish =
  | { readonly kind: 'present'; readonly device: DesiredDevice }
  /** No device of ours should be there: leaving the host. */
  | { readonly kind: 'absent' }
  /** Its desired form is unknown; it and the peers' entries stay as they are. */
  | { readonly kind: 'untouched' };

export type DesiredDevice = {
  readonly name: string;
  readonly vni: number;
  readonly port: number;
  readonly local: string;
  readonly mac: string;
  readonly mtu: number;
  /** With prefix; one per family. */
  readonly addresses: readonly string[];
  /** False when the lease ran out. */
  readonly up: boolean;
};

export type DesiredSysctls = {
  readonly forward4: boolean;
  readonly forward6: boolean;
  /** Devices whose reverse path filter is loose, whenever they exist: the VTEP, and bridges of an overlay each. */
  readonly looseDevices: readonly { readonly name: string; readonly overlay?: string }[];
};

export type DesiredBridge = {
  readonly name: string;
  readonly overlay: string;
  /** Gateway addresses with prefix. */
  readonly gateways: readonly string[];
  /** The kernel takes no IPv6 address on it. */
  readonly isIpv6Off: boolean;
  /** Bytes; of a bridge that a CNI plugin makes, what its next containers get. */
  readonly mtu: number;
  /** Absent: a CNI plugin makes it with the first container; we mark it, and keep it up with its gateways. */
  readonly made?: { readonly mac: string };
};

/** The plan for `input` on a host of which `facts` hold. Without an underlay nothing is tunnelled, and that is a problem. */
export function desired(given: HostInput, facts: HostFacts): DesiredHost {
  const { underlay } = facts;
  const tunnelMtu = underlay === undefined ? facts.tunnelMtu : tunnelMtuOf(given, underlay);
  const off = facts.ipv6Off ?? (tunnelMtu === undefined ? undefined : mtuTooSmall(given, tunnelMtu));
  const isIpv6Off = given.settings.enableIpv6 && off !== undefined;
  const input = isIpv6Off ? withoutIpv6(given) : given;
  const marks = marksOf(input.clusterId, input.formerClusterIds);
  const device = underlay === undefined ? undefined : desiredDevice(input, underlay);
  const mtu = Math.min(input.settings.overlayMtu, tunnelMtu ?? input.settings.overlayMtu);
  const asked = given.lease.overlays.map((overlay) => heldOverlay(overlay, given.settings.enableIpv6));
  const held = input.lease.overlays.map((overlay) => heldOverlay(overlay, input.settings.enableIpv6));
  const bridgesOff = facts.bridgesIpv6Off ?? {};
  // An overlay of IPv6 alone keeps its bridges: its containers still reach each other, and are not taken off.
  const attached = asked.map((overlay, at) =>
    overlay.subnet === undefined ? overlay : attachedOverlay(held[at] ?? overlay, bridgesOff),
  );
  const mesos = attached.flatMap(({ name, mesosBridge }) =>
    mesosBridge ? [{ overlay: name, bridge: mesosBridge }] : [],
  );
  const containers = held.flatMap(bridgesOf);
  return {
    marks,
    device: device === undefined ? { kind: 'untouched' } : { kind: 'present', device },
    ...(device?.up ? peerTables(input) : noPeers),
    rules: sourceRules(input),
    sysctls: {
      forward4: containers.some(({ cidr }) => cidr !== undefined),
      forward6: containers.some(({ cidr6 }) => cidr6 !== undefined),
      looseDevices: [
        { name: input.lease.vxlan.vtepName },
        ...attached.flatMap((overlay) => bridgesOf(overlay).map(({ name }) => ({ name, overlay: overlay.name }))),
      ],
    },
    bridges: mesos.map(({ overlay, bridge }) =>
      desiredBridge(overlay, bridge, { mtu, settings: input.settings, off: bridgesOff }),
    ),
    firewall: firewall(input, held, containers),
    guard: guard(input, attached.flatMap(bridgesOf)),
    cni: {
      ...cniPlaces(input.settings),
      files: new Map(mesos.map(({ overlay, bridge }) => cniFile({ ...input, overlay, bridge, mtu }))),
    },
    docker: dockerNetworks(attached, {
      marks,
      mtu,
      vtepName: input.lease.vxlan.vtepName,
      bridges: attached.flatMap(bridgesOf).map(({ name }) => name),
    }),
    dockerOptional: input.settings.dockerOptional === true,
    runFiles: runFiles(
      input,
      attached.filter(({ subnet, subnet6 }) => subnet !== undefined || subnet6 !== undefined),
      { mtu, vtepMtu: device === undefined ? undefined : tunnelMtu },
    ),
    overlays: asked.map(({ name, subnet, subnet6 }) => ({
      name,
      families: ([4, 6] as const).filter((family) => (family === 4 ? subnet : subnet6) !== undefined),
      subnets: [subnet, subnet6].flatMap((text) => text ?? []),
    })),
    isIpv6Off,
    ranges: input.overlays,
    problems: [
      ...underlayProblems(input, underlay),
      ...leaseProblems(input),
      ...(isIpv6Off ? [{ scope: hostScope, part: 'device6', error: off } as const] : []),
      ...(given.settings.enableIpv6 ? tunnelProblems6(given) : []),
      ...(input.settings.enableIpv6 ? bridgeProblems6(input, bridgesOff) : []),
    ],
  };
}

/** What a host looks like that has nothing of ours; for leaving. */
export function nothing(
  clusterIds: readonly string[],
  settings: Pick<HostSettings, 'cniDir' | 'cniDirsBeside' | 'runFiles'>,
): DesiredHost {
  return {
    marks: marksOf(clusterIds[0] ?? '', clusterIds),
    device: { kind: 'absent' },
    ...noPeers,
    rules: noRules,
    sysctls: { forward4: false, forward6: false, looseDevices: [] },
    bridges: [],
    firewall: { sets: [], masquerade: [], forward: { 4: [], 6: [] } },
    guard: noGuard,
    cni: {
      dirs: [...new Set([settings.cniDir, ...(settings.cniDirsBeside ?? [])])],
      files: new Map(),
      isPlaced: false,
    },
    docker: [],
    dockerOptional: true,
    runFiles: noRunFiles(settings.runFiles ?? {}),
    overlays: [],
    isIpv6Off: false,
    ranges: [],
    problems: [],
  };
}

/** Bytes that VXLAN adds: outer IP, UDP, VXLAN and inner Ethernet headers (RFC 7348 §4.3, §5). */
export function encapsulationBytes(nodeIp: string): number {
  return isIpv6Text(nodeIp) ? 70 : 50;
}

function tunnelMtuOf({ lease }: HostInput, underlay: Underlay): number {
  return lease.vxlan.vtepMtu ?? underlay.mtu - encapsulationBytes(lease.nodeIp);
}

function desiredDevice(input: HostInput, underlay: Underlay): DesiredDevice {
  const { vxlan, nodeIp } = input.lease;
  const ip6 = input.settings.enableIpv6 ? vxlan.vtepIp6 : undefined;
  return {
    name: vxlan.vtepName,
    vni: vxlan.vni,
    port: vxlan.port,
    local: nodeIp,
    mac: vxlan.vtepMac,
    mtu: tunnelMtuOf(input, underlay),
    addresses: ip6 === undefined ? [vxlan.vtepIp] : [vxlan.vtepIp, ip6],
    up: input.leaseValid,
  };
}

const noPeers = {
  neighbours: new Map<string, string>(),
  fdb: new Map<string, string>(),
  routes: new Map<string, string>(),
  sourceRoutes: new Map<string, string>(),
};
const noRules: ReadonlySet<string> = new Set();

/** The per-peer entries. Peers of the other underlay family can't be reached and get none. */
function peerTables(input: HostInput) {
  const { enableIpv6 } = input.settings;
  const tables = {
    neighbours: new Map<string, string>(),
    fdb: new Map<string, string>(),
    routes: new Map<string, string>(),
    sourceRoutes: new Map<string, string>(),
  };
  const family6 = isIpv6Text(input.lease.nodeIp);
  const own6 = enableIpv6 && input.lease.vxlan.vtepIp6 !== undefined;
  for (const peer of input.peers) {
    if (isIpv6Text(peer.nodeIp) === family6) addPeer(tables, peer, own6 ? peer.vtepIp6 : undefined);
  }
  return tables;
}

function addPeer(
  tables: Record<'neighbours' | 'fdb' | 'routes' | 'sourceRoutes', Map<string, string>>,
  peer: Peer,
  vtepIp6: string | undefined,
): void {
  tables.neighbours.set(peer.vtepIp, peer.vtepMac);
  if (vtepIp6 !== undefined) tables.neighbours.set(vtepIp6, peer.vtepMac);
  tables.fdb.set(peer.vtepMac, peer.nodeIp);
  for (const { subnet, subnet6 } of peer.overlays) {
    if (subnet !== undefined) tables.routes.set(hostRoute(subnet), peer.vtepIp);
    if (subnet6 !== undefined && vtepIp6 !== undefined) tables.routes.set(hostRoute(subnet6), vtepIp6);
  }
  const via = isIpv6Text(peer.nodeIp) ? vtepIp6 : peer.vtepIp;
  if (via !== undefined) tables.sourceRoutes.set(peer.nodeIp, via);
}

/** The source table holds node addresses, so only overlays of the underlay's family look there. */
function sourceRules(input: HostInput): ReadonlySet<string> {
  const family6 = isIpv6Text(input.lease.nodeIp);
  if (family6 && !input.settings.enableIpv6) return noRules;
  return new Set(input.overlays.flatMap(({ subnet, subnet6 }) => (family6 ? subnet6 : subnet) ?? []));
}

function withoutIpv6(input: HostInput): HostInput {
  return { ...input, settings: { ...input.settings, enableIpv6: false } };
}

type BridgesOff = NonNullable<HostFacts['bridgesIpv6Off']>;

/** Where its bridge can have no IPv6, containers get IPv4 alone: a plugin that can not add the gateway attaches none. */
function attachedOverlay(overlay: OverlayLease, off: BridgesOff): OverlayLease {
  const { mesosBridge } = overlay;
  if (mesosBridge?.cidr === undefined || off[mesosBridge.name] === undefined) return overlay;
  return { ...overlay, mesosBridge: { name: mesosBridge.name, cidr: mesosBridge.cidr } };
}

function desiredBridge(
  overlay: string,
  bridge: BridgeLease,
  { mtu, settings, off }: { mtu: number; settings: HostSettings; off: BridgesOff },
): DesiredBridge {
  const gateways = gatewaysOf(bridge);
  const made = settings.bridges === 'now' ? { made: { mac: bridgeMac(bridge.name, gateways) } } : {};
  return { name: bridge.name, overlay, gateways, isIpv6Off: off[bridge.name] !== undefined, mtu, ...made };
}

/**
 * A bridge without an address of its own takes the lowest of its ports', and containers that know the old one lose
 * their gateway for a while. The same on each start; the two low bits of the first byte say "local" and "unicast".
 */
function bridgeMac(name: string, gateways: readonly string[]): string {
  const sum = createHash('sha256')
    .update(`${name} ${gateways.join(' ')}`)
    .digest('hex');
  return ['02', ...(sum.slice(0, 10).match(/../g) ?? [])].join(':');
}

function bridgesOf({ mesosBridge, dockerBridge }: OverlayLease): BridgeLease[] {
  return [mesosBridge, dockerBridge].filter((bridge) => bridge !== undefined);
}

/** The overlay as this host will build it: without IPv6 where that is off, without bridges where nothing is held. */
function heldOverlay(overlay: OverlayLease, enableIpv6: boolean): OverlayLease {
  if (enableIpv6) return overlay;
  const { name, subnet, mesosBridge, dockerBridge } = overlay;
  const without6 = (bridge: BridgeLease | undefined): BridgeLease | undefined =>
    bridge?.cidr === undefined ? undefined : { name: bridge.name, cidr: bridge.cidr };
  const [mesos, docker] = [without6(mesosBridge), without6(dockerBridge)];
  return {
    name,
    ...(subnet === undefined ? {} : { subnet }),
    ...(mesos === undefined ? {} : { mesosBridge: mesos }),
    ...(docker === undefined ? {} : { dockerBridge: docker }),
  };
}

function gatewaysOf({ cidr, cidr6 }: BridgeLease): string[] {
  return [cidr, cidr6].flatMap((range) => (range === undefined ? [] : `${firstAddress(range)}/${prefixOf(range)}`));
}

function underlayProblems({ lease }: HostInput, underlay: Underlay | undefined): Problem[] {
  if (underlay !== undefined) return [];
  const error = `node_ip ${lease.nodeIp} is on no interface of this host: give the address of the underlay with --node-ip, or bring its interface up`;
  return [{ scope: { kind: 'host' }, part: 'device', error }];
}

function leaseProblems({ leaseValid, lease }: HostInput): Problem[] {
  if (leaseValid) return [];
  const error = `the lease ran out while no master answered: ${lease.vxlan.vtepName} is down until one renews it`;
  return [{ scope: { kind: 'host' }, part: 'device', error }];
}

/** Overlays of IPv6 where the tunnel's own end or a peer's has no IPv6 address: nothing could be routed. */
function tunnelProblems6({ lease, peers }: HostInput): Problem[] {
  const remedy = 'give the network a vtep_subnet6 ("sublet network grow --vtep-subnet6 CIDR")';
  if (lease.vxlan.vtepIp6 === undefined) {
    return [{ scope: hostScope, part: 'device6', error: `${lease.vxlan.vtepName} has no IPv6 address: ${remedy}` }];
  }
  const without = peers.filter(
    ({ vtepIp6, overlays }) => vtepIp6 === undefined && overlays.some((o) => o.subnet6 !== undefined),
  );
  const [first] = without;
  if (first === undefined) return [];
  const error = `${without.length} peer${without.length === 1 ? ' has' : 's have'} no IPv6 tunnel address (${first.agentId}${without.length > 1 ? ', …' : ''}), so its subnets of IPv6 are not reached`;
  return [{ scope: hostScope, part: 'peers6', error, note: true }];
}

/** Overlays of IPv6 whose own bridge can have none, though the tunnel has. */
function bridgeProblems6({ lease }: HostInput, off: BridgesOff): Problem[] {
  return lease.overlays.flatMap(({ name, mesosBridge }) => {
    const error = mesosBridge === undefined ? undefined : off[mesosBridge.name];
    return error === undefined ? [] : [{ scope: overlayScope(name), part: 'bridge6', error } as const];
  });
}

/** RFC 8200 §5: a link that carries IPv6 carries packets of 1280 bytes. */
export const ipv6MtuBytesMin = 1280;

function mtuTooSmall({ lease }: HostInput, mtu: number): string | undefined {
  if (mtu >= ipv6MtuBytesMin) return undefined;
  const { vtepName, vtepMtu } = lease.vxlan;
  const remedy =
    vtepMtu === undefined
      ? `raise the underlay's MTU to ${ipv6MtuBytesMin + encapsulationBytes(lease.nodeIp)} or more`
      : "raise the network's vtep_mtu";
  return `an MTU of ${mtu} on ${vtepName} is below IPv6's minimum of ${ipv6MtuBytesMin}: ${remedy}`;
}
