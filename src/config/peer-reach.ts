/**
 * Whether the masters of other machines can reach this one: they can't where its peer port is on loopback. Named only where
 * the configuration itself says that there are other machines.
 */

import { isLoopback } from '#address/host-address.js';
import { formatHostPort, type HostPort } from '#config/host-port.js';
import type { Finding } from '#config/schema/document.js';

export type PeerReach = {
  /** Undefined: not given. */
  readonly peerListen: HostPort | undefined;
  readonly defaultPeerListen: HostPort;
  readonly listen: HostPort | undefined;
  readonly join: readonly HostPort[];
  /** As in `cluster.members`, at their places. */
  readonly members: readonly { readonly name: string | undefined; readonly peer: HostPort | undefined }[];
};

/** What can't work: the default peer port, beside masters to join that are elsewhere. */
export function peerReachFindings(reach: PeerReach): readonly Finding[] {
  const { peerListen, defaultPeerListen, listen } = reach;
  const elsewhere = reach.join.find((peer) => !isLoopback(peer.host));
  if (elsewhere === undefined || peerListen !== undefined) return [];
  const host = listen === undefined || isLoopback(listen.host) || isWildcard(listen) ? 'ADDRESS' : listen.host;
  const example = formatHostPort({ host, port: defaultPeerListen.port });
  const message =
    `is missing beside cluster.join: the default, ${formatHostPort(defaultPeerListen)}, is reached from this machine ` +
    `alone, and ${formatHostPort(elsewhere)} is on another one: set it to an address that the other masters reach, like ${example} (--peer-listen)`;
  return [{ path: ['peer_listen'], message }];
}

/** What works only by way of something between the machines, such as a forwarded port. */
export function peerReachWarnings({ peerListen, join, members }: PeerReach): readonly Finding[] {
  const findings: Finding[] = [];
  const elsewhere = [...join, ...members.flatMap(({ peer }) => (peer === undefined ? [] : [peer]))].find(
    (peer) => !isLoopback(peer.host),
  );
  if (elsewhere === undefined) return [];
  const other = `${formatHostPort(elsewhere)} is on another one`;
  if (peerListen !== undefined && isLoopback(peerListen.host)) {
    const message = `"${formatHostPort(peerListen)}" is reached from this machine alone, and ${other}: set an address that the other masters reach, unless something forwards to it`;
    findings.push({ path: ['peer_listen'], message });
  }
  members.forEach(({ peer }, at) => {
    if (peer === undefined || !isLoopback(peer.host)) return;
    const message = `"${formatHostPort(peer)}" is reached from its own machine alone, and ${other}: name an address that all masters reach`;
    findings.push({ path: ['cluster', 'members', at, 'peer'], message });
  });
  return findings;
}

function isWildcard({ host }: HostPort): boolean {
  return host === '0.0.0.0' || host === '::';
}
