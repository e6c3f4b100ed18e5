/** Why a peer is not reached: what this host lacks or drops, what the masters know of the peer, and what is between. Pure. */
import { diffBlackholes } from '#host/desired/blackholes.js';
import type { DesiredHost } from '#host/desired/desired.js';
import { portCommandWords } from '#host/filter/firewall-remedy.js';
import type { PingProbe } from '#host/host-status.js';
import type { Peer } from '#host/input.js';
import type { ObservedHost } from '#host/observe/observed.js';
import { smallBytes } from '#host/reach/ping-probe.js';
import { addressOf } from '#host/tools/text.js';

/** What the masters know of a peer. */
export type PeerKnowledge =
  /** The masters were not asked, or know of nothing wrong. */
  | { readonly kind: 'none' }
  /** No overlay of it is built: it runs with `--network plan`, or has just started. */
  | { readonly kind: 'nothing-built' }
  | { readonly kind: 'silent' }
  /** `errors` are its overlays' own. */
  | { readonly kind: 'failed'; readonly errors: readonly string[] };

export type PingQuestion = {
  readonly peer: Peer;
  readonly probes: readonly PingProbe[];
  readonly wish: DesiredHost;
  readonly observed: ObservedHost;
  readonly known: PeerKnowledge;
};

/** What is certain on this host first; then what the peer says of itself; then what the probes tell of the way. */
export function causesOf(question: PingQuestion): string[] {
  const { peer, probes, wish, observed } = question;
  const missing = missingEntries(peer, wish, observed);
  if (missing.length > 0) return missing;
  const lacksTool = probes.map(({ says }) => says).find((says) => says.includes('not installed'));
  if (lacksTool !== undefined) return [lacksTool];
  const here = diffBlackholes(wish, observed, []).problems.filter(({ note }) => note === undefined);
  const causes = [...new Set([...here.map(({ error }) => error), ...toldBy(question)])];
  // What a peer says of its own overlays may have nothing to do with the way to it.
  const explains = here.length > 0 || question.known.kind === 'nothing-built' || question.known.kind === 'silent';
  return explains ? causes : [...causes, ...wayCauses(question)];
}

function toldBy({ peer: { agentId }, known }: PingQuestion): string[] {
  switch (known.kind) {
    case 'none':
      return [];
    case 'nothing-built':
      return [
        `${agentId} has built nothing on its host, so nothing answers there: it runs with --network plan, or has just started`,
      ];
    case 'silent':
      return [`the masters do not hear ${agentId} either: its host or its agent is down`];
    case 'failed':
      return known.errors.map((error) => `${agentId} says of its own host: ${error}`);
  }
}

function wayCauses({ peer, probes, wish }: PingQuestion): string[] {
  const passed = (path: PingProbe['path'], isSmall: boolean) =>
    probes.some((one) => one.path === path && one.ok && (one.packetBytes === smallBytes) === isSmall);
  const failedBridge = probes.find(({ path, ok }) => path === 'bridge' && !ok);
  if (failedBridge !== undefined) return [bridgeCause(peer, failedBridge)];
  const small = passed('vtep', true) || passed('hop', true);
  const full = passed('vtep', false) || passed('hop', false);
  if (small && !full) {
    return [
      'small packets pass and full ones do not: the underlay between the hosts carries less than its MTU here; lower vtep_mtu or raise that MTU',
    ];
  }
  const device = wish.device.kind === 'present' ? wish.device.device : undefined;
  const port = device?.port ?? 0;
  const open = `open it there for ${device?.local ?? 'this host'}: ${portCommandWords(port)}`;
  if (!passed('underlay', true)) {
    return [
      `the host itself does not answer at ${peer.nodeIp} beside the tunnel: it is down or unreachable, or its firewall drops ICMP and, it may be, UDP port ${port}, the tunnel's; ${open}`,
    ];
  }
  return [
    `this host has every entry and ${peer.nodeIp} answers beside the tunnel: UDP port ${port} is blocked between the hosts, or the other side lacks its entries for this host ("sublet agent ping" there tells); ${open}`,
  ];
}

function bridgeCause({ agentId }: Peer, { says }: PingProbe): string {
  return `the tunnel passes, and what this host's bridge sends to the subnet of ${agentId} does not come back (${says}): see "ip route get" from this bridge's address to that subnet, and there to this one's; a route or address that is not Sublet's may be in the way`;
}

function missingEntries(peer: Peer, wish: DesiredHost, observed: ObservedHost): string[] {
  if (wish.device.kind !== 'present') return wish.problems.map(({ error }) => error);
  const { name } = wish.device.device;
  const link = observed.links.get(name);
  if (link === undefined) return [`the device ${name} is missing on this host`];
  if (!link.up) return [`the device ${name} is down on this host`];
  const missing: string[] = [];
  const compare = (
    what: string,
    wanted: ReadonlyMap<string, string>,
    there: ReadonlyMap<string, string>,
    key: string | undefined,
  ) => {
    if (key === undefined || !wanted.has(key) || wanted.get(key) === there.get(key)) return;
    missing.push(
      `${what} ${key} → ${wanted.get(key)} is ${there.has(key) ? `${there.get(key)} instead` : 'missing'} on this host`,
    );
  };
  compare('neighbour', wish.neighbours, observed.neighbours, peer.vtepIp);
  compare('neighbour', wish.neighbours, observed.neighbours, peer.vtepIp6);
  compare('FDB entry', wish.fdb, observed.fdb, peer.vtepMac);
  const own = wish.device.device.addresses.find((cidr) => !link.addresses.includes(cidr));
  if (own !== undefined) missing.push(`address ${addressOf(own)} of ${name} is missing on this host`);
  return missing;
}
