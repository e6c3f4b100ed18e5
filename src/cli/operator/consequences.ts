/** What a change of the plan or of the masters does, in words, before it is made. Each looks at the plan as it is now. */
import { AddressError } from '#address/brand.js';
import { type Cidr, containsIp, parseCidr } from '#address/ip.js';
import { clusterService, operatorService } from '#api/services.js';
import { listAgents } from '#cli/agent-list.js';
import { exitCodes, Failure } from '#cli/failure.js';
import { remark } from '#cli/member-words.js';
import type { Consequences } from '#cli/operator/consent.js';
import type { Operator } from '#cli/operator/operator.js';
import { type Terminal, wrap } from '#cli/terminal.js';
import { count, listed, plural } from '#cli/words.js';
import { sublet } from '#proto/sublet.js';
import { formatDuration } from '#text/duration.js';

type Client = Operator['client'];
type Agent = sublet.v1.Agent.$Properties;

const again = { idempotent: true } as const;

/** How many of a longer list are named. */
const namedMax = 10;

type Larger = { readonly subnet?: string; readonly subnet6?: string };

export async function overlayGrowth(client: Client, name: string, larger: Larger): Promise<Consequences> {
  const { overlay } = await overlayUsage(client, name);
  const lines = [
    ...grown(overlay?.subnet, larger.subnet, overlay?.prefix),
    ...grown(overlay?.subnet6, larger.subnet6, overlay?.prefix6),
  ];
  return [
    `Overlay ${name}: ${lines.join('; ')}.`,
    'Blocks that are held stay where they are. It can’t be undone: an overlay never becomes smaller.',
  ];
}

function grown(from: string | null | undefined, to: string | undefined, prefix: number | null | undefined): string[] {
  if (to === undefined) return [];
  const blocks = (of: string): string => count(blocksOf(of, prefix ?? 0));
  return [`${from ?? 'no network'} becomes ${to}${from ? `, ${blocks(from)} blocks become ${blocks(to)}` : ''}`];
}

/** How many blocks of a length a network has. */
export function blocksOf(subnet: string, prefix: number): number {
  return 2 ** (prefix - Number(subnet.slice(subnet.indexOf('/') + 1)));
}

export async function overlayDrain(client: Client, name: string): Promise<Consequences> {
  await overlayUsage(client, name);
  const holders = await holdersOf(client, name);
  const silent = holders.filter((agent) => !isLive(agent)).length;
  return [
    `${plural(holders.length, 'agent')} ${holders.length === 1 ? 'holds' : 'hold'} a block of ${name}. Each takes ${name} off its host and gives the block back; no agent gets a block of it.`,
    'A host that still runs containers on it keeps its block until they are stopped: `sublet agents` says so.',
    ...(silent > 0
      ? [
          `${plural(silent, 'agent')} of them ${silent === 1 ? 'is' : 'are'} silent, and must be released: sublet agents --silent`,
        ]
      : []),
    `\`sublet overlay enable ${name}\` ends it; what was given back by then is not given again before its quarantine is over.`,
  ];
}

/** The agents that hold a block of this overlay. */
export async function holdersOf(client: Client, name: string): Promise<readonly Agent[]> {
  const { agents } = await listAgents(client);
  return agents.filter(({ overlays }) =>
    (overlays ?? []).some(({ info, subnet, subnet6 }) => info?.name === name && Boolean(subnet || subnet6)),
  );
}

/** The agents that still hold a block of an overlay that is draining, and the reason. */
export function drainProgress(name: string, holders: readonly Agent[], terminal: Terminal): string {
  if (holders.length === 0) {
    const next = `No agent holds a block of ${name}. When the quarantine is over: sublet overlay remove ${name}`;
    return `${wrap(next, terminal)}\n`;
  }
  const reasons = holders.slice(0, namedMax).map((agent) => {
    const error = agent.overlays?.find(({ info }) => info?.name === name)?.state?.error;
    const why = isLive(agent) ? error || 'is taking it off its host' : 'is silent: start it, or release it';
    return remark(`${agent.agentId ?? ''}: ${why}`, '', terminal, isLive(agent) && !error);
  });
  const more = holders.length - reasons.length;
  return (
    `${plural(holders.length, 'agent')} ${holders.length === 1 ? 'holds' : 'hold'} a block of ${name}:\n` +
    reasons.join('') +
    (more > 0 ? `and ${plural(more, 'more agent')}\n` : '')
  );
}

