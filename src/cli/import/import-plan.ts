/**
 * How the masters' plan takes in the network of another system: the changes that are left to make, and the conflicts
 * that keep them from being made. Pure.
 */
import { parseCidr4 } from '#address/cidr4.js';
import { parseCidr6 } from '#address/cidr6.js';
import { type Cidr, coversCidr, formatCidr, formatIp, isCidr4, overlapsCidr, parseCidr, parseIp } from '#address/ip.js';
import { parseOui } from '#address/mac.js';
import { blockWords, type OldBlock, type OldHost, type OldNetwork, type OldOverlay } from '#cli/import/old-network.js';
import { type LivePlan, type PlanChange, type PlanDiff, planDiff } from '#cli/plan-file/plan-changes.js';
import { overlayUse } from '#cli/words.js';
import type { PlanFile, PlanOverlay } from '#config/files/plan-file.js';
import { checkNetwork } from '#ipam/changes/network-check.js';
import { reservationsMax } from '#ipam/limits.js';
import type { NetworkSettings, Overlay } from '#ipam/network.js';
import type { sublet } from '#proto/sublet.js';

type LiveOverlay = sublet.v1.Overlay.$Properties;
type LiveAgent = sublet.v1.Agent.$Properties;

/** What is left to change. */
export function importDiff(live: LivePlan, old: OldNetwork): PlanDiff {
  const { changes, impossible } = planDiff(live, planFileOf(live, old), false);
  return { changes: [...changes, ...enabled(live, old)], impossible, unlisted: [] };
}

/**
 * A new overlay is added disabled, and enabled once all is reserved: an agent that runs would take the block of a host
 * that has not come yet.
 */
function planFileOf(live: LivePlan, old: OldNetwork): PlanFile {
  const { vtepSubnet, vtepSubnet6, ...settings } = old.settings;
  return {
    clusterId: undefined,
    network: {
      ...settings,
      ...notCovered('vtepSubnet', vtepSubnet, live.network.vtepSubnet),
      ...notCovered('vtepSubnet6', vtepSubnet6, live.network.vtepSubnet6),
    },
    lease: {},
    overlays: old.overlays.map(({ overlay }) => planOverlayOf(overlay, liveOverlay(live, overlay.name))),
    reservations: old.hosts.flatMap(({ nodeIp, blocks }) =>
      blocks.map(({ overlay, subnet }) => ({
        overlay,
        subnet: formatCidr(subnet),
        agent: '',
        nodeIp: formatIp(nodeIp),
      })),
    ),
    exclusions: old.exclusions,
  };
}

function notCovered<Key extends 'vtepSubnet' | 'vtepSubnet6'>(
  key: Key,
  wanted: string | undefined,
  has: string | null | undefined,
): Partial<Record<Key, string>> {
  if (wanted === undefined || (has && coversCidr(parseCidr(has), parseCidr(wanted)))) return {};
  return { [key]: wanted } as Partial<Record<Key, string>>; // A computed key widens to string.
}

/** As the masters have it, where that takes in what is wanted. */
function planOverlayOf({ name, v4, v6 }: Overlay, live: LiveOverlay | undefined): PlanOverlay {
  const takenIn = (
    wanted: { readonly subnet: Cidr; readonly prefix: number } | undefined,
    has: string | null | undefined,
    prefix: number | null | undefined,
  ): readonly [string, number] => {
    if (has && (wanted === undefined || coversCidr(parseCidr(has), wanted.subnet))) return [has, prefix ?? 0];
    return wanted === undefined ? ['', 0] : [formatCidr(wanted.subnet), wanted.prefix];
  };
  const [subnet, prefix] = takenIn(v4, live?.subnet, live?.prefix);
  const [subnet6, prefix6] = takenIn(v6, live?.subnet6, live?.prefix6);
  return { name, subnet, prefix, subnet6, prefix6, state: live === undefined ? 'disabled' : overlayUse(live) };
}

function enabled(live: LivePlan, { overlays }: OldNetwork): readonly PlanChange[] {
  return overlays.flatMap(({ overlay }): readonly PlanChange[] => {
    const { name } = overlay;
    if (!overlay.enabled || liveOverlay(live, name)?.enabled) return [];
    const call = { method: 'updateOverlay', request: { name, enabled: true } } as const;
    return [{ sign: '~', what: `overlay ${name}: disabled → enabled`, call, lasting: false }];
  });
}

function liveOverlay({ network }: LivePlan, name: string): LiveOverlay | undefined {
  return (network.overlays ?? []).find((overlay) => overlay.name === name);
}

