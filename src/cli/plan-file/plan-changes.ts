/** What has to change so that the masters' plan is as a file says, and what can't be changed to that. */
import { AddressError } from '#address/brand.js';
import { coversCidr, parseCidr } from '#address/ip.js';
import type { PlanCall } from '#cli/plan-file/plan-calls.js';
import { overlayUse } from '#cli/words.js';
import type { PlanFile, PlanOverlay, PlanRange, PlanReservation } from '#config/files/plan-file.js';
import type { Finding } from '#config/schema/document.js';
import type { sublet } from '#proto/sublet.js';
import { formatDuration } from '#text/duration.js';

/** The plan as the masters have it, at one revision. */
export type LivePlan = {
  readonly clusterId: string;
  readonly revision: number;
  readonly network: sublet.v1.Network.$Properties;
  readonly reservations: readonly sublet.v1.Reservation.$Properties[];
};

export type PlanChange = {
  /** Added, changed or removed. */
  readonly sign: '+' | '~' | '-';
  /** `overlay blue: 10.1.0.0/16 in pieces of /24` */
  readonly what: string;
  readonly call: PlanCall;
  /** Whether it can't be undone. */
  readonly lasting: boolean;
};

export type PlanDiff = {
  /** In the order in which they are made. */
  readonly changes: readonly PlanChange[];
  /** What the masters have and the file has not; it stays. `overlay blue` */
  readonly unlisted: readonly string[];
  /** What the file says and no call brings about. */
  readonly impossible: readonly Finding[];
};

/** @param prune whether what the file does not list is removed, in the lists that it has */
export function planDiff(live: LivePlan, wanted: PlanFile, prune: boolean): PlanDiff {
  const parts = [networkDiff(live, wanted), ...overlaysDiff(live, wanted), rangesDiff(live, wanted, prune)];
  const removals = removedOverlays(live, wanted);
  return {
    changes: [...parts.flatMap(({ changes }) => changes), ...(prune ? removals.map(removal) : [])],
    unlisted: [
      ...parts.flatMap(({ unlisted }) => unlisted),
      ...(prune ? [] : removals.map((name) => `overlay ${name}`)),
    ],
    impossible: parts.flatMap(({ impossible }) => impossible),
  };
}

function diff(parts: Partial<PlanDiff>): PlanDiff {
  return { changes: [], unlisted: [], impossible: [], ...parts };
}

/** A setting that is made with the cluster, and stays. */
type Fixed = readonly [key: string, wanted: string | number | undefined, live: string | number | null | undefined];

function networkDiff({ network, clusterId }: LivePlan, wanted: PlanFile): PlanDiff {
  const fixed: readonly Fixed[] = [
    ['vtep_mac_oui', wanted.network.vtepMacOui, network.vtepMacOui],
    ['vtep_name', wanted.network.vtepName, network.vtepName],
    ['vni', wanted.network.vni, network.vni],
    ['vxlan_port', wanted.network.vxlanPort, network.vxlanPort],
  ];
  const impossible: Finding[] = fixed.flatMap(([key, value, of]) =>
    value === undefined || value === of
      ? []
      : [{ path: ['network', key], message: `${value}: the plan has ${of}, which can’t be changed` }],
  );
  if (wanted.clusterId !== undefined && wanted.clusterId !== clusterId) {
    impossible.push({ path: ['cluster'], message: `${wanted.clusterId}: the masters are of cluster ${clusterId}` });
  }
  const grown = [
    grownSubnet(['network', 'vtep_subnet'], network.vtepSubnet, wanted.network.vtepSubnet),
    grownSubnet(['network', 'vtep_subnet6'], network.vtepSubnet6, wanted.network.vtepSubnet6),
  ];
  const [vtepSubnet, vtepSubnet6] = grown.map(({ to }) => to);
  const changes: PlanChange[] = [];
  if (vtepSubnet !== undefined || vtepSubnet6 !== undefined) {
    const request = { ...(vtepSubnet && { vtepSubnet }), ...(vtepSubnet6 && { vtepSubnet6 }) };
    const what = [
      ...(vtepSubnet ? [`network.vtep_subnet: ${network.vtepSubnet || 'none'} → ${vtepSubnet}`] : []),
      ...(vtepSubnet6 ? [`network.vtep_subnet6: ${network.vtepSubnet6 || 'none'} → ${vtepSubnet6}`] : []),
    ].join(', ');
    changes.push({ sign: '~', what, call: { method: 'updateNetwork', request }, lasting: true });
  }
  changes.push(...settingsChange(network, wanted));
  return diff({ changes, impossible: [...impossible, ...grown.flatMap(({ finding }) => (finding ? [finding] : []))] });
}