export async function overlayRemoval(client: Client, name: string): Promise<Consequences> {
  const { usage, usage6 } = await overlayUsage(client, name);
  const held = Math.max(usage?.held ?? 0, usage6?.held ?? 0);
  const kept = [usage, usage6].reduce((sum, of) => sum + (of?.reserved ?? 0) + (of?.excluded ?? 0), 0);
  return [
    held > 0
      ? `Overlay ${name} is held by ${plural(held, 'agent')}: the masters refuse to remove it until no agent holds a block of it.`
      : `Overlay ${name} is removed from the plan and from every host. No agent holds a block of it.`,
    ...(kept > 0
      ? [`${plural(kept, 'reserved or excluded block')} of it ${kept === 1 ? 'is' : 'are'} forgotten.`]
      : []),
    'It can’t be undone: an overlay that is added again under this name gives fresh blocks.',
  ];
}

async function overlayUsage(client: Client, name: string): Promise<sublet.v1.OverlayUsage.$Properties> {
  const { overlays } = await client.call(operatorService.listOverlays, {}, again);
  const found = overlays.find(({ overlay }) => overlay?.name === name);
  if (found !== undefined) return found;
  const names = overlays.map(({ overlay }) => overlay?.name ?? '').join(', ');
  throw new Failure(exitCodes.refused, `there is no overlay "${name}": there is ${names || 'none'}`);
}

export async function networkGrowth(
  client: Client,
  wish: { readonly vtepSubnet: string; readonly vtepSubnet6: string },
): Promise<Consequences> {
  const { network } = await client.call(operatorService.getNetwork, {}, again);
  const lines = [
    ...(wish.vtepSubnet === '' ? [] : [`${network?.vtepSubnet || 'none'} becomes ${wish.vtepSubnet}`]),
    ...(wish.vtepSubnet6 === '' ? [] : [`${network?.vtepSubnet6 || 'none'} becomes ${wish.vtepSubnet6}`]),
  ];
  return [
    `VTEP subnet: ${lines.join('; ')}.`,
    'Addresses that are held stay. Every agent takes over the new prefix length of its tunnel endpoint.',
    'It can’t be undone: a VTEP subnet never becomes smaller.',
  ];
}

/** Above this many the agents are counted, not asked for one by one. */
const releasesAskedMax = 20;

export async function releases(client: Client, agentIds: readonly string[], force: boolean): Promise<Consequences> {
  const { network } = await client.call(operatorService.getNetwork, {}, again);
  const asked = agentIds.slice(0, releasesAskedMax);
  const agents = await Promise.all(
    asked.map(async (agentId) => (await client.call(operatorService.getAgent, { agentId }, again)).agent ?? {}),
  );
  const [first = '', ...others] = agents.map((agent) => `${agent.agentId ?? ''}: ${holding(agent)}.`);
  const live = agents.filter(isLive).length;
  return [
    first,
    ...others,
    ...(agentIds.length > asked.length ? [`… and ${count(agentIds.length - asked.length)} more.`] : []),
    `What they hold is quarantined for ${formatDuration(network?.quarantineMs ?? 0)}, and may then be given to any agent.`,
    ...liveReleased(live, force),
    'It can’t be undone.',
  ];
}

export async function replacement(
  client: Client,
  agentId: string,
  successor: string,
  off: boolean,
): Promise<Consequences> {
  const { agent } = await client.call(operatorService.getAgent, { agentId }, again);
  const { network } = await client.call(operatorService.getNetwork, {}, again);
  const rest = formatDuration(network?.quarantineMs ?? 0);
  return [
    `${agentId}: ${holding(agent ?? {})}. It is released${isLive(agent ?? {}) ? '; the masters refuse while it is live' : ''}.`,
    `All of that is reserved for ${successor}, with its VTEP address.`,
    off
      ? `Nothing is quarantined: if ${agentId} runs on, two hosts have one address.`
      : `It is quarantined for ${rest}: start ${successor} after that, or it gets other subnets.`,
  ];
}

function liveReleased(live: number, force: boolean): readonly string[] {
  if (live === 0) return [];
  const agents = plural(live, 'live agent');
  if (!force) return [`${agents} among them: the masters refuse without --force.`];
  return [
    `${agents} among them: registered again, such an agent gets other subnets, and its containers lose their addresses.`,
  ];
}

function isLive({ presence }: Agent): boolean {
  return presence?.state === sublet.v1.PresenceState.PRESENCE_STATE_LIVE;
}

function holding(agent: Agent): string {
  const state = isLive(agent) ? 'live' : 'silent';
  const blocks = (agent.overlays ?? []).flatMap(({ subnet, subnet6 }) => [subnet, subnet6].filter(Boolean));
  return `${state} at ${agent.nodeIp ?? ''}, holds ${blocks.join(', ') || 'no subnet'}`;
}

