/**
 * This agent's lease and its network, as plain data: made of a master's answer, kept in the cache, turned into the
 * input of the host. Text fields that do not apply are empty, as in the API.
 */
import { z } from 'zod';
import { MasterError, type RegisterRequest, type RegisterResponse } from '#agent/master-api.js';
import type { sublet } from '#proto/sublet.js';
import { noIncarnation } from '#replica/bootstrap/incarnation.js';

const count = z.int().min(0);

export const networkSchema = z.strictObject({
  vtepSubnet: z.string(),
  vtepSubnet6: z.string(),
  /** `70:b3:d5:00:00:00`: with the last 3 bytes of a VTEP's address it makes the VTEP's MAC. */
  vtepMacOui: z.string(),
  /** 0: the underlay's MTU less the encapsulation. */
  vtepMtu: count.default(0),
  overlays: z.array(
    z.strictObject({
      name: z.string(),
      subnet: z.string(),
      prefix: count,
      subnet6: z.string(),
      prefix6: count,
      enabled: z.boolean(),
      /** Agents take it off their hosts and give back what they hold of it. */
      draining: z.boolean().default(false),
    }),
  ),
});
export type LeaseNetwork = z.infer<typeof networkSchema>;
export type LeasedOverlay = LeaseNetwork['overlays'][number];

const bridgeSchema = z.strictObject({ name: z.string(), ip: z.string(), ip6: z.string() });
export type LeasedBridge = z.infer<typeof bridgeSchema>;

export const leaseSchema = z.strictObject({
  clusterId: z.string().min(1),
  /** Which incarnation of that cluster granted it; empty: not known. */
  incarnation: z.string().default(noIncarnation),
  agentId: z.string().min(1),
  instanceId: z.string().min(1),
  /** The log index that granted it. */
  epoch: count,
  /** The revision that the answer holds at, and its branch of the masters' history; empty: the answer named none. */
  revision: count,
  branch: z.string().default(''),
  nodeIp: z.string(),
  vxlan: z.strictObject({
    vni: count,
    vxlanPort: count,
    vtepName: z.string(),
    /** With the prefix of the VTEP subnet. */
    vtepIp: z.string(),
    vtepIp6: z.string(),
    vtepMac: z.string(),
    /** 0: the underlay's MTU less the encapsulation. */
    vtepMtu: count,
  }),
  overlays: z.array(
    z.strictObject({
      name: z.string(),
      subnet: z.string(),
      subnet6: z.string(),
      mesosBridge: bridgeSchema.optional(),
      dockerBridge: bridgeSchema.optional(),
    }),
  ),
  network: networkSchema,
  /** Overlays that the agent did not get, and why. */
  problems: z.array(z.strictObject({ overlay: z.string(), reason: z.string() })),
  /** What an earlier lease had of these overlays, and containers may run on still. */
  withheld: z.array(z.strictObject({ name: z.string(), subnet: z.string(), subnet6: z.string() })).default([]),
});
export type Lease = z.infer<typeof leaseSchema>;

/** @throws MasterError when a part is missing that every answer has. */
export function leaseOf(response: RegisterResponse): Lease {
  const agent = given(response.agent, 'agent');
  const vxlan = given(agent.vxlan, 'agent.vxlan');
  return {
    clusterId: given(response.clusterId || undefined, 'cluster_id'),
    incarnation: response.incarnation,
    agentId: agent.agentId ?? '',
    instanceId: agent.instanceId ?? '',
    epoch: given(response.lease, 'lease').epoch ?? 0,
    revision: response.revision,
    branch: response.branch,
    nodeIp: agent.nodeIp ?? '',
    vxlan: {
      vni: vxlan.vni ?? 0,
      vxlanPort: vxlan.vxlanPort ?? 0,
      vtepName: vxlan.vtepName ?? '',
      vtepIp: vxlan.vtepIp ?? '',
      vtepIp6: vxlan.vtepIp6 ?? '',
      vtepMac: vxlan.vtepMac ?? '',
      vtepMtu: vxlan.vtepMtu ?? 0,
    },
    overlays: (agent.overlays ?? []).map(({ info, subnet, subnet6, mesosBridge, dockerBridge }) => ({
      name: info?.name ?? '',
      subnet: subnet ?? '',
      subnet6: subnet6 ?? '',
      ...(mesosBridge ? { mesosBridge: bridgeOf(mesosBridge) } : {}),
      ...(dockerBridge ? { dockerBridge: bridgeOf(dockerBridge) } : {}),
    })),
    network: leaseNetworkOf(given(response.network, 'network')),
    problems: response.problems.map(({ overlay, reason }) => ({ overlay: overlay ?? '', reason: reason ?? '' })),
    withheld: [],
  };
}