function settingsChange(network: sublet.v1.Network.$Properties, wanted: PlanFile): readonly PlanChange[] {
  const { vtepMtu } = wanted.network;
  const { quarantineMs, reclaimMs } = wanted.lease;
  const mtu = (bytes: number): string => (bytes === 0 ? 'by the underlay' : String(bytes));
  const reclaim = (ms: number): string => (ms === 0 ? 'never' : formatDuration(ms));
  const [oldMtu, oldQuarantine, oldReclaim] = [network.vtepMtu ?? 0, network.quarantineMs ?? 0, network.reclaimMs ?? 0];
  const request = {
    ...(vtepMtu !== undefined && vtepMtu !== oldMtu && { vtepMtu }),
    ...(quarantineMs !== undefined && quarantineMs !== oldQuarantine && { quarantineMs }),
    ...(reclaimMs !== undefined && reclaimMs !== oldReclaim && { reclaimMs }),
  };
  const what = [
    ...(request.vtepMtu === undefined ? [] : [`network.vtep_mtu: ${mtu(oldMtu)} → ${mtu(request.vtepMtu)}`]),
    ...(request.quarantineMs === undefined
      ? []
      : [`lease.quarantine: ${formatDuration(oldQuarantine)} → ${formatDuration(request.quarantineMs)}`]),
    ...(request.reclaimMs === undefined
      ? []
      : [`lease.reclaim: ${reclaim(oldReclaim)} → ${reclaim(request.reclaimMs)}`]),
  ];
  if (what.length === 0) return [];
  return [{ sign: '~', what: what.join(', '), call: { method: 'updateNetwork', request }, lasting: false }];
}

/** The subnet to grow to; undefined: it is as it should be, or can't be. */
function grownSubnet(
  path: Finding['path'],
  from: string | null | undefined,
  to: string | undefined,
): { readonly to?: string; readonly finding?: Finding } {
  if (to === undefined || to === '' || to === from) return {};
  if (!from || covers(to, from)) return { to };
  return { finding: { path, message: `${to} does not contain ${from}, which the plan has: a subnet only grows` } };
}

/** Whether one network contains the other; `inner` is a master's, and may be no network. */
function covers(outer: string, inner: string): boolean {
  try {
    return coversCidr(parseCidr(outer), parseCidr(inner));
  } catch (error) {
    if (error instanceof AddressError) return false;
    throw error;
  }
}

function overlaysDiff({ network }: LivePlan, { overlays = [] }: PlanFile): readonly PlanDiff[] {
  const live = new Map((network.overlays ?? []).map((overlay) => [overlay.name, overlay]));
  return overlays.map((wanted, at) => {
    const found = live.get(wanted.name);
    return found === undefined ? added(wanted) : changed(found, wanted, ['network', 'overlays', at]);
  });
}

function added(wanted: PlanOverlay): PlanDiff {
  const { name, subnet, prefix, subnet6, prefix6, state } = wanted;
  const overlay = { name, subnet, prefix, subnet6, prefix6, enabled: state === 'enabled' };
  const add: PlanChange = {
    sign: '+',
    what: `overlay ${described(wanted)}`,
    call: { method: 'addOverlay', request: { overlay } },
    lasting: false,
  };
  return diff({ changes: state === 'draining' ? [add, drain(name, 'disabled')] : [add] });
}

function described({ name, subnet, prefix, subnet6, prefix6, state }: PlanOverlay): string {
  const spaces = [subnet && `${subnet} in pieces of /${prefix}`, subnet6 && `${subnet6} in pieces of /${prefix6}`];
  return `${name}: ${[...spaces.filter(Boolean), state].join(', ')}`;
}

function drain(name: string, before: string): PlanChange {
  const call: PlanCall = { method: 'updateOverlay', request: { name, drain: true } };
  return { sign: '~', what: `overlay ${name}: ${before} → draining`, call, lasting: true };
}

