/**
 * What others have set up on this host that swallows the overlays' packets though every entry of ours is in place:
 * packet filters before or beside ours, and addresses that hide a peer's subnet. Pure. What is certain makes the
 * overlay fail, with the cause and the command that opens it; what is possible is a note.
 */

import type { StepPlan } from '#host/apply/step-plan.js';
import type { DesiredHost } from '#host/desired/desired.js';
import { underlayOf } from '#host/desired/underlay.js';
import type { Step } from '#host/diff/host-step.js';
import { readAddressRange } from '#host/filter/address-range.js';
import type { FilterTable, Packet } from '#host/filter/filter-table.js';
import { openForward, openPort, placeWords } from '#host/filter/firewall-remedy.js';
import { type DropPlace, fateOf, type PacketFate } from '#host/filter/packet-fate.js';
import type { ObservedHost } from '#host/observe/observed.js';
import { hostScope, overlayScope, type Problem, partOf } from '#host/problem.js';
import { isIpv6Text } from '#host/tools/text.js';

/** Peers whose way in and out is judged; filters that tell more of them apart than that are rare. */
const peersMax = 16;

/** `steps` of this pass are not run yet: what they will open is not judged before. */
export function diffBlackholes(desired: DesiredHost, observed: ObservedHost, steps: readonly Step[]): StepPlan {
  const { tables, unread } = observed.filters;
  const waits = steps.some(({ part }) => part === 'forward' || part === 'forward6');
  const problems = [
    ...(desired.overlays.length === 0 ? [] : unread.map(unreadNote)),
    ...tunnelProblems(desired, observed),
    ...(waits ? [] : bridgesOf(desired).flatMap((bridge) => forwardProblems(tables, desired, bridge))),
  ];
  return { steps: [], problems: unique(problems) };
}

function unreadNote(why: string): Problem {
  const error = `whether a firewall in nftables drops the overlays' packets is unknown: ${why}`;
  return { scope: hostScope, part: 'device', error, note: true };
}

/** The tunnel's own packets, which come and go by the underlay. */
function tunnelProblems({ device: wish, fdb }: DesiredHost, observed: ObservedHost): Problem[] {
  if (wish.kind !== 'present') return [];
  const { device } = wish;
  const underlay = underlayOf(observed, device.local);
  if (underlay === undefined || observed.filters.tables.length === 0) return [];
  const peers = [...new Set(firstOf(fdb.values(), peersMax))];
  const question = {
    tables: observed.filters.tables,
    underlay: underlay.device,
    local: device.local,
    port: device.port,
  };
  const [first] = [...peers.flatMap((peer) => tunnelDrops({ ...question, peer }))].toSorted(
    (a, b) => Number(b.certain) - Number(a.certain),
  );
  if (first === undefined) return [];
  return [{ scope: hostScope, part: 'device', error: dropWords(first), ...(first.certain ? {} : { note: true }) }];
}

function firstOf<Value>(values: Iterable<Value>, count: number): Value[] {
  const taken: Value[] = [];
  for (const value of values) {
    if (taken.length >= count) break;
    taken.push(value);
  }
  return taken;
}

export type TunnelQuestion = {
  readonly tables: readonly FilterTable[];
  /** Device that has the node's address. */
  readonly underlay: string;
  readonly local: string;
  /** UDP port of the tunnel. */
  readonly port: number;
  /** Node address of a peer; absent: any. */
  readonly peer?: string;
};

export type Drop = {
  /** What drops, and where; one line. */
  readonly says: string;
  /** The command that opens it. */
  readonly todo: string;
  /** False: it may. */
  readonly certain: boolean;
};

/** What keeps the tunnel's packets from coming in, and from going out. */
export function tunnelDrops({ tables, underlay, local, port, peer }: TunnelQuestion): Drop[] {
  const family = isIpv6Text(local) ? 6 : 4;
  const [here, there] = [readAddressRange(local), peer === undefined ? undefined : readAddressRange(peer)];
  const common = { family, protocol: 'udp', port } as const;
  const into: Packet = { ...common, in: underlay, ...withAddresses(there, here) };
  const out: Packet = { ...common, out: underlay, ...withAddresses(here, there) };
  const from = peer === undefined || peer.includes('/') ? 'the peers' : peer;
  const open = (by: DropPlace) => openPort(by, port);
  const words = (way: string) => (by: DropPlace, does: string) =>
    `UDP port ${port}, the tunnel's, ${does} here ${way} ${from}: ${placeWords(by)}`;
  return [
    ...dropOf(fateOf(tables, into, ['ingress', 'prerouting', 'input']), words('when it comes from'), open),
    ...dropOf(fateOf(tables, out, ['output', 'postrouting', 'egress']), words('on its way to'), open),
  ];
}

