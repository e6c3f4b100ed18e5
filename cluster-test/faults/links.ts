/** Links between hosts that are cut, in one direction or both, by dropping what arrives. */
import type { Netns } from '#cluster-test/host/netns.js';

export type LinkEnd = { readonly netns: Netns; readonly ip: string };

/** Nothing that `from` sends arrives at `to` any more. */
export function cutOneWay(from: LinkEnd, to: LinkEnd): void {
  to.netns.sh(`iptables -w -A INPUT -s ${from.ip} -j DROP`);
}

export function cut(one: LinkEnd, other: LinkEnd): void {
  cutOneWay(one, other);
  cutOneWay(other, one);
}

/** All that arrives at this host counts again. */
export function heal(end: LinkEnd): void {
  end.netns.sh('iptables -w -F INPUT');
}
