/**
 * What masters may ask of this host, whatever they say: addresses of the network's overlays, devices with Sublet's names, and so many
 * peers. An agent runs as root and masters are other machines; a lease that goes beyond is refused as a whole, and the host stays
 * as it is.
 */
import { type Cidr4, networkOf4, parseInterface4 } from '#address/cidr4.js';
import { type Cidr6, networkOf6, parseInterface6 } from '#address/cidr6.js';
import { type Cidr, coversCidr, formatCidr, overlapsCidr, parseCidr } from '#address/ip.js';
import type { BridgeLease, HostInput, NetworkOverlay, OverlayLease, Peer } from '#host/input.js';
import type { ObservedHost } from '#host/observe/observed.js';
import { addressOf } from '#host/tools/text.js';

/** Names the field and the value that is not as `HostInput` says, or what the masters must not ask for. */
export class HostInputError extends Error {}

/** As many as a network may have. */
const overlaysMax = 128;
/** Peers of one host. */
export const peersMax = 65_536;

/** What no overlay and no VTEP subnet may overlap on any host. */
const neverAnywhere: readonly (readonly [network: Cidr, what: string])[] = (
  [
    ['0.0.0.0/8', 'the addresses of this host on its network'],
    ['127.0.0.0/8', 'loopback'],
    ['169.254.0.0/16', 'link-local addresses'],
    ['224.0.0.0/3', 'multicast and reserved addresses'],
    ['::/8', 'loopback and reserved addresses'],
    ['fe80::/10', 'link-local addresses'],
    ['ff00::/8', 'multicast addresses'],
  ] as const
).map(([text, what]) => [parseCidr(text), what]);

/** Peers found inside the overlays before; an agent hands in the same objects again for the peers that did not change. */
const insideOf = new WeakMap<Peer, string>();

/** Checks what needs no look at the host. The texts are canonical already. @throws HostInputError */
export function checkBounds(input: HostInput): void {
  const { lease, overlays, peers, settings } = input;
  atMost('overlays', overlays.length, overlaysMax);
  atMost('overlays of the lease', lease.overlays.length, overlaysMax);
  atMost('peers', peers.length, peersMax);
  const allowed = settings.overlaysAllowed?.map(parseCidr);
  for (const [range, owner] of ranges(input)) {
    for (const [never, what] of neverAnywhere) {
      if (overlapsCidr(range, never)) {
        throw new HostInputError(`${owner} overlaps ${formatCidr(never)}, ${what}: ${refused}`);
      }
    }
    if (allowed !== undefined && owner.startsWith('overlay') && !allowed.some((outer) => coversCidr(outer, range))) {
      throw new HostInputError(
        `${owner} is not inside overlays_allowed (${allowed.map(formatCidr).join(', ')}) of this agent: ${refused}, or allow it there`,
      );
    }
  }
  const byName = new Map(overlays.map((overlay) => [overlay.name, overlay]));
  for (const held of lease.overlays) {
    inside(`this host's part of overlay "${held.name}"`, held, byName.get(held.name));
    checkBridge(held, held.mesosBridge, `m-${held.name}`);
    checkBridge(held, held.dockerBridge, `d-${held.name}`);
    if ([`m-${held.name}`, `d-${held.name}`].includes(lease.vxlan.vtepName)) {
      throw new HostInputError(`vtep_name ${lease.vxlan.vtepName} is the name of a bridge: ${refused}`);
    }
  }
  const key = JSON.stringify(overlays);
  for (const peer of peers) {
    if (insideOf.get(peer) === key) continue;
    for (const part of peer.overlays) {
      inside(`the part of overlay "${part.name}" of peer ${JSON.stringify(peer.agentId)}`, part, byName.get(part.name));
    }
    insideOf.set(peer, key);
  }
}

const refused = 'the masters must not ask for that; this host stays as it is';

/**
 * Checks the input against the host as it is. Returns why it is refused; undefined: it may be carried out.
 * `overlays_allowed` is set by the operator of this host: overlays in it may hold addresses that the host has learned.
 */
