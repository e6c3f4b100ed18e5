/** The keys of flannel in etcd: `PREFIX/config`, and one `PREFIX/subnets/10.5.34.0-24` for each host. */
import type { z } from 'zod';
import { type Cidr4, cidr4, formatCidr4, networkOf4, parseInterface4 } from '#address/cidr4.js';
import { type Cidr6, networkOf6, parseInterface6 } from '#address/cidr6.js';
import { type Cidr, familyOf, formatCidr, formatIp, type Ip, overlapsCidr, parseCidr, parseIp } from '#address/ip.js';
import { ipv4, parseIpv4 } from '#address/ipv4.js';
import { exitCodes, Failure } from '#cli/failure.js';
import type { EtcdEntry } from '#cli/import/etcd-range.js';
import {
  anObject,
  type OldBlock,
  type OldHost,
  type OldNetwork,
  problemsOf,
  type Reading,
} from '#cli/import/old-network.js';
import type { PlanRange } from '#config/files/plan-file.js';
import { parsedBy, whole, yesNo } from '#config/schema/reading.js';
import { prefix6Max, prefixMax, vniMax } from '#ipam/limits.js';
import type { Space4, Space6 } from '#ipam/network.js';

const lengths = { 4: { most: prefixMax, usual: 24 }, 6: { most: prefix6Max, usual: 64 } } as const;
/** What Linux takes for a VXLAN without a port. */
const linuxVxlanPort = 8472;

const config = anObject({
  EnableIPv4: yesNo.optional(),
  EnableIPv6: yesNo.optional(),
  Network: parsedBy((text) => networkOf4(parseInterface4(text)), '10.5.0.0/16').optional(),
  SubnetLen: whole(1, prefixMax, 'bits').optional(),
  SubnetMin: parsedBy(parseIpv4, '10.5.10.0').optional(),
  SubnetMax: parsedBy(parseIpv4, '10.5.99.0').optional(),
  IPv6Network: parsedBy((text) => networkOf6(parseInterface6(text)), 'fd05::/48').optional(),
  IPv6SubnetLen: whole(1, prefix6Max, 'bits').optional(),
  Backend: anObject({
    Type: parsedBy((text) => text, 'vxlan').optional(),
    VNI: whole(0, vniMax).optional(),
    Port: whole(0, 65_535).optional(),
  }).optional(),
});

const subnet = anObject({
  PublicIP: parsedBy(parseIp, '10.0.0.1').optional(),
  PublicIPv6: parsedBy(parseIp, '2001:db8::1').nullish(),
});

type Config = z.infer<typeof config>;

/** `10.5.34.0-24`, `10.5.34.0-24&fd05:0:0:22::-64` */
const subnetKey = /^(\d+\.\d+\.\d+\.\d+)-(\d+)(?:&([\da-f:]+)-(\d+))?$/;

/** `overlay`: the name that the network gets. @throws Failure without a configuration */
export function readFlannelKeys(entries: readonly EtcdEntry[], prefix: string, overlay: string): Reading {
  const problems: string[] = [];
  const configKey = `${prefix}/config`;
  const found = entries.find(({ key }) => key === configKey);
  if (found === undefined) {
    throw new Failure(exitCodes.refused, `there is no key ${configKey}: flannel has its configuration there`, [
      `Of ${entries.length} keys below ${prefix}/; another prefix is given by --prefix.`,
    ]);
  }
  const given = parsed(config, found, problems);
  const hosts = entries.flatMap((entry) => {
    const name = entry.key.startsWith(`${prefix}/subnets/`) ? entry.key.slice(`${prefix}/subnets/`.length) : undefined;
    return name === undefined ? [] : (hostOf(entry, name, overlay, problems) ?? []);
  });
  if (given === undefined) return { network: undefined, problems };
  const spaces = spacesOf(given, configKey, problems);
  if (spaces === undefined) return { network: undefined, problems };
  const { v4 } = spaces;
  const ranges = v4 === undefined ? [] : unusedRanges(given, configKey, v4, problems);
  problems.push(...hosts.flatMap((host) => outOfRange(host, ranges)));
  const { Type: type = 'udp', VNI: vni = 1, Port: port = 0 } = given.Backend ?? {};
  const network: OldNetwork = {
    system: 'flannel',
    settings: {},
    overlays: [{ where: configKey, overlay: { name: overlay, ...spaces, enabled: true } }],
    exclusions: ranges.map((each): PlanRange => ({ overlay, subnet: formatCidr(each) })),
    hosts,
    tunnel: type === 'vxlan' ? { name: `flannel.${vni}`, vni, port: port === 0 ? linuxVxlanPort : port } : undefined,
  };
  return { network, problems };
}

function parsed<T>(schema: z.ZodType<T>, { key, value }: EtcdEntry, problems: string[]): T | undefined {
  let json: unknown;
  try {
    json = JSON.parse(value);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    problems.push(`${key}: its value is no JSON: ${error.message}`);
    return undefined;
  }
  const read = schema.safeParse(json);
  if (read.success) return read.data;
  problems.push(...problemsOf(read.error, key));
  return undefined;
}