/** As the status shows it. */
export function dropWords({ says, todo }: Drop): string {
  return `${says}; open it: ${todo}`;
}

function withAddresses(source: Packet['source'], destination: Packet['destination']) {
  return { ...(source === undefined ? {} : { source }), ...(destination === undefined ? {} : { destination }) };
}

function dropOf(
  fate: PacketFate,
  words: (by: DropPlace, does: string) => string,
  open: (by: DropPlace) => string,
): Drop[] {
  if (fate.kind === 'passes') return [];
  const { by, certain } = fate;
  return [{ says: words(by, certain ? 'is dropped' : 'may be dropped'), todo: open(by), certain }];
}

type JudgedBridge = {
  readonly overlay: string;
  readonly bridge: string;
  /** Its own range in this family, and the whole overlay's. */
  readonly range: string;
  readonly overlayRange: string;
};

/** A bridge once for each family that it has. */
function bridgesOf({ bridges, docker, ranges }: DesiredHost): JudgedBridge[] {
  const all = [
    ...bridges.map(({ overlay, name, gateways }) => ({ overlay, bridge: name, ranges: gateways })),
    ...docker.map(({ overlay, bridge, subnet, subnet6 }) => {
      return { overlay, bridge, ranges: [subnet, subnet6].filter((range) => range !== undefined) };
    }),
  ];
  return all.flatMap(({ overlay, bridge, ranges: own }) =>
    own.flatMap((range) => {
      const whole = ranges.find(({ name }) => name === overlay);
      const overlayRange = isIpv6Text(range) ? whole?.subnet6 : whole?.subnet;
      return overlayRange === undefined ? [] : [{ overlay, bridge, range, overlayRange }];
    }),
  );
}

function forwardProblems(tables: readonly FilterTable[], { device }: DesiredHost, judged: JudgedBridge): Problem[] {
  if (device.kind !== 'present') return [];
  const { overlay, bridge, range, overlayRange } = judged;
  const ends = { own: readAddressRange(range), all: readAddressRange(overlayRange) };
  const family = isIpv6Text(range) ? 6 : 4;
  const [drop] = forwardDrops(tables, device.device.name, bridge, family, ends);
  if (drop === undefined) return [];
  const part = partOf('forward', family);
  return [{ scope: overlayScope(overlay), part, error: dropWords(drop), ...(drop.certain ? {} : { note: true }) }];
}

/** What keeps packets from being forwarded between the tunnel and a bridge; the certain ones first. */
export function forwardDrops(
  tables: readonly FilterTable[],
  vtep: string,
  bridge: string,
  family: Packet['family'],
  ends: { readonly own?: Packet['source']; readonly all?: Packet['source'] } = {},
): Drop[] {
  const common = { family, protocol: 'tcp' } as const;
  const into: Packet = { ...common, in: vtep, out: bridge, ...withAddresses(ends.all, ends.own) };
  const out: Packet = { ...common, in: bridge, out: vtep, ...withAddresses(ends.own, ends.all) };
  const open = (by: DropPlace) => openForward(by, vtep, bridge);
  const words = (from: string, to: string) => (by: DropPlace, does: string) =>
    `what is forwarded from ${from} to ${to} ${does} on this host: ${placeWords(by)}`;
  const hooks = ['ingress', 'prerouting', 'forward', 'postrouting', 'egress'] as const;
  return [
    ...dropOf(fateOf(tables, into, hooks), words(vtep, bridge), open),
    ...dropOf(fateOf(tables, out, hooks), words(bridge, vtep), open),
  ].toSorted((a, b) => Number(b.certain) - Number(a.certain));
}

function unique(problems: readonly Problem[]): Problem[] {
  const seen = new Map(problems.map((problem) => [JSON.stringify(problem), problem]));
  return [...seen.values()];
}