export function hostRefusal(input: HostInput, observed: ObservedHost): string | undefined {
  const allowed = (input.settings.overlaysAllowed ?? []).map(parseCidr);
  const never = neverHere(input, observed);
  for (const [range, owner] of ranges(input)) {
    if (allowed.some((outer) => coversCidr(outer, range))) continue;
    const hit = never.find(([network]) => overlapsCidr(range, network));
    if (hit === undefined) continue;
    const [network, what] = hit;
    return `${owner} overlaps ${shown(network)}, ${what}: ${refused}. Where this is meant, name the overlay's range in overlays_allowed of this agent`;
  }
  return undefined;
}

/** What this host must go on reaching as it does: the networks it is on, its way out, its name servers and its masters. */
function neverHere(input: HostInput, { links, surroundings }: ObservedHost): readonly (readonly [Cidr, string])[] {
  const ways = new Set(surroundings.defaultDevices);
  const own = new Set([
    input.lease.vxlan.vtepName,
    ...input.lease.overlays.flatMap(({ name }) => [`m-${name}`, `d-${name}`]),
  ]);
  const connected = [...links.values()]
    .filter(({ name }) => !own.has(name))
    .filter(({ name, addresses }) => ways.has(name) || addresses.some((cidr) => addressOf(cidr) === input.lease.nodeIp))
    .flatMap(({ name, addresses }) => addresses.map((cidr) => [networkOf(cidr), `the network on ${name}`] as const));
  const single = (texts: readonly string[], what: string) =>
    texts.map((text) => [parseCidr(`${text}/${text.includes(':') ? 128 : 32}`), what] as const);
  return [
    ...connected,
    ...single(surroundings.gateways, 'the gateway of a default route'),
    ...single(surroundings.resolvers, 'a name server of this host'),
    ...single(surroundings.masters, 'a master'),
  ];
}

function shown(network: Cidr): string {
  return formatCidr(network).replace(/\/(32|128)$/, '');
}

/** The ranges that the input puts routes and rules for, each with what it is. */
function ranges({ overlays, lease: { vxlan } }: HostInput): readonly (readonly [Cidr, string])[] {
  const vtep = [vxlan.vtepIp, vxlan.vtepIp6].filter((text) => text !== undefined);
  return [
    ...overlays.flatMap(({ name, subnet, subnet6 }) =>
      [subnet, subnet6]
        .filter((text) => text !== undefined)
        .map((text) => [parseCidr(text), `overlay "${name}" (${text})`] as const),
    ),
    ...vtep.map((text) => [networkOf(text), `the VTEP subnet of ${text}`] as const),
  ];
}

function networkOf(text: string): Cidr4 | Cidr6 {
  return text.includes(':') ? networkOf6(parseInterface6(text)) : networkOf4(parseInterface4(text));
}

type Part = Pick<NetworkOverlay, 'subnet' | 'subnet6'>;

function inside(what: string, part: Part, overlay: Part | undefined): void {
  for (const family of ['subnet', 'subnet6'] as const) {
    const text = part[family];
    if (text === undefined) continue;
    const outer = overlay?.[family];
    if (outer !== undefined && coversCidr(parseCidr(outer), parseCidr(text))) continue;
    throw new HostInputError(
      `${what}, ${text}, is not inside ${outer ?? 'any overlay of the network that has this name'}: ${refused}`,
    );
  }
}

function checkBridge(held: OverlayLease, bridge: BridgeLease | undefined, name: string): void {
  if (bridge === undefined) return;
  if (bridge.name !== name) {
    throw new HostInputError(
      `bridge ${JSON.stringify(bridge.name)} of overlay "${held.name}" is not ${name}: ${refused}`,
    );
  }
  const { cidr: subnet, cidr6: subnet6 } = bridge;
  inside(`the range of bridge ${name}`, { ...(subnet && { subnet }), ...(subnet6 && { subnet6 }) }, held);
}

function atMost(what: string, count: number, max: number): void {
  if (count > max) throw new HostInputError(`${count} ${what}: at most ${max} are allowed: ${refused}`);
}
