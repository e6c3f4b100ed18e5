/** How much of each address space is allocated, and which agent holds an address: what operators look at. */
import { type Cidr, formatIp, type Ip } from '#address/ip.js';
import type { AgentId } from '#ipam/identity.js';
import type { Overlay } from '#ipam/network.js';
import type { NodeIp } from '#ipam/registration-fields.js';

/** Every block is in exactly one of these. */
export type BlockState = 'held' | 'excluded' | 'quarantined' | 'reserved' | 'free';

/** Blocks in each state; the five add up to `total`. Bigints: an IPv6 overlay can have 2^118 of them. */
export type PoolUsage = Readonly<Record<BlockState, bigint>> & { readonly total: bigint };

/** Blocks of one state that follow one another; `first` counts from the first block of the space. */
export type BlockRun = {
  readonly first: bigint;
  readonly count: bigint;
  readonly state: 'excluded' | 'quarantined' | 'reserved';
};

export type OverlayUsage = {
  readonly overlay: Overlay;
  readonly v4: PoolUsage | undefined;
  readonly v6: PoolUsage | undefined;
};

export type PlanUsage = { readonly vtep: PoolUsage; readonly overlays: readonly OverlayUsage[] };

/**
 * Whose an address is. `agentId` is the holder's, or with `reserved` the agent that it is kept for; `reservedNode` is there
 * with `reserved` alone, where the block is kept for a node address.
 */
export type Lookup =
  | { readonly kind: 'unknown'; readonly ip: Ip }
  | { readonly kind: 'node'; readonly ip: Ip; readonly agentId: AgentId }
  | {
      readonly kind: 'vtep';
      readonly ip: Ip;
      /** The VTEP subnet. */
      readonly subnet: Cidr;
      readonly state: BlockState;
      readonly agentId: AgentId | undefined;
      readonly reservedNode?: NodeIp;
    }
  | {
      readonly kind: 'overlay';
      readonly ip: Ip;
      readonly overlay: string;
      /** The block that contains the address. */
      readonly subnet: Cidr;
      readonly state: BlockState;
      readonly agentId: AgentId | undefined;
      readonly reservedNode?: NodeIp;
      /** The half that contains it, `m-dcos`; undefined where no agent holds the block, or its host does not have that bridge. */
      readonly bridge: string | undefined;
    };

/** What a block is reserved for: one agent, or the agent that registers this node address. */
export type Beneficiary = AgentId | NodeIp;

/** The same as fields: exactly one is there. */
export type ReservedFor =
  | { readonly agentId: AgentId; readonly nodeIp?: undefined }
  | { readonly agentId?: undefined; readonly nodeIp: NodeIp };

export function beneficiaryOf(fields: ReservedFor): Beneficiary {
  return fields.agentId ?? fields.nodeIp;
}

export function reservedForOf(beneficiary: Beneficiary): ReservedFor {
  return typeof beneficiary === 'string' ? { agentId: beneficiary } : { nodeIp: beneficiary };
}

/** `agent "a"`, `node 10.0.0.1` */
export function formatBeneficiary(beneficiary: Beneficiary): string {
  return typeof beneficiary === 'string' ? `agent "${beneficiary}"` : `node ${formatIp(beneficiary)}`;
}

/** A block kept for one agent or node address. */
export type Reservation = {
  /** Undefined: an address of the VTEP subnet. */
  readonly overlay: string | undefined;
  readonly subnet: Cidr;
} & ReservedFor;

/** A range without allocation. */
export type Exclusion = { readonly overlay: string | undefined; readonly subnet: Cidr };
