/**
 * Works out an agent's whole part of the plan from what is kept of it and the network: MAC, IPv6 VTEP address, bridges.
 * Events and answers carry the two; a consumer that needs the full view computes it here, which most masters never do.
 */
import { cidr4, halves4, offsetOf4 } from '#address/cidr4.js';
import { addressAt6, cidr6, halves6 } from '#address/cidr6.js';
import type { Ipv4 } from '#address/ipv4.js';
import { macFor } from '#address/mac.js';
import { assertNever } from '#errors/invariant.js';
import type { AgentRecord, Holding, StoredProblem } from '#ipam/agent-record.js';
import type { Network, NetworkSettings, Overlay } from '#ipam/network.js';
import { assertInvariant } from '#ipam/plan-invariant.js';
import { describeSubnet } from '#ipam/space/space.js';
import type {
  AgentOverlay,
  Bridge,
  FullAgent,
  NetworkConfig,
  OverlayProblem,
  ProblemReason,
  Vxlan,
} from '#ipam/view/full-agent.js';

/** An agent as it was when the network was this. */
export type AgentThen = { readonly record: AgentRecord; readonly network: Network };

export function viewAgent({ record, network }: AgentThen): FullAgent {
  const { networkConfig } = record;
  return {
    agentId: record.agentId,
    instanceId: record.instanceId,
    sequence: record.sequence,
    nodeIp: record.nodeIp,
    reachable: record.reachable,
    hostname: record.hostname,
    networkConfig,
    epoch: record.epoch,
    registeredAt: record.registeredAt,
    vxlan: viewVxlan(network, record.vtepIp),
    overlays: record.holdings.map((holding) => {
      const overlay = overlayOf(network, holding.overlay);
      assertInvariant(overlay !== undefined, 'a block of an overlay that is not there is held');
      return viewOverlay(overlay, holding, networkConfig);
    }),
    problems: record.problems.map((problem) => viewProblem(network, problem)),
  };
}

function overlayOf({ overlays }: Network, name: string): Overlay | undefined {
  for (const overlay of overlays) if (overlay.name === name) return overlay;
  return undefined;
}

function viewVxlan(settings: NetworkSettings, vtepIp: Ipv4): Vxlan {
  const { vtepSubnet, vtepSubnet6, vtepMacOui, vni, vtepName, vtepMtu, vxlanPort } = settings;
  const offset = BigInt(offsetOf4(vtepSubnet, vtepIp));
  return {
    vni,
    vtepName,
    vtepIp: { address: vtepIp, prefix: vtepSubnet.prefix },
    // The same offset in its subnet as the IPv4 address in its own.
    vtepIp6: vtepSubnet6 && { address: addressAt6(vtepSubnet6, offset), prefix: vtepSubnet6.prefix },
    vtepMac: macFor(vtepMacOui, vtepIp),
    vtepMtu,
    vxlanPort,
  };
}

function viewOverlay(info: Overlay, holding: Holding, config: NetworkConfig): AgentOverlay {
  const { block4, block6, status, error } = holding;
  const subnet = block4 === undefined || info.v4 === undefined ? undefined : cidr4(block4, info.v4.prefix);
  const subnet6 = block6 === undefined || info.v6 === undefined ? undefined : cidr6(block6, info.v6.prefix);
  const pieces = { subnet, subnet6 };
  return {
    info,
    ...pieces,
    mesosBridge: config.mesosBridge ? viewBridge(`m-${info.name}`, config.split ? 0 : 'whole', pieces) : undefined,
    dockerBridge: config.dockerBridge ? viewBridge(`d-${info.name}`, config.split ? 1 : 'whole', pieces) : undefined,
    status,
    error,
  };
}

type Pieces = Pick<AgentOverlay, 'subnet' | 'subnet6'>;

function viewBridge(name: string, part: 0 | 1 | 'whole', { subnet, subnet6 }: Pieces): Bridge {
  if (part === 'whole') return { name, ip: subnet, ip6: subnet6 };
  return { name, ip: subnet && halves4(subnet)[part], ip6: subnet6 && halves6(subnet6)[part] };
}

function viewProblem(network: Network, { overlay, family, reason }: StoredProblem): OverlayProblem {
  const space = overlayOf(network, overlay)?.[family === 4 ? 'v4' : 'v6'];
  // The overlay may have been removed since the agent last asked.
  const where = space === undefined ? `overlay "${overlay}"` : describeSubnet(overlay, space.subnet);
  const piece = space === undefined ? `IPv${family} block` : `/${space.prefix}`;
  return { overlay, family, reason, message: problemText(where, piece, reason) };
}

function problemText(where: string, piece: string, reason: ProblemReason): string {
  switch (reason) {
    case 'exhausted':
      return `${where} has no free ${piece}: all are held, reserved, excluded or in quarantine`;
    case 'adoption':
      return `${where} allocates no fresh ${piece} during adoption: wait until an operator ends it with \`sublet adoption end\``;
    case 'held-by-another':
      return (
        `${where}: the ${piece} that this agent runs on is held by another agent, or set aside, and the agent gets no other ` +
        'one, since its containers would be renumbered: release the other one (`sublet lookup ADDRESS` tells which), or ' +
        'stop this agent and its containers, and remove lease and peers from its state_dir'
      );
    default:
      return assertNever(reason);
  }
}
