/** The `State` that the masters of DC/OS serve at `/mesos/overlay-master/state`: overlays, and what each agent has. */
import type { z } from 'zod';
import { cidr4, halves4, networkOf4, parseInterface4 } from '#address/cidr4.js';
import { halves6, networkOf6, parseInterface6 } from '#address/cidr6.js';
import { type Cidr, formatCidr, formatIp, isCidr4, parseIp } from '#address/ip.js';
import { formatMac, macFor, parseMac, parseOui } from '#address/mac.js';
import {
  aList,
  anObject,
  type OldBlock,
  type OldHost,
  type OldNetwork,
  parsedJson,
  problemsOf,
  type Reading,
} from '#cli/import/old-network.js';
import { subnet4, subnet6 } from '#config/files/network-config.js';
import { parsedBy, whole, yesNo } from '#config/schema/reading.js';
import { mtuMax, mtuMin, prefix6Max, prefixMax, vniMax } from '#ipam/limits.js';

const overlayInfo = {
  name: parsedBy((text) => text, 'dcos'),
  subnet: subnet4.optional(),
  prefix: whole(1, prefixMax, 'bits').optional(),
  subnet6: subnet6.optional(),
  prefix6: whole(1, prefix6Max, 'bits').optional(),
  enabled: yesNo.optional(),
};

const bridge = anObject({
  ip: parsedBy(parseInterface4, '9.0.1.0/25').optional(),
  ip6: parsedBy(parseInterface6, 'fd01:b::1:0:0:0/81').optional(),
});

const agentOverlay = anObject({
  info: anObject({ name: overlayInfo.name }),
  subnet: subnet4.optional(),
  subnet6: subnet6.optional(),
  mesos_bridge: bridge.optional(),
  docker_bridge: bridge.optional(),
  backend: anObject({
    vxlan: anObject({
      vni: whole(1, vniMax),
      vtep_name: parsedBy((text) => text, 'vtep1024'),
      vtep_ip: parsedBy(parseInterface4, '44.128.0.1/20'),
      vtep_ip6: parsedBy(parseInterface6, 'fd01:a::1/64').optional(),
      vtep_mac: parsedBy(parseMac, '70:b3:d5:80:00:01'),
    }),
  }),
});

const state = anObject({
  network: anObject({
    vtep_subnet: subnet4,
    vtep_subnet6: subnet6.optional(),
    vtep_mac_oui: parsedBy(parseOui, '70:b3:d5:00:00:00'),
    vtep_mtu: whole(mtuMin, mtuMax, 'bytes').optional(),
    overlays: aList(anObject(overlayInfo)),
  }),
  agents: aList(anObject({ ip: parsedBy(parseIp, '10.0.0.1'), overlays: aList(agentOverlay) })),
});

type State = z.infer<typeof state>;
type Agent = State['agents'][number];
type AgentOverlay = Agent['overlays'][number];
type Vxlan = AgentOverlay['backend']['vxlan'];

/** @throws Failure for text that is no JSON */
export function readDcosState(name: string, text: string): Reading {
  const read = state.safeParse(parsedJson(name, text));
  if (!read.success) return { network: undefined, problems: problemsOf(read.error) };
  const { network: given, agents } = read.data;
  const problems: string[] = [];
  const overlays = given.overlays.map(({ name: overlay, enabled = true, ...spaces }, at) => {
    const where = `network.overlays[${at}]`;
    for (const [net, length] of [
      ['subnet', 'prefix'],
      ['subnet6', 'prefix6'],
    ] as const) {
      if ((spaces[net] === undefined) !== (spaces[length] === undefined)) {
        problems.push(`${where}: ${net} and ${length} go together, and one of them is missing`);
      }
    }
    const { subnet, prefix, subnet6: six, prefix6 } = spaces;
    const v4 = subnet && prefix !== undefined ? { subnet, prefix } : undefined;
    const v6 = six && prefix6 !== undefined ? { subnet: six, prefix: prefix6 } : undefined;
    return { where, overlay: { name: overlay, v4, v6, enabled } };
  });
  const hosts = agents.map((agent, at) => hostOf(agent, `agents[${at}]`, given, problems));
  const vxlan = agents.flatMap((agent) => agent.overlays).at(0)?.backend.vxlan;
  const old: OldNetwork = {
    system: 'DC/OS',
    settings: {
      vtepSubnet: formatCidr(given.vtep_subnet),
      ...(given.vtep_subnet6 && { vtepSubnet6: formatCidr(given.vtep_subnet6) }),
      vtepMacOui: formatMac(given.vtep_mac_oui),
      ...(given.vtep_mtu !== undefined && { vtepMtu: given.vtep_mtu }),
    },
    overlays,
    exclusions: [],
    hosts,
    tunnel: vxlan && { name: vxlan.vtep_name, vni: vxlan.vni },
  };
  return { network: old, problems };
}

