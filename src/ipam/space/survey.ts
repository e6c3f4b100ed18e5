/**
 * What operators look at: how much of each space is allocated, which agent holds an address, what is set aside. Changes
 * nothing.
 */

import { size4 } from '#address/cidr4.js';
import { contains6, offsetOf6 } from '#address/cidr6.js';
import { type Cidr, containsIp, familyOf, type Ip } from '#address/ip.js';
import { ipv4 } from '#address/ipv4.js';
import type { Holding } from '#ipam/agent-record.js';
import type { Plan } from '#ipam/plan.js';
import { reservationsIn } from '#ipam/plan-writer.js';
import { blockCidr, blockOf, type Space } from '#ipam/space/space.js';
import type { Exclusion, Lookup, PlanUsage, Reservation } from '#ipam/space/usage.js';
import type { NetworkConfig, OverlayStatus } from '#ipam/view/full-agent.js';

/** Undefined until there is a network. Costs O(reserved + quarantined). */
export function usageOf(plan: Plan, time: number): PlanUsage | undefined {
  if (plan.vtep === undefined) return undefined;
  const overlays = plan.overlayEntries.map(({ overlay, v4, v6 }) => ({
    overlay,
    v4: v4?.pool.usage(time),
    v6: v6?.pool.usage(time),
  }));
  return { vtep: plan.vtep.pool.usage(time), overlays };
}

export function lookUp(plan: Plan, ip: Ip, time: number): Lookup {
  const node = plan.nodeHolder(ip);
  if (node !== undefined) return { kind: 'node', ip, agentId: node.agentId };
  const space = plan.spaceAround(ip);
  if (space === undefined) return lookUpVtep6(plan, ip, time);
  const block = blockOf(space, ip);
  const subnet = blockCidr(space, block);
  const { state, agentId, ...waiting } = stateOf(space, block, time);
  if (space.overlay === undefined) return { kind: 'vtep', ip, subnet: space.subnet, state, agentId, ...waiting };
  const config = state === 'held' && agentId !== undefined ? plan.agents.get(agentId)?.networkConfig : undefined;
  const bridge = config && bridgeAt(config, space.overlay, subnet, ip);
  return { kind: 'overlay', ip, overlay: space.overlay, subnet, state, agentId, ...waiting, bridge };
}

/** With a split the lower half is the Mesos bridge's, the upper one Docker's. */
function bridgeAt(config: NetworkConfig, overlay: string, subnet: Cidr, ip: Ip): string | undefined {
  const { mesosBridge, dockerBridge, split } = config;
  const mesos = split ? containsIp({ ...subnet, prefix: subnet.prefix + 1 }, ip) : mesosBridge;
  if (!(mesos ? mesosBridge : dockerBridge)) return undefined;
  return `${mesos ? 'm' : 'd'}-${overlay}`;
}

/** How the overlays fare on the hosts, as agents reported last. */
export type HostOverlayCounts = {
  readonly byStatus: Readonly<Record<OverlayStatus, number>>;
  readonly failed: {
    readonly agents: number;
    /** Of the first agent by id; empty texts: none failed. */
    readonly first: { readonly agentId: string; readonly overlay: string; readonly error: string };
  };
  /** Agents that build nothing (`--network plan`); `first` by id, empty: there is none. */
  readonly planned: { readonly agents: number; readonly first: string };
};

/** Costs O(agents). */
export function hostOverlaysOf(plan: Plan): HostOverlayCounts {
  const byStatus = { none: 0, ok: 0, failed: 0, configuring: 0, planned: 0 };
  let agents = 0;
  let first = { agentId: '', overlay: '', error: '' };
  let planning = 0;
  let firstPlanning = '';
  for (const [agentId, { holdings }] of plan.agents.entries()) {
    let failed: Holding | undefined;
    for (const holding of holdings) {
      byStatus[holding.status] += 1;
      if (holding.status === 'failed') failed ??= holding;
    }
    if (holdings.some(({ status }) => status === 'planned')) {
      if (planning === 0) firstPlanning = agentId;
      planning += 1;
    }
    if (failed === undefined) continue;
    if (agents === 0) first = { agentId, overlay: failed.overlay, error: failed.error };
    agents += 1;
  }
  return { byStatus, failed: { agents, first }, planned: { agents: planning, first: firstPlanning } };
}

/** An IPv6 VTEP address belongs to the holder of the IPv4 one at the same offset. */
function lookUpVtep6(plan: Plan, ip: Ip, time: number): Lookup {
  const subnet = plan.settings?.vtepSubnet6;
  if (plan.vtep === undefined || plan.settings === undefined || subnet === undefined || typeof ip === 'number') {
    return { kind: 'unknown', ip };
  }
  if (!contains6(subnet, ip)) return { kind: 'unknown', ip };
  const { vtepSubnet } = plan.settings;
  const offset = offsetOf6(subnet, ip);
  if (offset >= BigInt(size4(vtepSubnet))) return { kind: 'vtep', ip, subnet, state: 'excluded', agentId: undefined };
  const block = blockOf(plan.vtep, ipv4(vtepSubnet.address + Number(offset)));
  return { kind: 'vtep', ip, subnet, ...stateOf(plan.vtep, block, time) };
}

type Owner = Pick<Extract<Lookup, { kind: 'vtep' }>, 'state' | 'agentId' | 'reservedNode'>;

function stateOf({ pool }: Space, block: bigint, time: number): Owner {
  // The VTEP subnet's own address and its broadcast address are in no pool: they are never allocated.
  if (!pool.contains(block)) return { state: 'excluded', agentId: undefined };
  const owner = pool.holder(block) ?? pool.reservation(block);
  const state = pool.state(block, time);
  if (owner === undefined || typeof owner === 'string') return { state, agentId: owner };
  return { state, agentId: undefined, reservedNode: owner };
}

/** By space, the VTEP subnet first, and block. */
export function reservationsOf(plan: Plan): readonly Reservation[] {
  return plan.spaces.flatMap((space) => reservationsIn(space));
}

/** By overlay, VTEP addresses first, family and address. */
export function exclusionsOf(plan: Plan): readonly Exclusion[] {
  const all = [...plan.exclusions.entries()].map(([, exclusion]) => exclusion);
  return all.sort((a, b) => {
    const byOverlay = (a.overlay ?? '') < (b.overlay ?? '') ? -1 : Number(a.overlay !== b.overlay);
    const byFamily = familyOf(a.subnet.address) - familyOf(b.subnet.address);
    return byOverlay || byFamily || (a.subnet.address < b.subnet.address ? -1 : 1);
  });
}
