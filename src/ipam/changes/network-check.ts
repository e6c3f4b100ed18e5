/**
 * Which networks are sound (docs/concepts.md): names, prefixes, and that no address space overlaps another. Checks
 * whole networks, so that a change is judged by what it would lead to.
 */

import { formatCidr4, overlaps4, parseCidr4 } from '#address/cidr4.js';
import { formatCidr6, overlaps6, parseCidr6 } from '#address/cidr6.js';
import { type Cidr, formatCidr, isCidr4 } from '#address/ip.js';
import { overlayNameProblem } from '#address/overlay-name.js';
import { type Refusal, refuse } from '#ipam/commands/result.js';
import {
  deviceNameLengthMax,
  durationMaxMs,
  mtuMax,
  mtuMin,
  mtuMin6,
  overlaysMax,
  prefix6Max,
  prefixMax,
  quarantineUnderReclaimMinMs,
  reclaimMinMs,
  vniMax,
  vtepPrefixMax,
  vtepPrefixMin,
} from '#ipam/limits.js';
import type { NetworkSettings, Overlay } from '#ipam/network.js';
import { formatDuration } from '#text/duration.js';

/** The first thing wrong with this network, or undefined. Fields are named as in the configuration file. */
export function checkNetwork(settings: NetworkSettings, overlays: readonly Overlay[]): Refusal | undefined {
  return checkVtep(settings) ?? checkLease(settings) ?? checkOverlays(settings, overlays);
}

function invalid(field: string, message: string): Refusal {
  return refuse('invalid-argument', field, `${field}: ${message}`);
}

/** `all` and `default` are no devices in /proc/sys/net, but settings of all of them. */
const vtepNamesReserved: readonly string[] = ['all', 'default', 'lo'];

function checkVtep(settings: NetworkSettings): Refusal | undefined {
  const { vtepSubnet, vtepSubnet6, vtepMtu, vni, vtepName, vxlanPort } = settings;
  const { prefix } = vtepSubnet;
  if (prefix < vtepPrefixMin || prefix > vtepPrefixMax) {
    // Beyond /8 two VTEPs could have the same MAC, whose low 24 bits are the address's.
    const allowed = `prefixes from ${vtepPrefixMin} to ${vtepPrefixMax} are allowed`;
    return invalid('network.vtep_subnet', `${formatCidr4(vtepSubnet)} has a prefix of ${prefix}: ${allowed}`);
  }
  if (vtepSubnet6 !== undefined && 128 - vtepSubnet6.prefix < 32 - prefix) {
    const room = `room for every offset of ${formatCidr4(vtepSubnet)}, so a prefix of at most ${96 + prefix}`;
    return invalid('network.vtep_subnet6', `${formatCidr6(vtepSubnet6)} is too small: it needs ${room}`);
  }
  const mtuFloor = vtepSubnet6 === undefined ? mtuMin : mtuMin6;
  if (vtepMtu !== 0 && !within(vtepMtu, mtuFloor, mtuMax)) {
    return invalid('network.vtep_mtu', `${vtepMtu}: 0 (from the underlay) or ${mtuFloor} to ${mtuMax} is allowed`);
  }
  if (!within(vni, 1, vniMax)) return invalid('network.vni', `${vni}: 1 to ${vniMax} is allowed`);
  if (!within(vxlanPort, 1, 65535)) return invalid('network.vxlan_port', `${vxlanPort}: 1 to 65535 is allowed`);
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(vtepName) || vtepName.length > deviceNameLengthMax) {
    const allowed = `1 to ${deviceNameLengthMax} characters of [A-Za-z0-9._-] are allowed`;
    return invalid('network.vtep_name', `"${vtepName}" is not a device name: ${allowed}`);
  }
  if (vtepNamesReserved.includes(vtepName)) {
    return invalid('network.vtep_name', `"${vtepName}" is reserved by Linux: not ${vtepNamesReserved.join(', ')}`);
  }
  if (/^[md]-/.test(vtepName)) {
    return invalid(
      'network.vtep_name',
      `"${vtepName}" begins as the bridges of overlays do: m- and d- are not allowed`,
    );
  }
  return (
    checkSpace('network.vtep_subnet', vtepSubnet) ?? (vtepSubnet6 && checkSpace('network.vtep_subnet6', vtepSubnet6))
  );
}

/**
 * The shortest quarantine beside a TTL, both in ms. An agent counts its TTL on a clock of its own; what it may lag behind
 * is covered by the quarantine (rule 5).
 */
export function quarantineMsLeast(reclaimMs: number): number {
  return Math.max(quarantineUnderReclaimMinMs, Math.ceil(reclaimMs / 4));
}

function checkLease({ quarantineMs, reclaimMs }: NetworkSettings): Refusal | undefined {
  if (!within(quarantineMs, 0, durationMaxMs)) {
    return invalid(
      'lease.quarantine',
      `${formatDuration(quarantineMs)}: 0s to ${formatDuration(durationMaxMs)} is allowed`,
    );
  }
  if (reclaimMs === undefined) return undefined;
  if (!within(reclaimMs, reclaimMinMs, durationMaxMs)) {
    return invalid(
      'lease.reclaim',
      `${formatDuration(reclaimMs)}: "never" or ${formatDuration(reclaimMinMs)} to ${formatDuration(durationMaxMs)} is allowed`,
    );
  }
  const least = quarantineMsLeast(reclaimMs);
  if (quarantineMs < least) {
    const why = `with lease.reclaim ${formatDuration(reclaimMs)} at least ${formatDuration(least)} is needed (15 minutes or a quarter of it)`;
    return invalid('lease.quarantine', `${formatDuration(quarantineMs)} is too short: ${why}`);
  }
  return undefined;
}

