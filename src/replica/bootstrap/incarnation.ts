/**
 * Which incarnation a cluster comes from. Its id is chosen by an operator, so two clusters may have the same: a master
 * that bootstrapped alone, has lost its disk and bootstraps again makes the second. The number is made of the founders'
 * stores, whose ids are random: all founders compute the same number without asking, and no later bootstrap computes it
 * again.
 */
import { createHash } from 'node:crypto';
import type { Membership } from '#replica/ports/membership.js';
import type { PeerClaim } from '#replica/ports/peer-network.js';

/** Of a cluster that was bootstrapped by a release that drew none: it differs from no other. */
export const noIncarnation = '';

const hexDigits = 16;

/** 16 hex digits, by the founders in whatever order. */
export function incarnationOf(founders: readonly { readonly name: string; readonly storeId: string }[]): string {
  const stores = founders.map(({ name, storeId }) => `${name}=${storeId}`).sort();
  return createHash('sha256').update(stores.join()).digest('hex').slice(0, hexDigits);
}

/** Whether the two are known, and not the same. */
export function incarnationsDiffer(one: string, other: string): boolean {
  return one !== noIncarnation && other !== noIncarnation && one !== other;
}

/**
 * Why a member that is alone in its cluster stops when a peer of another incarnation counts it among its members: it
 * has lost its data and bootstrapped again. Undefined: it goes on, as a member with peers does.
 */
export function otherIncarnationText(
  { name, peer, clusterId, incarnation }: PeerClaim,
  self: { readonly name: string },
  membership: Pick<Membership, 'clusterId' | 'incarnation' | 'members'>,
): string | undefined {
  const { members } = membership;
  if (clusterId !== membership.clusterId || members.length !== 1) return undefined;
  if (!incarnationsDiffer(incarnation, membership.incarnation)) return undefined;
  const two = `cluster ${clusterId} exists already (incarnation ${incarnation}), with ${self.name} as a member, as ${name} at ${peer} says`;
  const lost = `this store is of a second incarnation (${membership.incarnation}), which ${self.name} made alone: its former data was lost`;
  return `${two}; ${lost}. It leases no more addresses; ${rejoinRemedy(self.name)}`;
}

/** For a member whose data was lost. */
export function rejoinRemedy(name: string): string {
  return `remove it with \`sublet members remove ${name}\`, start it on an empty data directory with --join, and add it with \`sublet members add ${name}=HOST:PORT\``;
}
