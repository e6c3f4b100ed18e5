/**
 * How Sublet's things on a host are distinguished from all others. Only what carries one of these marks is ever changed
 * or removed.
 */

/** Routing protocol number of our routes, rules and neighbours; unassigned in the kernel and in iproute2. */
export const routeProtocol = 205;
/** Table of the source routes: how containers reach the hosts of other agents. */
export const sourceTable = 42;
/** Where our rules stand: after `local` (0), well before `main` (32766). */
export const rulePreference = 32042;

/** Chain of our own in the filter table. */
export const forwardChain = 'SUBLET-FORWARD';
/** Sets of what is masqueraded: everything but overlay subnets. The first name is DC/OS's. */
export const masqueradeSet = { 4: 'overlay', 6: 'overlay6' } as const;
/** Chain of our own in the table `raw`, and the sets that it looks at: node addresses of the peers, and what is guarded. */
export const guardChain = 'SUBLET-GUARD';
export const peersSet = { 4: 'sublet-peers', 6: 'sublet-peers6' } as const;
export const guardedSet = { 4: 'sublet-guarded', 6: 'sublet-guarded6' } as const;

/** Labels on our Docker networks. */
export const dockerLabel = { cluster: 'sublet.cluster', overlay: 'sublet.overlay' } as const;

/** Alias of our devices, comment of our iptables rules and ipset entries. */
export function markOf(clusterId: string): string {
  return `sublet:${clusterId}`;
}

/** The marks that count as ours: of this cluster and of what it was before a recovery. */
export type Marks = { readonly current: string; readonly all: ReadonlySet<string> };

export function marksOf(clusterId: string, formerClusterIds: readonly string[]): Marks {
  return { current: markOf(clusterId), all: new Set([clusterId, ...formerClusterIds].map(markOf)) };
}
