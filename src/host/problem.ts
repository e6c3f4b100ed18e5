/** What keeps a host from being as it should: whom it concerns, which part it stops, and what to do about it. */

export type Scope = { readonly kind: 'host' } | { readonly kind: 'overlay'; readonly name: string };

export interface Problem {
  /** A problem of the host is a problem of each overlay. */
  readonly scope: Scope;
  readonly part: Part;
  /** What is wrong and what to do, one line. */
  readonly error: string;
  /** True: the overlay works all the same; said, but no failure. */
  readonly note?: true;
}

/** The parts that fail on their own. */
export type Part =
  | 'sysctl'
  | 'device'
  | 'peers'
  | 'source-route'
  | 'masquerade'
  | 'forward'
  | 'bridge'
  | 'cni'
  | 'docker';

export const hostScope: Scope = { kind: 'host' };

export function overlayScope(name: string): Scope {
  return { kind: 'overlay', name };
}