export async function memberRemoval(client: Client, name: string): Promise<Consequences> {
  const { members } = await client.call(clusterService.listMembers, {}, again);
  const member = members.find((one) => one.name === name);
  if (member === undefined) {
    const names = members.map((one) => one.name ?? '').join(', ');
    throw new Failure(exitCodes.refused, `there is no master "${name}": there is ${names || 'none'}`);
  }
  const votes = members.filter(({ role }) => role !== sublet.v1.MemberRole.MEMBER_ROLE_LEARNER).length;
  const learner = member.role === sublet.v1.MemberRole.MEMBER_ROLE_LEARNER;
  const left = learner ? votes : votes - 1;
  return [
    `Master ${name} at ${member.peer ?? ''} is removed for good. Its process stops, and its data is of no more use.`,
    ...(learner
      ? ['It is a learner: the votes stay as they are.']
      : [
          `${count(votes)} voters become ${count(left)}: ${count(Math.floor(left / 2) + 1)} of them must be up, ` +
            `${count(left - Math.floor(left / 2) - 1)} may be down.`,
        ]),
    ...(member.stopRisk ? [`Without it: ${member.stopRisk}.`] : []),
    'It can’t be undone: to bring the machine back, empty its data directory and start it with --join.',
  ];
}

export async function adoptionEnd(client: Client): Promise<Consequences> {
  const { awaited, awaitedAgents, adoption } = await client.call(clusterService.getStatus, {}, again);
  if (!adoption) return ['The plan is not in adoption: nothing changes.'];
  const missing = listed(awaitedAgents, awaited, namedMax);
  return [
    awaited === 0
      ? 'All agents on record are back. Agents get fresh blocks from here on.'
      : `${plural(awaited, 'agent')} on record ${awaited === 1 ? 'is' : 'are'} not back: ${missing}.`,
    ...(awaited === 0
      ? []
      : ['If one of them still runs, its blocks may be given to another agent: two hosts would have one address.']),
    'It can’t be undone.',
  ];
}

/** What an exclusion or a reservation of this range leaves as it is: the agents that hold blocks of it. */
export async function heldWithin(client: Client, overlay: string, range: string): Promise<readonly string[]> {
  const { agents } = await listAgents(client);
  const outer = parseCidr(range);
  const holders = agents.filter((agent) =>
    (agent.overlays ?? []).some(
      ({ info, subnet, subnet6 }) => info?.name === overlay && [subnet, subnet6].some((block) => touches(outer, block)),
    ),
  );
  return holders.map(({ agentId }) => agentId ?? '');
}

/** Whether one of two networks lies in the other; `text` is a master's, and may be no network. */
function touches(one: Cidr, text: string | null | undefined): boolean {
  if (!text) return false;
  try {
    const other = parseCidr(text);
    return containsIp(one, other.address) || containsIp(other, one.address);
  } catch (error) {
    if (error instanceof AddressError) return false;
    throw error;
  }
}

/** For an exclusion: what stays held in it, and how it becomes free. */
export function leftHeld(holders: readonly string[], range: string): string {
  if (holders.length === 0) return `No agent holds a block in ${range}.`;
  return (
    `${plural(holders.length, 'agent')} ${holders.length === 1 ? 'keeps' : 'keep'} what ${holders.length === 1 ? 'it holds' : 'they hold'} in ${range}: ` +
    `${listed(holders, holders.length, namedMax)}. To free it: sublet release ID`
  );
}

/** For a reservation: whether the agent has to do something to get the block, and the present holder. */
export function reservationLeaves(
  holders: readonly string[],
  subnet: string,
  { agentId, nodeIp }: { readonly agentId: string; readonly nodeIp: string },
): string {
  if (nodeIp !== '') {
    return holders.length > 0
      ? `${listed(holders, holders.length, namedMax)} holds ${subnet} now: the masters refuse the reservation unless its node address is ${nodeIp}.`
      : `An agent keeps the block that it holds: the one at ${nodeIp} gets ${subnet} at its first registration, or after its release.`;
  }
  const others = holders.filter((holder) => holder !== agentId);
  if (holders.includes(agentId)) {
    return `${agentId} holds ${subnet} now, and gets it back whenever it registers afresh.`;
  }
  if (others.length > 0) {
    return `${listed(others, others.length, namedMax)} holds ${subnet} now: the masters refuse the reservation until that is released.`;
  }
  return `An agent keeps the block that it holds: ${agentId} gets ${subnet} at its first registration, or after: sublet release ${agentId}`;
}
