/**
 * What keeps a host from its desired state: the overlay or host concerned, the part that it stops, and what to do about
 * it.
 */
import type { Family } from '#address/ip.js';

export type Scope = { readonly kind: 'host' } | { readonly kind: 'overlay'; readonly name: string };

export type Problem = {
  /** A problem of the host is a problem of each overlay that has the part's family. */
  readonly scope: Scope;
  readonly part: Part;
  /** What is wrong and what to do, one line. */
  readonly error: string;
  /** True: the overlay works all the same; said, but no failure. */
  readonly note?: true;
};

/** The parts that fail on their own. Those with a 6 are IPv6's alone: a host without IPv6 has all the others. */
export type Part = 'device' | 'mtu' | 'stale-device' | 'fdb' | 'bridge' | 'cni' | 'docker' | 'files' | Part4 | Part6;
type Part4 = 'sysctl' | 'loose-filter' | TwoFamilyPart;
type Part6 = 'sysctl6' | 'device6' | 'bridge6' | `${TwoFamilyPart}6`;
/** Parts that each family has of its own. */
type TwoFamilyPart = 'peers' | 'source-route' | 'masquerade' | 'forward' | 'guard';

/** The part of one family: `forward` or `forward6`. */
export function partOf(part: TwoFamilyPart, family: Family): Part {
  return family === 4 ? part : `${part}6`;
}

/** The family whose overlays a part serves; undefined: it serves all. */
export function familyOfPart(part: Part): Family | undefined {
  switch (part) {
    case 'sysctl':
    case 'loose-filter':
    case 'peers':
    case 'source-route':
    case 'masquerade':
    case 'forward':
    case 'guard':
      return 4;
    case 'sysctl6':
    case 'device6':
    case 'bridge6':
    case 'peers6':
    case 'source-route6':
    case 'masquerade6':
    case 'forward6':
    case 'guard6':
      return 6;
    case 'device':
    case 'mtu':
    case 'stale-device':
    case 'fdb':
    case 'bridge':
    case 'cni':
    case 'docker':
    case 'files':
      return undefined;
  }
}

/** Whether the overlays work without this part: then its failures are notes. */
export function isBesideOverlays(part: Part): boolean {
  return part === 'guard' || part === 'guard6';
}

export const hostScope: Scope = { kind: 'host' };

export function overlayScope(name: string): Scope {
  return { kind: 'overlay', name };
}
