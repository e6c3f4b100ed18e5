/** The plan's values as messages of the API. */
import { type Cidr4, formatCidr4, type Interface4 } from '#address/cidr4.js';
import { type Cidr6, formatCidr6, type Interface6 } from '#address/cidr6.js';
import { formatIp } from '#address/ip.js';
import { cidrBytes, ipBytes } from '#address/ip-bytes.js';
import { formatMac } from '#address/mac.js';
import type { Network, Overlay } from '#ipam/network.js';
import type { BlockState, PoolUsage } from '#ipam/space/usage.js';
import type { AgentOverlay, Bridge, FullAgent, OverlayStatus } from '#ipam/view/full-agent.js';
import type { HistoryEntry } from '#ipam/view/history.js';
import type { PresenceView } from '#master/leases/presence.js';
import { sublet } from '#proto/sublet.js';

const v1 = sublet.v1;

const overlayStatuses: Readonly<Record<OverlayStatus, sublet.v1.OverlayStatus>> = {
  none: v1.OverlayStatus.OVERLAY_STATUS_UNSPECIFIED,
  ok: v1.OverlayStatus.OVERLAY_STATUS_OK,
  failed: v1.OverlayStatus.OVERLAY_STATUS_FAILED,
  configuring: v1.OverlayStatus.OVERLAY_STATUS_CONFIGURING,
  planned: v1.OverlayStatus.OVERLAY_STATUS_PLANNED,
};

export const blockStates: Readonly<Record<BlockState, sublet.v1.BlockState>> = {
  held: v1.BlockState.BLOCK_STATE_HELD,
  reserved: v1.BlockState.BLOCK_STATE_RESERVED,
  excluded: v1.BlockState.BLOCK_STATE_EXCLUDED,
  quarantined: v1.BlockState.BLOCK_STATE_QUARANTINED,
  free: v1.BlockState.BLOCK_STATE_FREE,
};

/** Of whole ms: a fraction, as clocks give it, is cut off. Rounded up, 999.6 ms would be a second's worth of nanoseconds. */
export function timestamp(milliseconds: number): { seconds: number; nanos: number } {
  const whole = Math.floor(milliseconds);
  const seconds = Math.floor(whole / 1000);
  return { seconds, nanos: (whole - seconds * 1000) * 1_000_000 };
}

export function networkMessage(network: Network): sublet.v1.Network.$Properties {
  return {
    vtepSubnet: formatCidr4(network.vtepSubnet),
    vtepSubnet6: text6(network.vtepSubnet6),
    vtepMacOui: formatMac(network.vtepMacOui),
    vtepMtu: network.vtepMtu,
    vni: network.vni,
    vtepName: network.vtepName,
    vxlanPort: network.vxlanPort,
    overlays: network.overlays.map(overlayMessage),
    quarantineMs: network.quarantineMs,
    reclaimMs: network.reclaimMs ?? 0,
  };
}

export function overlayMessage({ name, v4, v6, enabled, draining }: Overlay): sublet.v1.Overlay.$Properties {
  return {
    name,
    subnet: text4(v4?.subnet),
    prefix: v4?.prefix ?? 0,
    subnet6: text6(v6?.subnet),
    prefix6: v6?.prefix ?? 0,
    enabled,
    draining: draining ?? false,
  };
}

/**
 * `presence` is left out where no account of it is kept. The instance is left out, always: an agent proves its identity
 * with it, so it is sent to no other.
 */
