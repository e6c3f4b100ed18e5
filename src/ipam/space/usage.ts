/**
 * How much of each address space is let, and whose one address is: what operators look at.
 */
import type { Cidr, Ip } from '#address/ip.js';
import type { AgentId } from '#ipam/identity.js';
import type { Overlay } from '#ipam/network.js';

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

/** Whose an address is. `agentId` is the holder's, or with `reserved` whom it waits for. */
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
    }
  | {
      readonly kind: 'overlay';
      readonly ip: Ip;
      readonly overlay: string;
      /** The block that contains the address. */
      readonly subnet: Cidr;
      readonly state: BlockState;
      readonly agentId: AgentId | undefined;
      /** The half that contains it, `m-dcos`; undefined where no agent holds the block, or its host does not have that bridge. */
      readonly bridge: string | undefined;
    };

/** A block kept for one agent. */
export type Reservation = {
  /** Undefined: an address of the VTEP subnet. */
  readonly overlay: string | undefined;
  readonly subnet: Cidr;
  readonly agentId: AgentId;
};

/** A range without allocation. */
export type Exclusion = { readonly overlay: string | undefined; readonly subnet: Cidr };
