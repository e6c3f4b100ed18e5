/** The list of agents: which of them are asked for, and how they look as a table. */

import type { MasterClient } from '#api/master-client.js';
import { operatorService } from '#api/services.js';
import { usage } from '#cli/failure.js';
import { remark } from '#cli/member-words.js';
import type { List, ListOptions, TableShape } from '#cli/output/list.js';
import { type Cell, type Column, formatTable } from '#cli/table.js';
import type { Terminal } from '#cli/terminal.js';
import { ago, isRevoked, overlayState, plural, presence } from '#cli/words.js';
import { sublet } from '#proto/sublet.js';

type Agent = sublet.v1.Agent.$Properties;
type AgentOverlay = sublet.v1.AgentOverlay.$Properties;

const pageSize = 1_000;
/** 65,536 agents are what a /8 of /24s holds; this is sixteen times as many. */
const pagesMax = 1_024;

/** Every page as one response; its revision is the last page's. */
export async function listAgents(
  client: MasterClient,
  wish: { readonly presence?: sublet.v1.PresenceState; readonly stale?: boolean } = {},
): Promise<sublet.v1.ListAgentsResponse> {
  const agents: Agent[] = [];
  let pageToken = '';
  for (let page = 0; page < pagesMax; page++) {
    const request = { ...wish, pageSize, pageToken };
    const response = await client.call(operatorService.listAgents, request, { idempotent: true });
    agents.push(...response.agents);
    pageToken = response.nextPageToken;
    if (pageToken === '') return new sublet.v1.ListAgentsResponse({ agents, revision: response.revision });
  }
  throw new Error(`the masters' list of agents has no end: ${pagesMax} pages of ${pageSize}`);
}

const { OverlayStatus } = sublet.v1;
/** How an overlay can be on a host, as `--state` names it. */
export const hostStates = {
  ok: OverlayStatus.OVERLAY_STATUS_OK,
  failed: OverlayStatus.OVERLAY_STATUS_FAILED,
  configuring: OverlayStatus.OVERLAY_STATUS_CONFIGURING,
  planned: OverlayStatus.OVERLAY_STATUS_PLANNED,
} as const;

export type Selection = ListOptions & {
  readonly live?: true;
  readonly silent?: true;
  readonly overlay?: string;
  readonly state?: keyof typeof hostStates;
};

/** Whether this overlay of an agent is among those that are asked for. */
function selects(
  { overlay: name, state }: Selection,
  { info, subnet, subnet6, state: reported }: AgentOverlay,
): boolean {
  if (name !== undefined && !(info?.name === name && Boolean(subnet || subnet6))) return false;
  return state === undefined || reported?.status === hostStates[state];
}

export function agentList(selection: Selection): List<sublet.v1.ListAgentsResponse, Agent> {
  return {
    one: 'an agent',
    type: 'sublet.v1.Agent',
    message: sublet.v1.Agent,
    items: ({ agents }) => agents,
    replaced: ({ revision }, agents) => new sublet.v1.ListAgentsResponse({ agents, revision }),
    name: ({ agentId }) => agentId ?? '',
    watched: (agent) => ({ ...agent, presence: { ...agent.presence, lastHeard: null } }),
    table: ({ agents }, terminal, shape) => {
      if (agents.length === 0) return shape.remarks ? noAgents(selection) : '';
      return formatAgents(
        agents.map((agent) => onlySelected(agent, selection)),
        terminal,
        shape,
      );
    },
  };
}

/** The agents that are asked for, but for their presence, which the masters select by. */
export function selected(agents: readonly Agent[], selection: Selection): Agent[] {
  if (!byOverlay(selection)) return [...agents];
  return agents.filter(({ overlays }) => (overlays ?? []).some((each) => selects(selection, each)));
}

function byOverlay({ overlay, state }: Selection): boolean {
  return overlay !== undefined || state !== undefined;
}

/** The agent without the overlays that are not asked for. */
function onlySelected(agent: Agent, selection: Selection): Agent {
  if (!byOverlay(selection)) return agent;
  return { ...agent, overlays: (agent.overlays ?? []).filter((each) => selects(selection, each)) };
}

function noAgents(selection: Selection): string {
  const { live, silent } = selection;
  if (byOverlay(selection)) return 'No agent is like that.\n';
  if (live || silent) return `No agent is ${live ? 'live' : 'silent'}.\n`;
  return 'No agents. One registers with `sublet agent --master HOST:PORT`.\n';
}

