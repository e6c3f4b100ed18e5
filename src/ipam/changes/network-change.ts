/** Commands that concern all agents: the network is established, and what may change under agents is changed. */

import { covers4, formatCidr4 } from '#address/cidr4.js';
import { covers6, formatCidr6 } from '#address/cidr6.js';
import { containsIp, formatCidr, formatIp } from '#address/ip.js';
import { checkNetwork } from '#ipam/changes/network-check.js';
import type { ConfigureNetwork, UpdateNetwork } from '#ipam/commands/command.js';
import { type Refusal, type Reply, refuse } from '#ipam/commands/result.js';
import type { Network, NetworkSettings, Overlay } from '#ipam/network.js';
import type { Plan } from '#ipam/plan.js';
import { assertInvariant } from '#ipam/plan-invariant.js';
import type { PlanWriter } from '#ipam/plan-writer.js';
import { settingFields } from '#ipam/view/setting-fields.js';
import { formatDuration } from '#text/duration.js';

export function configureNetwork(plan: Plan, writer: PlanWriter, command: ConfigureNetwork): Reply | Refusal {
  const { settings, overlays } = command;
  const wrong = checkNetwork(settings, overlays);
  if (wrong !== undefined) return wrong;
  if (plan.settings !== undefined) {
    const field = settingFields.find(({ of }) => of(plan.settings ?? settings) !== of(settings));
    if (field === undefined) return networkReply(plan);
    const difference = `${field.name} is ${field.of(plan.settings)}, not ${field.of(settings)}`;
    const message = `configure network: there is one already and it differs: ${difference}`;
    return refuse('failed-precondition', field.name, message);
  }
  writer.putSettings(settings);
  for (const overlay of overlays) writer.putOverlay(overlay);
  writer.tell({ kind: 'network-changed', network: networkOf(plan) });
  const spaces = overlays.flatMap(({ v4, v6 }) => [v4, v6].flatMap((part) => (part ? [formatCidr(part.subnet)] : [])));
  writer.note('configure-network', writer.origin.by, [formatCidr4(settings.vtepSubnet), ...spaces]);
  return networkReply(plan);
}

export function updateNetwork(plan: Plan, writer: PlanWriter, command: UpdateNetwork): Reply | Refusal {
  const old = plan.settings;
  if (old === undefined) return noNetwork('update network');
  const next: NetworkSettings = {
    ...old,
    vtepSubnet: command.vtepSubnet ?? old.vtepSubnet,
    vtepSubnet6: command.vtepSubnet6 ?? old.vtepSubnet6,
    vtepMtu: command.vtepMtu ?? old.vtepMtu,
    quarantineMs: command.quarantineMs ?? old.quarantineMs,
    reclaimMs: command.reclaim === undefined ? old.reclaimMs : command.reclaim.ttlMs,
  };
  const wrong = unfitSettings(plan, old, next);
  if (wrong !== undefined) return wrong;
  const changed = settingFields.filter(({ of }) => of(old) !== of(next));
  if (changed.length === 0) return networkReply(plan);
  writer.putSettings(next);
  writer.tell({ kind: 'network-changed', network: networkOf(plan) });
  const detail = changed.map(({ name, of }) => `${name} ${of(old)} → ${of(next)}`).join(', ');
  writer.note(
    'update-network',
    writer.origin.by,
    changed.map(({ name }) => name),
    detail,
  );
  return networkReply(plan);
}

/** Why these settings can't take the place of those that there are; undefined: they can. */
export function unfitSettings(plan: Plan, old: NetworkSettings, next: NetworkSettings): Refusal | undefined {
  return (
    checkGrowth(plan, old, next) ??
    checkNetwork(next, plan.overlayList()) ??
    checkVtepNodes(plan, next) ??
    checkReclaim(plan, old, next)
  );
}

