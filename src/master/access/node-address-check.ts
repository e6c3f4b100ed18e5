/**
 * Which node addresses an agent may register. Every peer sends the traffic for an agent's containers to its node address, so
 * an agent must not name an address of another machine.
 */

import { isLoopback } from '#address/host-address.js';
import { remoteHostOf } from '#address/host-and-port.js';
import { type Cidr, containsIp, formatCidr, formatIp, type Ip, parseIp } from '#address/ip.js';
import { RefusedError } from '#api/refusal.js';
import type { Caller } from '#tls/caller.js';
import { formatPrincipal } from '#tls/principal.js';

export type NodeAddressRules = {
  /** Node addresses lie in one of these, or are the address that the agent calls from; undefined: anywhere. */
  readonly allowed: readonly Cidr[] | undefined;
  /** HOST:PORT of each master, as the other masters reach it. */
  readonly masters: () => readonly string[];
};

/** @throws RefusedError `permission-denied` */
export function checkNodeAddress(action: string, nodeIp: Ip, caller: Caller, rules: NodeAddressRules): void {
  const { principal, address } = caller;
  const from = hostAddress(address);
  if (from === nodeIp) return;
  const { allowed, masters } = rules;
  if (allowed !== undefined && !allowed.some((range) => containsIp(range, nodeIp))) {
    const ranges = allowed.map(formatCidr).join(', ');
    throw refusal(action, nodeIp, { principal, address }, `lies in none of node_ips (${ranges})`);
  }
  // A master that is asked by a process on its own machine sees a loopback address.
  if (principal === undefined || isLoopback(remoteHostOf(address))) return;
  if (masters().some((at) => hostAddress(at) === nodeIp)) {
    throw refusal(action, nodeIp, { principal, address }, 'is the address of a master');
  }
}

function refusal(action: string, nodeIp: Ip, { principal, address }: Caller, why: string): RefusedError {
  const who = principal === undefined ? address : `${formatPrincipal(principal)} at ${address}`;
  return new RefusedError(
    'permission-denied',
    `${action}: node_ip ${formatIp(nodeIp)} ${why}, and ${who} does not call from it`,
  );
}

/** Of HOST:PORT, with an IPv6 address in brackets or without; undefined: the host is a name. */
function hostAddress(at: string): Ip | undefined {
  try {
    return parseIp(remoteHostOf(at));
  } catch {
    return undefined;
  }
}