export function agentMessage(
  agent: FullAgent,
  reclaimMs: number | undefined,
  presence?: PresenceView | undefined,
): sublet.v1.Agent.$Properties {
  const { vxlan } = agent;
  return {
    agentId: agent.agentId,
    nodeIp: formatIp(agent.nodeIp),
    hostname: agent.hostname,
    vxlan: {
      vni: vxlan.vni,
      vtepName: vxlan.vtepName,
      vtepIp: formatCidr4(vxlan.vtepIp),
      vtepMac: formatMac(vxlan.vtepMac),
      vtepIp6: text6(vxlan.vtepIp6),
      vtepMtu: vxlan.vtepMtu,
      vxlanPort: vxlan.vxlanPort,
    },
    overlays: agent.overlays.map(agentOverlayMessage),
    lease: leaseMessage(agent, reclaimMs),
    presence: presence === undefined ? null : presenceMessage(presence),
    registeredAt: timestamp(agent.registeredAt),
    reachable: agent.reachable,
  };
}

/** The short form: what another host needs. */
export function peerMessage({ agentId, nodeIp, vxlan, overlays, reachable }: FullAgent): sublet.v1.Peer.$Properties {
  return {
    agentId,
    nodeIp: ipBytes(nodeIp),
    vtepIp: ipBytes(vxlan.vtepIp.address),
    ...(vxlan.vtepIp6 === undefined ? {} : { vtepIp6: ipBytes(vxlan.vtepIp6.address) }),
    overlays: overlays.flatMap(({ info, subnet, subnet6 }) => {
      if (subnet === undefined && subnet6 === undefined) return [];
      return [
        {
          name: info.name,
          ...(subnet === undefined ? {} : { subnet: cidrBytes(subnet) }),
          ...(subnet6 === undefined ? {} : { subnet6: cidrBytes(subnet6) }),
        },
      ];
    }),
    unreachable: !reachable,
  };
}

export function leaseMessage({ epoch }: FullAgent, reclaimMs: number | undefined): sublet.v1.Lease.$Properties {
  return { epoch, ttlSeconds: reclaimMs === undefined ? 0 : Math.ceil(reclaimMs / 1000) };
}

export function usageMessage(usage: PoolUsage): sublet.v1.PoolUsage.$Properties {
  return {
    held: saturated(usage.held),
    reserved: saturated(usage.reserved),
    excluded: saturated(usage.excluded),
    quarantined: saturated(usage.quarantined),
    free: saturated(usage.free),
    total: saturated(usage.total),
  };
}

export function historyMessage(entry: HistoryEntry): sublet.v1.HistoryEntry.$Properties {
  const { revision, wallTime, what, who, subjects, detail } = entry;
  return { revision, time: timestamp(wallTime), what, who, subjects: [...subjects], detail };
}

function agentOverlayMessage(overlay: AgentOverlay): sublet.v1.AgentOverlay.$Properties {
  const { info, subnet, subnet6, mesosBridge, dockerBridge, status, error } = overlay;
  return {
    info: overlayMessage(info),
    subnet: text4(subnet),
    subnet6: text6(subnet6),
    mesosBridge: bridgeMessage(mesosBridge),
    dockerBridge: bridgeMessage(dockerBridge),
    state: status === 'none' ? null : { status: overlayStatuses[status], error },
  };
}

function bridgeMessage(bridge: Bridge | undefined): sublet.v1.Bridge.$Properties | null {
  return bridge === undefined ? null : { name: bridge.name, ip: text4(bridge.ip), ip6: text6(bridge.ip6) };
}

function presenceMessage(presence: PresenceView): sublet.v1.Presence.$Properties {
  const lastHeard = presence.lastHeard === undefined ? null : timestamp(presence.lastHeard);
  return presence.state === 'live'
    ? { state: v1.PresenceState.PRESENCE_STATE_LIVE, lastHeard }
    : { state: v1.PresenceState.PRESENCE_STATE_SILENT, lastHeard, silentSince: timestamp(presence.silentSince) };
}

function text4(network: Cidr4 | Interface4 | undefined): string {
  return network === undefined ? '' : formatCidr4(network);
}

function text6(network: Cidr6 | Interface6 | undefined): string {
  return network === undefined ? '' : formatCidr6(network);
}

/** Counts of IPv6 blocks can be beyond what a number holds exactly. */
function saturated(count: bigint): number {
  return count > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(count);
}