export function presenceOf({ live, silent }: Selection): sublet.v1.PresenceState {
  const { PresenceState } = sublet.v1;
  if (live && silent) throw usage('--live and --silent exclude one another: leave both out to see all agents');
  if (live) return PresenceState.PRESENCE_STATE_LIVE;
  return silent ? PresenceState.PRESENCE_STATE_SILENT : PresenceState.PRESENCE_STATE_UNSPECIFIED;
}

/** One line per agent and overlay. On a terminal the agent is named once; in a pipe each line is complete. */
export function formatAgents(
  agents: readonly Agent[],
  terminal: Terminal,
  { wide, titles, remarks, widths }: TableShape = { wide: false, titles: true, remarks: true },
): string {
  if (agents.length === 0) return remarks ? noAgents({}) : '';
  const rows = agents.flatMap((agent) => {
    const head: readonly Cell[] = [
      { text: agent.agentId ?? '', style: 'bold' },
      agent.reachable === false ? { text: `${agent.nodeIp} (lost)`, style: 'red' } : (agent.nodeIp ?? ''),
      presenceCell(agent, terminal),
      withoutPrefix(agent.vxlan?.vtepIp),
      ...(wide ? wideCells(agent, terminal) : []),
    ];
    const overlays = (agent.overlays ?? []).map((overlay) => overlayCells(overlay, agent.presence, terminal));
    if (overlays.length === 0) return [[...head, '-', '-', '-']];
    const blank: readonly Cell[] = terminal.columns === undefined ? head : head.map(() => '');
    return overlays.map((cells, at) => [...(at === 0 ? head : blank), ...cells]);
  });
  const columns: readonly Column[] = [
    { title: 'AGENT', least: 8 },
    { title: 'NODE IP', least: 8 },
    { title: 'PRESENCE', least: 8 },
    { title: 'VTEP' },
    ...(wide ? wideColumns : []),
    { title: 'OVERLAY', least: 7 },
    { title: 'SUBNET', least: 13 },
    { title: 'ON THE HOST', least: 11 },
  ];
  const table = formatTable(columns, rows, terminal, { titled: titles, ...(widths && { widths }) });
  if (terminal.columns === undefined || !remarks) return table;
  return `${table}${terminal.paint('dim', plural(agents.length, 'agent'))}\n${failures(agents, terminal)}`;
}

function presenceCell({ presence: of, revocation }: Agent, terminal: Terminal): Cell {
  const cell = presence(of, terminal.now());
  if (!isRevoked(revocation)) return cell;
  return { text: `${typeof cell === 'string' ? cell : cell.text}, revoked`, style: 'red' };
}

const wideColumns: readonly Column[] = [
  { title: 'VTEP MAC' },
  { title: 'HOST NAME' },
  { title: 'EPOCH', align: 'right' },
  { title: 'LAST HEARD' },
];

function wideCells({ vxlan, hostname, lease, presence: of }: Agent, terminal: Terminal): readonly Cell[] {
  return [vxlan?.vtepMac || '-', hostname || '-', String(lease?.epoch ?? 0), ago(of?.lastHeard, terminal.now()) || '-'];
}

/** More would push the table off the screen. */
const failuresShownMax = 10;

/** On a terminal the reason of each failure has a paragraph below the table, which has no room for it. */
function failures(agents: readonly Agent[], terminal: Terminal): string {
  const failed = agents.flatMap(({ agentId, overlays }) =>
    (overlays ?? []).flatMap(({ info, state }) =>
      state?.status === OverlayStatus.OVERLAY_STATUS_FAILED
        ? [`${agentId ?? ''}, ${info?.name ?? ''}: ${state.error || 'no reason was given'}`]
        : [],
    ),
  );
  const shown = failed.slice(0, failuresShownMax).map((text) => remark(text, '', terminal));
  const more = failed.length - shown.length;
  return shown.join('') + (more > 0 ? `and ${plural(more, 'more failure')}: sublet agents ID\n` : '');
}

function overlayCells(overlay: AgentOverlay, presence: Agent['presence'], terminal: Terminal): readonly Cell[] {
  // A pipe gets the whole reason in the row; a terminal gets it below the table.
  const state = terminal.columns === undefined ? overlay.state : { ...overlay.state, error: '' };
  return [overlay.info?.name ?? '', subnets(overlay), overlayState(state, presence)];
}

export function subnets({ subnet, subnet6 }: AgentOverlay): string {
  return [subnet, subnet6].filter(Boolean).join(' ') || '-';
}

function withoutPrefix(address: string | null | undefined): string {
  return address?.replace(/\/.*$/, '') || '-';
}
