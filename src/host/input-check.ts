/**
 * Refuses an input that is not canonical before any of it reaches a command line: texts become words of batch files,
 * where a blank or a line break would be another command.
 */

import { formatCidr4, parseInterface4 } from '#address/cidr4.js';
import { formatCidr6, parseInterface6 } from '#address/cidr6.js';
import { formatCidr, formatIp, parseCidr, parseIp } from '#address/ip.js';
import { formatMac, parseMac } from '#address/mac.js';
import { overlayNameForm } from '#address/overlay-name.js';
import { errorText } from '#errors/unknown-error.js';
import { checkBounds, HostInputError } from '#host/desired/bounds.js';
import type { BridgeLease, HostInput, NetworkOverlay, OverlayLease, Peer } from '#host/input.js';
import { clusterIdForm } from '#text/name-form.js';

export { HostInputError };

/** Peers found good before; an agent hands in the same objects again for the peers that did not change. */
const goodPeers = new WeakSet<Peer>();

export type CheckedInput = {
  /** Without the peers that are not good. */
  readonly input: HostInput;
  /** What is wrong with each of those; they get no entries, and all other peers do. */
  readonly refusedPeers: readonly string[];
};

/** Throws `HostInputError` for what concerns this host itself. */
export function checkHostInput(input: HostInput): CheckedInput {
  checkOwn(input);
  const refusedPeers: string[] = [];
  const peers = input.peers.filter((peer) => {
    if (goodPeers.has(peer)) return true;
    try {
      checkPeer(peer);
    } catch (error) {
      if (!(error instanceof HostInputError)) throw error;
      refusedPeers.push(`peer ${JSON.stringify(peer.agentId)} gets no entries: ${error.message}`);
      return false;
    }
    goodPeers.add(peer);
    return true;
  });
  const good = refusedPeers.length === 0 ? input : { ...input, peers };
  checkBounds(good);
  return { input: good, refusedPeers };
}

function checkOwn(input: HostInput): void {
  for (const id of [input.clusterId, ...input.formerClusterIds]) {
    check('cluster id', id, clusterIdForm.pattern.test(id));
  }
  const { vxlan, overlays, nodeIp } = input.lease;
  canonical('node_ip', nodeIp, ipText);
  integer('vni', vxlan.vni, 1, 0xff_ffff);
  integer('vxlan_port', vxlan.port, 1, 0xffff);
  deviceName('vtep_name', vxlan.vtepName);
  canonical('vtep_ip', vxlan.vtepIp, (text) => formatCidr4(parseInterface4(text)));
  canonical('vtep_ip6', vxlan.vtepIp6, (text) => formatCidr6(parseInterface6(text)));
  canonical('vtep_mac', vxlan.vtepMac, (text) => formatMac(parseMac(text)));
  if (vxlan.vtepMtu !== undefined) integer('vtep_mtu', vxlan.vtepMtu, mtuMin, mtuMax);
  integer('overlay_mtu', input.settings.overlayMtu, mtuMin, mtuMax);
  overlays.forEach(checkOverlayLease);
  input.overlays.forEach(checkOverlay);
}

/** RFC 791: every host takes datagrams of 576 bytes. */
const mtuMin = 576;
const mtuMax = 65_535;

function checkOverlayLease({ name, subnet, subnet6, mesosBridge, dockerBridge }: OverlayLease): void {
  checkOverlay({ name, ...(subnet === undefined ? {} : { subnet }), ...(subnet6 === undefined ? {} : { subnet6 }) });
  for (const bridge of [mesosBridge, dockerBridge]) if (bridge !== undefined) checkBridge(bridge);
}

function checkBridge({ name, cidr, cidr6 }: BridgeLease): void {
  deviceName('bridge', name);
  canonical('bridge ip', cidr, cidrText);
  canonical('bridge ip6', cidr6, cidrText);
}

function checkOverlay({ name, subnet, subnet6 }: Pick<NetworkOverlay, 'name' | 'subnet' | 'subnet6'>): void {
  check('overlay', name, overlayNameForm.test(name));
  canonical('subnet', subnet, cidrText);
  canonical('subnet6', subnet6, cidrText);
}

function checkPeer(peer: Peer): void {
  canonical('node_ip', peer.nodeIp, ipText);
  canonical('vtep_ip', peer.vtepIp, ipText);
  canonical('vtep_ip6', peer.vtepIp6, ipText);
  canonical('vtep_mac', peer.vtepMac, (text) => formatMac(parseMac(text)));
  for (const { name, subnet, subnet6 } of peer.overlays) {
    check('overlay', name, overlayNameForm.test(name));
    canonical('subnet', subnet, cidrText);
    canonical('subnet6', subnet6, cidrText);
  }
}

function ipText(text: string): string {
  return formatIp(parseIp(text));
}

function cidrText(text: string): string {
  return formatCidr(parseCidr(text));
}

/** `format` reads and prints the text; what comes back otherwise, or not at all, is refused. */
function canonical(field: string, text: string | undefined, format: (text: string) => string): void {
  if (text === undefined) return;
  let printed: string;
  try {
    printed = format(text);
  } catch (error) {
    throw new HostInputError(`${field} ${JSON.stringify(text)}: ${errorText(error)}`);
  }
  check(field, text, printed === text, printed);
}

/** IFNAMSIZ less the closing zero. Neither an option of a tool, nor a word that stands for all devices or a folder. */
function deviceName(field: string, name: string): void {
  check(field, name, /^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$/.test(name) && !['all', 'default', 'lo'].includes(name));
}

function integer(field: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new HostInputError(`${field} ${value} is not an integer from ${min} to ${max}`);
  }
}

function check(field: string, text: string, isGood: boolean, instead?: string): void {
  if (!isGood) {
    throw new HostInputError(
      `${field} ${JSON.stringify(text)} is not in the form expected${instead === undefined ? '' : `: ${instead}`}`,
    );
  }
}
