/** What keeps a network from being imported, by itself: whatever the masters have. */
import { last4 } from '#address/cidr4.js';
import {
  containsIp,
  coversCidr,
  familyOf,
  formatCidr,
  formatIp,
  isCidr4,
  overlapsCidr,
  parseCidr,
} from '#address/ip.js';
import { blockWords, type OldBlock, type OldHost, type OldNetwork, type OldOverlay } from '#cli/import/old-network.js';
import { reservationsMax } from '#ipam/limits.js';
import { FieldError, parseNodeIp } from '#ipam/registration-fields.js';

export function oldNetworkProblems(old: OldNetwork): readonly string[] {
  const { hosts } = old;
  const blocks = hosts.flatMap((host) => host.blocks);
  const count = blocks.length;
  return [
    ...twice(
      old.overlays,
      ({ overlay }) => overlay.name,
      ({ overlay }) => `overlay ${overlay.name}`,
    ),
    ...overlaps(old.overlays),
    ...twice(
      hosts,
      ({ nodeIp }) => formatIp(nodeIp),
      ({ nodeIp }) => `node address ${formatIp(nodeIp)}`,
    ),
    ...twice(blocks, blockWords, blockWords),
    ...hosts.flatMap((host) => hostProblems(host, old)),
    ...familyProblems(hosts),
    ...(count > reservationsMax
      ? [
          `${count} blocks of ${hosts.length} hosts are to be reserved: ${reservationsMax} reservations at most are allowed`,
        ]
      : []),
  ];
}

function overlaps(overlays: readonly OldOverlay[]): readonly string[] {
  const spaces = overlays.flatMap(({ where, overlay: { name, v4, v6 } }) =>
    [v4?.subnet, v6?.subnet].flatMap((subnet) => (subnet === undefined ? [] : [{ where, name, subnet }])),
  );
  return spaces.flatMap(({ where, name, subnet }, at) => {
    const other = spaces.slice(0, at).find((before) => overlapsCidr(before.subnet, subnet));
    if (other === undefined) return [];
    return [
      `${where}: ${formatCidr(subnet)} of overlay ${name} overlaps ${formatCidr(other.subnet)} of overlay ${other.name}`,
    ];
  });
}

/** Elements that have the key of an earlier one. */
function twice<Element extends { readonly where: string }>(
  all: readonly Element[],
  keyOf: (element: Element) => string,
  words: (element: Element) => string,
): readonly string[] {
  const seen = new Map<string, string>();
  return all.flatMap((element) => {
    const key = keyOf(element);
    const first = seen.get(key);
    if (first === undefined) seen.set(key, element.where);
    return first === undefined ? [] : [`${element.where}: ${words(element)} is that of ${first}, too`];
  });
}

function hostProblems({ where, nodeIp, blocks }: OldHost, old: OldNetwork): readonly string[] {
  const problems: string[] = [];
  try {
    parseNodeIp(nodeIp);
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    problems.push(`${where}: ${error.message.replace(/ \(--node-ip\)$/, '')}`);
  }
  for (const [name, network] of networksOf(old)) {
    if (containsIp(network, nodeIp)) {
      problems.push(
        `${where}: ${formatIp(nodeIp)} lies in ${formatCidr(network)} of ${name}: no agent can register it`,
      );
    }
  }
  problems.push(...blocks.flatMap((block) => blockProblems(block, old)));
  const spaces = blocks.map((block) => ({ ...block, space: `${block.overlay} IPv${familyOf(block.subnet.address)}` }));
  for (const [at, { where: place, overlay, subnet, space }] of spaces.entries()) {
    const other = spaces.slice(0, at).find((before) => before.space === space);
    if (other === undefined) continue;
    problems.push(
      `${place}: ${blockWords({ overlay, subnet })}: the host has ${blockWords(other)} already, and an agent has one block of an overlay`,
    );
  }
  return problems;
}

function networksOf({ settings, overlays }: OldNetwork): readonly (readonly [string, ReturnType<typeof parseCidr>])[] {
  return [
    ...[settings.vtepSubnet, settings.vtepSubnet6].flatMap((text) =>
      text === undefined ? [] : [['the VTEP subnet', parseCidr(text)] as const],
    ),
    ...overlays.flatMap(({ overlay: { name, v4, v6 } }) =>
      [v4?.subnet, v6?.subnet].flatMap((subnet) =>
        subnet === undefined ? [] : [[`overlay ${name}`, subnet] as const],
      ),
    ),
  ];
}

function blockProblems({ where, overlay, subnet }: OldBlock, old: OldNetwork): readonly string[] {
  if (overlay === '') return vtepProblems(where, subnet, old);
  const found: OldOverlay | undefined = old.overlays.find((each) => each.overlay.name === overlay);
  if (found === undefined) {
    const names = old.overlays.map((each) => each.overlay.name).join(', ');
    return [`${where}: there is no overlay "${overlay}": there is ${names || 'none'}`];
  }
  const space = isCidr4(subnet) ? found.overlay.v4 : found.overlay.v6;
  const text = formatCidr(subnet);
  if (space === undefined) return [`${where}: ${text}: overlay ${overlay} has no IPv${familyOf(subnet.address)}`];
  if (!coversCidr(space.subnet, subnet)) {
    return [`${where}: ${text} is outside ${formatCidr(space.subnet)} of overlay ${overlay}`];
  }
  if (subnet.prefix === space.prefix) return [];
  return [`${where}: ${text} is a /${subnet.prefix}: the pieces of overlay ${overlay} are /${space.prefix}`];
}

/** The subnet's own address and its broadcast address belong to no host. */
function vtepProblems(where: string, address: OldBlock['subnet'], { settings }: OldNetwork): readonly string[] {
  const outer = settings.vtepSubnet === undefined ? undefined : parseCidr(settings.vtepSubnet);
  if (outer === undefined || !isCidr4(outer) || !isCidr4(address)) return [];
  const inner = containsIp(outer, address.address) && address.address !== outer.address;
  if (inner && address.address !== last4(outer)) return [];
  return [`${where}: ${formatIp(address.address)} is no address for a host in vtep_subnet ${formatCidr(outer)}`];
}

function familyProblems(hosts: readonly OldHost[]): readonly string[] {
  const [first] = hosts;
  if (first === undefined) return [];
  const family = familyOf(first.nodeIp);
  const other = hosts.find(({ nodeIp }) => familyOf(nodeIp) !== family);
  if (other === undefined) return [];
  return [
    `${other.where}: ${formatIp(other.nodeIp)} is IPv${familyOf(other.nodeIp)}, and ${first.where} is IPv${family}: all node addresses are of one family`,
  ];
}