/** The lease, with what the one before had and this one was refused. */
export function withWithheld(lease: Lease, before: Lease | undefined): Lease {
  if (before === undefined || lease.problems.length === 0) return lease;
  const has = new Set(lease.overlays.map(({ name }) => name));
  const lacks = new Set(lease.problems.map(({ overlay }) => overlay));
  const withheld = claimsOf(before).filter(({ name }) => !has.has(name) && lacks.has(name));
  return withheld.length === 0 ? lease : { ...lease, withheld };
}

/** What the agent runs on, as far as it was ever granted. */
function claimsOf({ overlays, withheld }: Lease): Lease['withheld'] {
  const own = overlays.map(({ name, subnet, subnet6 }) => ({ name, subnet, subnet6 }));
  return [...own, ...withheld].filter(({ subnet, subnet6 }) => subnet !== '' || subnet6 !== '');
}

export function leaseNetworkOf(network: sublet.v1.Network.$Properties): LeaseNetwork {
  return {
    vtepSubnet: network.vtepSubnet ?? '',
    vtepSubnet6: network.vtepSubnet6 ?? '',
    vtepMacOui: network.vtepMacOui ?? '',
    vtepMtu: network.vtepMtu ?? 0,
    overlays: (network.overlays ?? []).map((overlay) => ({
      name: overlay.name ?? '',
      subnet: overlay.subnet ?? '',
      prefix: overlay.prefix ?? 0,
      subnet6: overlay.subnet6 ?? '',
      prefix6: overlay.prefix6 ?? 0,
      enabled: overlay.enabled ?? false,
      draining: overlay.draining ?? false,
    })),
  };
}

/** The lease without these overlays. */
export function without(lease: Lease, names: ReadonlySet<string>): Lease {
  return { ...lease, overlays: lease.overlays.filter(({ name }) => !names.has(name)) };
}

/** The holder of a lease: what keep-alives, reports and leaves have in common. */
export type LeaseKey = Pick<Lease, 'agentId' | 'instanceId' | 'epoch' | 'clusterId' | 'incarnation'>;

export function keyOf({ agentId, instanceId, epoch, clusterId, incarnation }: Lease): LeaseKey {
  return { agentId, instanceId, epoch, clusterId, incarnation };
}

/** The newest revision that a master sent with a branch of its history. */
export type Seen = { readonly revision: number; readonly branch: string };

/** The holdings that the agent claims, and the last revision and branch that it got. */
export function heldOf(lease: Lease, { revision, branch }: Seen): NonNullable<RegisterRequest['held']> {
  return {
    clusterId: lease.clusterId,
    incarnation: lease.incarnation,
    epoch: lease.epoch,
    ...(branch === '' ? {} : { revision, branch }),
    vtepIp: lease.vxlan.vtepIp,
    subnets: claimsOf(lease).map(({ name, subnet, subnet6 }) => ({ overlay: name, subnet, subnet6 })),
  };
}

/**
 * Whether the agent should register again: something it could hold more of, or that its own addresses follow from,
 * has changed since `lease.network`. Disabling and removing change nothing of what it holds.
 */
export function asksForMore(lease: Lease, network: LeaseNetwork): boolean {
  const before = lease.network;
  if (before.vtepSubnet !== network.vtepSubnet || before.vtepSubnet6 !== network.vtepSubnet6) return true;
  if (before.vtepMtu !== network.vtepMtu) return true;
  const lacking = new Set(lease.problems.map(({ overlay }) => overlay));
  return network.overlays.some((overlay) => {
    if (!overlay.enabled) return false;
    const old = before.overlays.find(({ name }) => name === overlay.name);
    if (old === undefined || !old.enabled) return true;
    return lacking.has(overlay.name) && (old.subnet !== overlay.subnet || old.subnet6 !== overlay.subnet6);
  });
}

function bridgeOf(bridge: sublet.v1.Bridge.$Properties): LeasedBridge {
  return { name: bridge.name ?? '', ip: bridge.ip ?? '', ip6: bridge.ip6 ?? '' };
}

function given<T>(value: T | null | undefined, field: string): T {
  if (value === null || value === undefined) {
    throw new MasterError('unavailable', 'INTERNAL', `the master's answer to Register lacks ${field}`);
  }
  return value;
}