function checkOverlays(settings: NetworkSettings, overlays: readonly Overlay[]): Refusal | undefined {
  if (overlays.length > overlaysMax) {
    return invalid('network.overlays', `${overlays.length} overlays: at most ${overlaysMax} are allowed`);
  }
  const seen: Placed[] = [{ owner: 'network.vtep_subnet', subnet: settings.vtepSubnet }];
  if (settings.vtepSubnet6) seen.push({ owner: 'network.vtep_subnet6', subnet: settings.vtepSubnet6 });
  const names = new Set<string>();
  for (const [position, overlay] of overlays.entries()) {
    const field = `network.overlays[${position}]`;
    const wrong =
      checkName(field, overlay.name, names) ?? checkParts(field, overlay) ?? checkTunnel6(field, overlay, settings);
    if (wrong !== undefined) return wrong;
    names.add(overlay.name);
    for (const [key, part] of [['subnet', overlay.v4] as const, ['subnet6', overlay.v6] as const]) {
      if (part === undefined) continue;
      const clash = seen.find((other) => overlap(other.subnet, part.subnet));
      if (clash !== undefined) {
        const own = `${formatCidr(part.subnet)} of overlay "${overlay.name}"`;
        return invalid(`${field}.${key}`, `${own} overlaps ${formatCidr(clash.subnet)} of ${clash.owner}`);
      }
      seen.push({ owner: `overlay "${overlay.name}"`, subnet: part.subnet });
    }
  }
  return undefined;
}

type Placed = { readonly owner: string; readonly subnet: Cidr };

function checkName(field: string, name: string, names: ReadonlySet<string>): Refusal | undefined {
  const problem = overlayNameProblem(name);
  if (problem !== undefined) return invalid(`${field}.name`, problem);
  return names.has(name) ? invalid(`${field}.name`, `"${name}" is the name of another overlay`) : undefined;
}

/** The tunnel carries a family by the addresses that its endpoints have of it. */
function checkTunnel6(
  field: string,
  { name, v6, enabled }: Overlay,
  { vtepSubnet6 }: NetworkSettings,
): Refusal | undefined {
  if (v6 === undefined || !enabled || vtepSubnet6 !== undefined) return undefined;
  const why = `overlay "${name}" has a subnet6 and the network has no vtep_subnet6, so no packet of it would pass`;
  return invalid(
    `${field}.subnet6`,
    `${why}: set network.vtep_subnet6 first ("sublet network grow --vtep-subnet6 CIDR")`,
  );
}

function checkParts(field: string, { name, v4, v6 }: Overlay): Refusal | undefined {
  if (v4 === undefined && v6 === undefined) {
    return invalid(`${field}.subnet`, `overlay "${name}" has neither subnet nor subnet6: it needs one of them`);
  }
  if (v4 !== undefined) {
    const wrong =
      checkPrefix(`${field}.prefix`, v4.subnet, v4.prefix, prefixMax) ?? checkSpace(`${field}.subnet`, v4.subnet);
    if (wrong !== undefined) return wrong;
  }
  if (v6 === undefined) return undefined;
  return checkPrefix(`${field}.prefix6`, v6.subnet, v6.prefix, prefix6Max) ?? checkSpace(`${field}.subnet6`, v6.subnet);
}

function checkPrefix(field: string, subnet: Cidr, prefix: number, most: number): Refusal | undefined {
  if (within(prefix, subnet.prefix + 1, most)) return undefined;
  const allowed =
    subnet.prefix < most
      ? `${subnet.prefix + 1} to ${most} is allowed`
      : `the subnet leaves no room for pieces up to ${most}`;
  return invalid(field, `${prefix} can't cut ${formatCidr(subnet)} into pieces: ${allowed}`);
}

/** Where no container or VTEP can live. */
const barred: readonly (readonly [Cidr, string])[] = [
  [parseCidr4('0.0.0.0/8'), '"this network"'],
  [parseCidr4('127.0.0.0/8'), 'loopback'],
  [parseCidr4('224.0.0.0/4'), 'multicast'],
  [parseCidr6('::/8'), 'reserved, loopback and mapped addresses'],
  [parseCidr6('fe80::/10'), 'link-local'],
  [parseCidr6('ff00::/8'), 'multicast'],
];

function checkSpace(field: string, subnet: Cidr): Refusal | undefined {
  for (const [range, use] of barred) {
    if (overlap(range, subnet)) {
      return invalid(field, `${formatCidr(subnet)} overlaps ${formatCidr(range)} (${use}), which can't be allocated`);
    }
  }
  return undefined;
}

function overlap(a: Cidr, b: Cidr): boolean {
  if (isCidr4(a)) return isCidr4(b) && overlaps4(a, b);
  return !isCidr4(b) && overlaps6(a, b);
}

function within(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}
