/**
 * One host's part of the plan, as other rooms see it: what it said of itself and all its blocks, worked out in full.
 * `agent-record.ts` is the compact form that is kept.
 */
import type { Cidr4, Interface4 } from '#address/cidr4.js';
import type { Cidr6, Interface6 } from '#address/cidr6.js';
import type { Ip } from '#address/ip.js';
import type { Mac } from '#address/mac.js';
import type { AgentId, InstanceId } from '#ipam/identity.js';
import type { Overlay } from '#ipam/network.js';

/**
 * What the agent wants. `overlayMtu` is in bytes. Without `split` the one bridge that is wanted has the whole subnet.
 */
export type NetworkConfig = {
  readonly allocateSubnet: boolean;
  readonly mesosBridge: boolean;
  readonly dockerBridge: boolean;
  readonly enableIpv6: boolean;
  readonly overlayMtu: number;
  readonly split: boolean;
};

/** The tunnel endpoint; every part but the address follows from the network. */
export type Vxlan = {
  readonly vni: number;
  readonly vtepName: string;
  /** With the prefix of the VTEP subnet: 44.128.0.1/20. */
  readonly vtepIp: Interface4;
  readonly vtepIp6: Interface6 | undefined;
  readonly vtepMac: Mac;
  /** 0: the underlay's MTU less the encapsulation. */
  readonly vtepMtu: number;
  readonly vxlanPort: number;
};

/** A half of the agent's piece, or the whole of it; the first host is the gateway. */
export type Bridge = { readonly name: string; readonly ip: Cidr4 | undefined; readonly ip6: Cidr6 | undefined };

/** `none`: the agent has not reported. `planned`: it builds nothing on its host. `error` is set with `failed` only. */
export type OverlayStatus = 'none' | 'ok' | 'failed' | 'configuring' | 'planned';

export type AgentOverlay = {
  readonly info: Overlay;
  readonly subnet: Cidr4 | undefined;
  readonly subnet6: Cidr6 | undefined;
  /** Lower half, or the whole; undefined: the agent wants none. */
  readonly mesosBridge: Bridge | undefined;
  /** Upper half, or the whole; undefined: the agent wants none. */
  readonly dockerBridge: Bridge | undefined;
  readonly status: OverlayStatus;
  readonly error: string;
};

export type FullAgent = {
  readonly agentId: AgentId;
  readonly instanceId: InstanceId;
  readonly sequence: number;
  readonly nodeIp: Ip;
  /** False while another agent has taken over its `nodeIp`: peers do not route to it. */
  readonly reachable: boolean;
  readonly hostname: string;
  readonly networkConfig: NetworkConfig;
  readonly vxlan: Vxlan;
  /** Where the agent holds something, in ascending order of name. */
  readonly overlays: readonly AgentOverlay[];
  /** What it did not get when it last registered. */
  readonly problems: readonly OverlayProblem[];
  /** The log index that granted the lease. */
  readonly epoch: number;
  /** When this agent id was first granted what it holds, ms since 1970. For display. */
  readonly registeredAt: number;
};

/**
 * `exhausted`: no block is free. `adoption`: no fresh block is allocated until an operator ends the adoption.
 * `held-by-another`: the agent runs on a block that another one holds or that is set aside.
 */
export type ProblemReason = 'exhausted' | 'adoption' | 'held-by-another';

/** An overlay that the agent did not get, or not whole, and why. */
export type OverlayProblem = {
  readonly overlay: string;
  /** The family whose block was missing. */
  readonly family: 4 | 6;
  readonly reason: ProblemReason;
  readonly message: string;
};