/** What of the masters' plan is in the way. `quarantined`: the blocks that are, as `blockWords` names them. */
export function importConflicts(
  live: LivePlan,
  old: OldNetwork,
  agents: readonly LiveAgent[],
  quarantined: ReadonlySet<string>,
): readonly string[] {
  const set = setAsideOf(live);
  const heldBy = new Map(agents.flatMap((agent) => heldIn(agent).map(([block]) => [block, agent] as const)));
  const reachable = new Map(
    agents.flatMap((agent) => (agent.reachable === false ? [] : [[agent.nodeIp ?? '', agent] as const])),
  );
  const count = set.reservations.size;
  const added = old.hosts.flatMap(({ blocks }) => blocks).filter((block) => !set.reservations.has(blockWords(block)));
  return [
    ...vtep6Conflicts(live, old),
    ...old.overlays.flatMap((overlay) => overlayConflicts(live, overlay, old)),
    ...old.hosts.flatMap((host) => [
      ...agentConflicts(host, reachable.get(formatIp(host.nodeIp))),
      ...host.blocks.flatMap((block) => blockConflicts(block, host, { set, heldBy, quarantined })),
    ]),
    ...(count + added.length > reservationsMax
      ? [
          `the masters have ${count} reservations, and ${added.length} more are needed: ${reservationsMax} at most are allowed`,
        ]
      : []),
  ];
}

/** A VTEP has the same place in both subnets, so that its IPv6 address stays where both begin as they did. */
function vtep6Conflicts({ network }: LivePlan, { settings }: OldNetwork): readonly string[] {
  const { vtepSubnet, vtepSubnet6 } = settings;
  if (vtepSubnet === undefined || vtepSubnet6 === undefined || !network.vtepSubnet6) return [];
  const moved = [
    ['vtep_subnet', vtepSubnet, network.vtepSubnet],
    ['vtep_subnet6', vtepSubnet6, network.vtepSubnet6],
  ] as const;
  return moved.flatMap(([key, was, is]) => {
    if (!is || parseCidr(was).address === parseCidr(is).address) return [];
    return [`network.${key}: ${was}: the masters have ${is}, which begins elsewhere: IPv6 VTEP addresses would change`];
  });
}

function overlayConflicts(live: LivePlan, { where, overlay }: OldOverlay, old: OldNetwork): readonly string[] {
  const { name, v4, v6 } = overlay;
  const found = liveOverlay(live, name);
  if (found === undefined) return newOverlayConflicts(live, where, overlay, old);
  if (overlayUse(found) === 'draining') return [`${where}: overlay ${name} is draining: sublet overlay enable ${name}`];
  return [[v4, found.prefix] as const, [v6, found.prefix6] as const].flatMap(([space, prefix]) =>
    space === undefined || !prefix || space.prefix === prefix
      ? []
      : [`${where}: the pieces of overlay ${name} are /${space.prefix}: the masters have /${prefix}`],
  );
}

function newOverlayConflicts(
  { network }: LivePlan,
  where: string,
  overlay: Overlay,
  { settings: given }: OldNetwork,
): readonly string[] {
  const vtepSubnet6 = network.vtepSubnet6 || given.vtepSubnet6;
  const settings: NetworkSettings = {
    vtepSubnet: parseCidr4(network.vtepSubnet ?? ''),
    vtepSubnet6: vtepSubnet6 ? parseCidr6(vtepSubnet6) : undefined,
    vtepMacOui: parseOui(network.vtepMacOui ?? ''),
    vtepMtu: network.vtepMtu ?? 0,
    vni: network.vni ?? 0,
    vtepName: network.vtepName ?? '',
    vxlanPort: network.vxlanPort ?? 0,
    quarantineMs: network.quarantineMs ?? 0,
    reclaimMs: network.reclaimMs || undefined,
  };
  const alone = checkNetwork(settings, [overlay]);
  const others = (network.overlays ?? []).flatMap(({ name, subnet, subnet6 }) =>
    [subnet, subnet6].flatMap((text) => (text ? [{ name: name ?? '', subnet: parseCidr(text) }] : [])),
  );
  const own = [overlay.v4?.subnet, overlay.v6?.subnet].flatMap((subnet) => (subnet === undefined ? [] : [subnet]));
  return [
    ...(alone === undefined ? [] : [`${where}: ${alone.message.replace(/^network\.overlays\[0\]\./, '')}`]),
    ...own.flatMap((subnet) =>
      others
        .filter((other) => overlapsCidr(other.subnet, subnet))
        .map(
          (other) => `${where}: ${formatCidr(subnet)} overlaps ${formatCidr(other.subnet)} of overlay ${other.name}`,
        ),
    ),
  ];
}

