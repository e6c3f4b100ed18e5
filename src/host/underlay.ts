/** Finds the interface that carries the node's address. */
import type { Underlay } from '#host/desired.js';
import type { ObservedHost } from '#host/observed.js';
import { addressOf } from '#host/text.js';

export function underlayOf({ links }: Pick<ObservedHost, 'links'>, nodeIp: string): Underlay | undefined {
  for (const { name, mtu, addresses } of links.values()) {
    if (addresses.some((cidr) => addressOf(cidr) === nodeIp)) return { device: name, mtu };
  }
  return undefined;
}
