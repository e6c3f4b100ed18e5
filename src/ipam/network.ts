/**
 * What all agents share: the VTEP network and the overlays. Plain values; `network-check.ts` says which are sound.
 */
import type { Cidr4 } from '#address/cidr4.js';
import type { Cidr6 } from '#address/cidr6.js';
import type { Oui } from '#address/mac.js';

/** An address space and the length of the pieces it is cut into. */
export type Space4 = { readonly subnet: Cidr4; readonly prefix: number };
export type Space6 = { readonly subnet: Cidr6; readonly prefix: number };

/** A named virtual network; at least one of `v4` and `v6` is there. */
export type Overlay = {
  readonly name: string;
  readonly v4: Space4 | undefined;
  readonly v6: Space6 | undefined;
  /** A disabled overlay keeps what is held and allocates no more. */
  readonly enabled: boolean;
  /** Disabled, and agents take it off their hosts and give back what they hold of it. Absent: it is not. */
  readonly draining?: true;
};

export type NetworkSettings = {
  readonly vtepSubnet: Cidr4;
  readonly vtepSubnet6: Cidr6 | undefined;
  readonly vtepMacOui: Oui;
  /** Bytes; 0: the underlay's MTU less the encapsulation. */
  readonly vtepMtu: number;
  readonly vni: number;
  readonly vtepName: string;
  readonly vxlanPort: number;
  /**
   * How long what is released or expired is quarantined before reuse, ms. A change holds for what is freed from then
   * on.
   */
  readonly quarantineMs: number;
  /** The TTL of leases, ms; undefined: only a release frees. */
  readonly reclaimMs: number | undefined;
};

/** Settings and overlays, these in ascending order of name. */
export type Network = NetworkSettings & { readonly overlays: readonly Overlay[] };