/** An agent that runs at the address of a host keeps what it holds, so that must be what the host has had. */
function agentConflicts({ where, nodeIp, blocks }: OldHost, agent: LiveAgent | undefined): readonly string[] {
  if (agent === undefined) return [];
  const held = heldIn(agent);
  return blocks.flatMap((block) => {
    const other = held.find(([text, space]) => space === spaceOf(block) && text !== blockWords(block));
    if (other === undefined) return [];
    const id = agent.agentId ?? '';
    return [
      `${where}: agent ${id} at ${formatIp(nodeIp)} holds ${other[0]}, not ${blockWords(block)}: stop it, and sublet release ${id}`,
    ];
  });
}

type SetAside = {
  /** Block → what it is reserved for. */
  readonly reservations: ReadonlyMap<string, string>;
  /** Node address and space → the block that is reserved. */
  readonly byNode: ReadonlyMap<string, string>;
  readonly excluded: readonly { readonly overlay: string; readonly subnet: Cidr }[];
};

function setAsideOf({ reservations: all }: LivePlan): SetAside {
  const reservations = new Map<string, string>();
  const byNode = new Map<string, string>();
  const excluded: { overlay: string; subnet: Cidr }[] = [];
  for (const { overlay: name, subnet: text, agentId, nodeIp } of all) {
    const block = { overlay: name ?? '', subnet: parseCidr(text ?? '') };
    if (!agentId && !nodeIp) excluded.push(block);
    else reservations.set(blockWords(block), nodeIp ? `node ${nodeIp}` : `agent ${agentId}`);
    if (nodeIp) byNode.set(`${nodeIp} ${spaceOf(block)}`, blockWords(block));
  }
  return { reservations, byNode, excluded };
}

function blockConflicts(
  block: OldBlock,
  host: OldHost,
  {
    set,
    heldBy,
    quarantined,
  }: {
    readonly set: SetAside;
    readonly heldBy: ReadonlyMap<string, LiveAgent>;
    readonly quarantined: ReadonlySet<string>;
  },
): readonly string[] {
  const { where, overlay, subnet } = block;
  const nodeIp = formatIp(host.nodeIp);
  const text = blockWords(block);
  const problems: string[] = [];
  const holder = heldBy.get(text);
  if (holder !== undefined && (holder.nodeIp !== nodeIp || holder.reachable === false)) {
    const id = holder.agentId ?? '';
    problems.push(
      `${where}: ${text} is held by agent ${id} at ${holder.nodeIp ?? ''}: stop it, and sublet release ${id}`,
    );
  }
  const keptFor = set.reservations.get(text);
  if (keptFor !== undefined && keptFor !== `node ${nodeIp}`) {
    problems.push(`${where}: ${text} is reserved for ${keptFor}, not for node ${nodeIp}: ${unreserve(block)}`);
  }
  const other = set.byNode.get(`${nodeIp} ${spaceOf(block)}`);
  if (other !== undefined && other !== text) {
    problems.push(
      `${where}: ${other} is reserved for node ${nodeIp}, which has ${text}: end one of the two reservations`,
    );
  }
  const range = set.excluded.find((each) => each.overlay === overlay && overlapsCidr(each.subnet, subnet));
  if (range !== undefined) problems.push(`${where}: ${text} is excluded: ${unreserve(range)}`);
  if (quarantined.has(text)) {
    problems.push(
      `${where}: ${text} is quarantined: the host would get another one; wait until the quarantine is over`,
    );
  }
  return problems;
}

function unreserve({ overlay, subnet }: Pick<OldBlock, 'overlay' | 'subnet'>): string {
  return `sublet unreserve ${overlay === '' ? "''" : overlay} ${formatCidr(subnet)}`;
}

/** `dcos 4`; of VTEP addresses ` 4` */
function spaceOf({ overlay, subnet }: Pick<OldBlock, 'overlay' | 'subnet'>): string {
  return `${overlay} ${isCidr4(subnet) ? 4 : 6}`;
}

/** What an agent holds, as `blockWords` names it, each with its space. */
function heldIn({ overlays, vxlan }: LiveAgent): readonly (readonly [text: string, space: string])[] {
  const blocks = (overlays ?? []).flatMap(({ info, subnet, subnet6 }) =>
    [subnet, subnet6].flatMap((text) => (text ? [{ overlay: info?.name ?? '', subnet: parseCidr(text) }] : [])),
  );
  const [vtep] = (vxlan?.vtepIp ?? '').split('/');
  const all = vtep ? [{ overlay: '', subnet: parseCidr(`${formatIp(parseIp(vtep))}/32`) }, ...blocks] : blocks;
  return all.map((block) => [blockWords(block), spaceOf(block)] as const);
}