function hostOf({ ip, overlays }: Agent, where: string, network: State['network'], problems: string[]): OldHost {
  const blocks: OldBlock[] = [];
  const [first] = overlays;
  if (first !== undefined) {
    const { vtep_ip: vtep } = first.backend.vxlan;
    const place = `${where}.overlays[0].backend.vxlan`;
    blocks.push({ where: `${place}.vtep_ip`, overlay: '', subnet: cidr4(vtep.address, 32) });
    problems.push(...vtepProblems(first.backend.vxlan, place, network));
  }
  for (const [at, { info, subnet, subnet6: six, mesos_bridge, docker_bridge, backend }] of overlays.entries()) {
    const place = `${where}.overlays[${at}]`;
    const own = formatIp(backend.vxlan.vtep_ip.address);
    const other = first === undefined ? own : formatIp(first.backend.vxlan.vtep_ip.address);
    if (own !== other) {
      problems.push(
        `${place}.backend.vxlan.vtep_ip: ${own}: overlays[0] of the agent has ${other}, and a host has one`,
      );
    }
    for (const [key, block] of [
      ['subnet', subnet],
      ['subnet6', six],
    ] as const) {
      if (block !== undefined) blocks.push({ where: `${place}.${key}`, overlay: info.name, subnet: block });
    }
    const bridges = { mesos_bridge, docker_bridge };
    problems.push(...bridgeProblems(bridges, place, [subnet, six]));
  }
  return { where: `${where}.ip`, nodeIp: ip, blocks };
}

/** The MAC and the IPv6 address of a VTEP follow from its IPv4 address; others than those can't be kept. */
function vtepProblems(vxlan: Vxlan, where: string, network: State['network']): readonly string[] {
  const { vtep_ip: ip, vtep_ip6: ip6, vtep_mac: has } = vxlan;
  const problems: string[] = [];
  const mac = macFor(network.vtep_mac_oui, ip.address);
  if (mac !== has) {
    problems.push(
      `${where}.vtep_mac: ${formatMac(has)}: with vtep_mac_oui ${formatMac(network.vtep_mac_oui)} the MAC of ${formatIp(ip.address)} is ${formatMac(mac)}`,
    );
  }
  const { vtep_subnet6: outer } = network;
  if (ip6 === undefined || outer === undefined) return problems;
  if (ip6.address - outer.address !== BigInt(ip.address - network.vtep_subnet.address)) {
    problems.push(
      `${where}.vtep_ip6: ${formatIp(ip6.address)} is not at the place in ${formatCidr(outer)} that ${formatIp(ip.address)} has in ${formatCidr(network.vtep_subnet)}`,
    );
  }
  return problems;
}

type Bridges = Pick<AgentOverlay, 'mesos_bridge' | 'docker_bridge'>;

/** Containers keep their addresses if each bridge has the half that Sublet gives it. */
function bridgeProblems(bridges: Bridges, where: string, subnets: readonly (Cidr | undefined)[]): readonly string[] {
  return subnets.flatMap((subnet) => {
    if (subnet === undefined) return [];
    const halves = isCidr4(subnet) ? halves4(subnet) : halves6(subnet);
    return (['mesos_bridge', 'docker_bridge'] as const).flatMap((key, at) => {
      const has = isCidr4(subnet) ? network4(bridges[key]?.ip) : network6(bridges[key]?.ip6);
      const half = halves[at];
      if (has === undefined || half === undefined || formatCidr(has) === formatCidr(half)) return [];
      const side = at === 0 ? 'lower' : 'upper';
      return [
        `${where}.${key}.${isCidr4(subnet) ? 'ip' : 'ip6'}: ${formatCidr(has)} is not the ${side} half of ${formatCidr(subnet)}, ${formatCidr(half)}, which that bridge has here`,
      ];
    });
  });
}

function network4(ip: ReturnType<typeof parseInterface4> | undefined): Cidr | undefined {
  return ip && networkOf4(ip);
}

function network6(ip: ReturnType<typeof parseInterface6> | undefined): Cidr | undefined {
  return ip && networkOf6(ip);
}