function changed(live: sublet.v1.Overlay.$Properties, wanted: PlanOverlay, path: Finding['path']): PlanDiff {
  const { name } = wanted;
  const again = 'remove the overlay and add it again';
  const impossible: Finding[] = [];
  const parts = [
    ['subnet', 'prefix', live.subnet, live.prefix, wanted.subnet, wanted.prefix],
    ['subnet6', 'prefix6', live.subnet6, live.prefix6, wanted.subnet6, wanted.prefix6],
  ] as const;
  const grown: { subnet?: string; subnet6?: string } = {};
  const what: string[] = [];
  for (const [key, prefixKey, from, fromPrefix, to, toPrefix] of parts) {
    if (!from !== !to) {
      const message = from ? `is missing: the plan has ${from}: ${again}` : `${to}: the plan has none: ${again}`;
      impossible.push({ path: [...path, key], message });
      continue;
    }
    if (to && fromPrefix !== toPrefix) {
      impossible.push({
        path: [...path, prefixKey],
        message: `${toPrefix}: the plan has ${fromPrefix ?? 0}: ${again}`,
      });
    }
    const { to: larger, finding } = grownSubnet([...path, key], from, to);
    if (finding) impossible.push(finding);
    if (larger) {
      grown[key] = larger;
      what.push(`${from} → ${larger}`);
    }
  }
  const before = overlayUse(live);
  const grow: PlanChange = {
    sign: '~',
    what: `overlay ${name}: ${what.join(', ')}`,
    lasting: true,
    call: { method: 'updateOverlay', request: { name, ...grown } },
  };
  const changes = what.length === 0 ? [] : [grow];
  if (wanted.state === before) return diff({ changes, impossible });
  const enabled = wanted.state === 'enabled';
  const turn: PlanChange =
    wanted.state === 'draining'
      ? drain(name, before)
      : {
          sign: '~',
          what: `overlay ${name}: ${before} → ${wanted.state}`,
          lasting: false,
          call: { method: 'updateOverlay', request: { name, enabled } },
        };
  return diff({ changes: [...changes, turn], impossible });
}

function removedOverlays({ network }: LivePlan, { overlays }: PlanFile): readonly string[] {
  if (overlays === undefined) return [];
  const listed = new Set(overlays.map(({ name }) => name));
  return (network.overlays ?? []).flatMap(({ name }) => (name && !listed.has(name) ? [name] : []));
}

function removal(name: string): PlanChange {
  return { sign: '-', what: `overlay ${name}`, call: { method: 'removeOverlay', request: { name } }, lasting: true };
}

/** Without agent and node address the range is excluded. */
type Range = PlanReservation;

function rangesDiff(live: LivePlan, wanted: PlanFile, prune: boolean): PlanDiff {
  const { reservations, exclusions } = wanted;
  const now = new Map(
    live.reservations.map(({ overlay, subnet, agentId, nodeIp }) => {
      const range: Range = { overlay: overlay ?? '', subnet: subnet ?? '', agent: agentId ?? '', nodeIp: nodeIp ?? '' };
      return [keyOf(range), range];
    }),
  );
  const all: readonly Range[] = [
    ...(reservations ?? []),
    ...(exclusions ?? []).map((each) => ({ ...each, agent: '' })),
  ];
  const listed = new Map(all.map((range) => [keyOf(range), range]));
  const removed: PlanChange[] = [];
  const addedRanges: PlanChange[] = [];
  const unlisted: string[] = [];
  for (const [key, range] of now) {
    const other = listed.get(key);
    if (other !== undefined && !sameUse(other, range)) removed.push(unreserve(range));
    if (other !== undefined || (isExcluded(range) ? exclusions : reservations) === undefined) continue;
    if (prune) removed.push(unreserve(range));
    else unlisted.push(wordsOf(range));
  }
  for (const [key, range] of listed) {
    const there = now.get(key);
    if (there !== undefined && sameUse(there, range)) continue;
    const { overlay, subnet, agent: agentId, nodeIp = '' } = range;
    const request = { overlay, subnet, agentId, nodeIp };
    addedRanges.push({ sign: '+', what: wordsOf(range), call: { method: 'reserve', request }, lasting: false });
  }
  return diff({ changes: [...removed, ...addedRanges], unlisted });
}

function unreserve(range: Range): PlanChange {
  const request = { overlay: range.overlay, subnet: range.subnet };
  return { sign: '-', what: wordsOf(range), call: { method: 'unreserve', request }, lasting: false };
}

function sameUse(a: Range, b: Range): boolean {
  return a.agent === b.agent && (a.nodeIp ?? '') === (b.nodeIp ?? '');
}

function isExcluded({ agent, nodeIp = '' }: Range): boolean {
  return agent === '' && nodeIp === '';
}

function keyOf({ overlay, subnet }: PlanRange): string {
  return `${overlay} ${subnet}`;
}

function wordsOf(range: Range): string {
  const { overlay, subnet, agent, nodeIp = '' } = range;
  const of = overlay === '' ? 'the VTEP subnet' : overlay;
  if (isExcluded(range)) return `exclusion of ${subnet} of ${of}`;
  return `reservation of ${subnet} of ${of} for ${nodeIp === '' ? agent : `node ${nodeIp}`}`;
}