function hostOf(entry: EtcdEntry, name: string, overlay: string, problems: string[]): OldHost | undefined {
  const { key } = entry;
  const match = subnetKey.exec(name);
  if (match === null) {
    problems.push(`${key}: "${name}" is not the key of a subnet: one like 10.5.34.0-24 is expected`);
    return undefined;
  }
  const [, four = '', length = '', six, length6 = ''] = match;
  const host = parsed(subnet, entry, problems);
  if (host === undefined) return undefined;
  const nodeIp = [host.PublicIP, host.PublicIPv6].find(
    (ip): ip is Ip => ip !== undefined && ip !== null && Number(ip) !== 0,
  );
  if (nodeIp === undefined) {
    problems.push(`${key}: PublicIP is missing: the address of the host is expected, like 10.0.0.1`);
    return undefined;
  }
  // Of a network of IPv6 alone the IPv4 part of the key is 0.0.0.0-0.
  const texts = [`${four}/${length}`, ...(six === undefined ? [] : [`${six}/${length6}`])].filter(
    (text) => text !== '0.0.0.0/0',
  );
  const blocks = texts.flatMap((text): readonly OldBlock[] => {
    const block = parsedBy(parseCidr, '10.5.34.0/24').safeParse(text);
    if (block.success) return [{ where: key, overlay, subnet: block.data }];
    problems.push(...problemsOf(block.error, key));
    return [];
  });
  return { where: `${key}: PublicIP`, nodeIp, blocks };
}

function spacesOf(
  given: Config,
  where: string,
  problems: string[],
): { readonly v4: Space4 | undefined; readonly v6: Space6 | undefined } | undefined {
  const { EnableIPv4: four = true, EnableIPv6: six = false, Network, IPv6Network } = given;
  const before = problems.length;
  const v4 = four ? space(Network, given.SubnetLen, 4) : undefined;
  const v6 = six ? space(IPv6Network, given.IPv6SubnetLen, 6) : undefined;
  if (four && v4 === undefined) problems.push(`${where}: Network is missing: one like 10.5.0.0/16 is expected`);
  if (six && v6 === undefined) problems.push(`${where}: IPv6Network is missing: one like fd05::/48 is expected`);
  for (const each of [v4, v6]) {
    if (each === undefined) continue;
    const { most } = lengths[familyOf(each.subnet.address)];
    if (each.prefix <= most) continue;
    problems.push(
      `${where}: the subnets of ${formatCidr(each.subnet)} are /${each.prefix}: pieces of an overlay are /${most} at most`,
    );
  }
  return problems.length === before ? { v4, v6 } : undefined;
}

/** flannel's lengths: /24 and /64, or a quarter of a network that is too small for four of those. */
function space<Network extends Cidr4 | Cidr6>(
  network: Network | undefined,
  length: number | undefined,
  family: 4 | 6,
): { readonly subnet: Network; readonly prefix: number } | undefined {
  if (network === undefined) return undefined;
  return { subnet: network, prefix: length ?? Math.max(lengths[family].usual, network.prefix + 2) };
}

/** What lies below SubnetMin and above SubnetMax. Without them everything is used. */
function unusedRanges(
  given: Config,
  where: string,
  { subnet: outer, prefix }: Space4,
  problems: string[],
): readonly Cidr4[] {
  const size = 2 ** (32 - prefix);
  const end = outer.address + 2 ** (32 - outer.prefix);
  const { SubnetMin: least = outer.address, SubnetMax: most = ipv4(end - size) } = given;
  for (const [key, value] of [
    ['SubnetMin', least],
    ['SubnetMax', most],
  ] as const) {
    if (value >= outer.address && value < end && value % size === 0) continue;
    problems.push(
      `${where}: ${key}: ${formatIp(value)} is not the first address of a /${prefix} of ${formatCidr4(outer)}`,
    );
    return [];
  }
  return [...ranges(outer.address, least), ...ranges(most + size, end)];
}

/** The fewest networks that make up [start, end). */
function ranges(start: number, end: number): readonly Cidr4[] {
  const found: Cidr4[] = [];
  for (let at = start; at < end; ) {
    let size = 1;
    while (at % (size * 2) === 0 && at + size * 2 <= end) size *= 2;
    found.push(cidr4(ipv4(at), 32 - Math.log2(size)));
    at += size;
  }
  return found;
}

/** A lease from before SubnetMin or SubnetMax were set: that range is not allocated here. */
function outOfRange({ blocks }: OldHost, unused: readonly Cidr[]): readonly string[] {
  return blocks.flatMap(({ where, subnet: block }) =>
    unused.some((range) => overlapsCidr(range, block))
      ? [`${where}: ${formatCidr(block)} is outside SubnetMin to SubnetMax, and nothing is allocated there`]
      : [],
  );
}