function checkGrowth(plan: Plan, old: NetworkSettings, next: NetworkSettings): Refusal | undefined {
  if (!covers4(next.vtepSubnet, old.vtepSubnet)) {
    const message = `${formatCidr4(next.vtepSubnet)} is not a supernet of ${formatCidr4(old.vtepSubnet)}: it can only grow`;
    return refuse('failed-precondition', 'vtep_subnet', `update network: vtep_subnet ${message}`);
  }
  if (old.vtepSubnet6 !== undefined && next.vtepSubnet6 !== undefined && !covers6(next.vtepSubnet6, old.vtepSubnet6)) {
    const message = `${formatCidr6(next.vtepSubnet6)} is not a supernet of ${formatCidr6(old.vtepSubnet6)}: it can only grow`;
    return refuse('failed-precondition', 'vtep_subnet6', `update network: vtep_subnet6 ${message}`);
  }
  // An agent's IPv6 VTEP address has the offset of its IPv4 one; were a first address to move, it would change under it.
  const moved4 = next.vtepSubnet.address !== old.vtepSubnet.address;
  const moved6 = next.vtepSubnet6?.address !== old.vtepSubnet6?.address;
  if (plan.agents.size === 0 || old.vtepSubnet6 === undefined || (!moved4 && !moved6)) return undefined;
  const field = moved4 ? 'vtep_subnet' : 'vtep_subnet6';
  const first = moved4 ? formatIp(old.vtepSubnet.address) : formatIp(old.vtepSubnet6.address);
  const reason = `the IPv6 addresses of ${plan.agents.size} VTEPs would change`;
  return refuse('failed-precondition', field, `update network: ${field} must still begin at ${first}: else ${reason}`);
}

/**
 * An agent counts the TTL of the last answer that it got (rule 5). One that can't be reached would use its addresses
 * for longer than the masters keep them for it by a shorter TTL.
 */
function checkReclaim(plan: Plan, old: NetworkSettings, next: NetworkSettings): Refusal | undefined {
  const ms = ({ reclaimMs }: NetworkSettings): number => reclaimMs ?? Number.POSITIVE_INFINITY;
  if (plan.agents.size === 0 || ms(next) >= ms(old)) return undefined;
  const text = ({ reclaimMs }: NetworkSettings): string =>
    reclaimMs === undefined ? 'never' : formatDuration(reclaimMs);
  const reason = `one that can't be reached now would not learn that its lease ends sooner`;
  const message = `lease.reclaim can't go from ${text(old)} to ${text(next)} while agents hold leases (${plan.agents.size} do): ${reason}; longer, or never, is allowed`;
  return refuse('failed-precondition', 'lease.reclaim', `update network: ${message}`);
}

function checkVtepNodes(plan: Plan, next: NetworkSettings): Refusal | undefined {
  for (const subnet of [next.vtepSubnet, next.vtepSubnet6]) {
    const inside = nodeInside(plan, subnet);
    if (subnet === undefined || inside === undefined) continue;
    return refuse('failed-precondition', 'vtep_subnet', `update network: ${formatCidr(subnet)} ${inside}`);
  }
  return undefined;
}

/** `contains …`, naming an agent whose underlay address is in the network; undefined when there is none. */
export function nodeInside(plan: Plan, subnet: Parameters<typeof containsIp>[0] | undefined): string | undefined {
  if (subnet === undefined) return undefined;
  for (const [agentId, { nodeIp }] of plan.agents.entries()) {
    if (containsIp(subnet, nodeIp)) return `contains ${formatIp(nodeIp)}, the node_ip of agent "${agentId}"`;
  }
  return undefined;
}

export function noNetwork(action: string): Refusal {
  return refuse('failed-precondition', '', `${action}: no network is configured yet`);
}

/** The network, which must be there. */
export function networkOf(plan: Plan): Network {
  assertInvariant(plan.network !== undefined, 'the network is there once it is configured');
  return plan.network;
}

function networkReply(plan: Plan): Reply {
  return { kind: 'network', network: networkOf(plan) };
}

/** Whether two overlays are the same in every respect. */
export function sameOverlay(a: Overlay, b: Overlay): boolean {
  return describeOverlay(a) === describeOverlay(b);
}

/** `9.0.0.0/8 prefix 24, fd01:b::/64 prefix6 80, enabled`. */
export function describeOverlay({ v4, v6, enabled, draining }: Overlay): string {
  const parts: string[] = [];
  if (v4 !== undefined) parts.push(`${formatCidr(v4.subnet)} prefix ${v4.prefix}`);
  if (v6 !== undefined) parts.push(`${formatCidr(v6.subnet)} prefix6 ${v6.prefix}`);
  return [...parts, enabled ? 'enabled' : draining ? 'draining' : 'disabled'].join(', ');
}
