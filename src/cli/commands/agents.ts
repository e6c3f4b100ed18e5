/** `sublet agents [ID]`: which agent holds what, and how it is. */

import type { Command } from 'commander';
import type { MasterClient } from '#api/master-client.js';
import { operatorService } from '#api/services.js';
import { connectsAndPrints, type Define, examples, writes } from '#cli/command-kit.js';
import { type ConsentOptions, consented, needsConsent } from '#cli/consent.js';
import { replacement } from '#cli/consequences.js';
import { usage } from '#cli/failure.js';
import { remark } from '#cli/member-words.js';
import { type Operator, operate, print } from '#cli/operator.js';
import { type Cell, formatFacts, formatTable } from '#cli/table.js';
import { type Terminal, wrap } from '#cli/terminal.js';
import { ago, clockTime, overlayState, plural, presence } from '#cli/words.js';
import { sublet } from '#proto/sublet.js';
import { formatDuration } from '#text/duration.js';

type Agent = sublet.v1.Agent.$Properties;
type AgentOverlay = sublet.v1.AgentOverlay.$Properties;

const pageSize = 1_000;
/** 65,536 agents are what a /8 of /24s holds; this is sixteen times as many. */
const pagesMax = 1_024;

export const define: Define = (command, terminal) => {
  connectsAndPrints(command)
    .description('Which agent holds what. With an ID, everything about that agent.')
    .argument('[ID]', 'one agent')
    .option('--live', 'only agents that were heard within 30 seconds')
    .option('--silent', 'only agents that were not')
    .option('--stale', 'answer from what this master has, without asking the others');
  examples(
    command,
    ['sublet agents', 'all of them'],
    ['sublet agents agent-1', 'one, with its bridges and VTEP'],
    ['sublet agents --silent', 'who has not been heard'],
    ['sublet agents replace host-3 --by host-9', 'host-9 gets the subnets of host-3, which is lost'],
    ['sublet agents -o json | jq -r .agents[].nodeIp', 'for scripts'],
  );
  replace(command, terminal);
  command.action((id: string | undefined, options: { live?: true; silent?: true; stale?: true }) =>
    operate(command, terminal, async (operator) => {
      const stale = options.stale === true;
      if (id === undefined) await list(operator, presenceOf(options), stale);
      else await one(operator, id, stale);
    }),
  );
};

type ReplaceOptions = ConsentOptions & { by: string; oldIsOff?: true; expectedRevision?: number };

function replace(group: Command, terminal: Terminal): void {
  const command = needsConsent(
    writes(group.command('replace').summary('keep the subnets of a lost host for a new one')),
  )
    .description(
      'Puts a new host in the place of one that is lost: releases the old agent, which must be silent, and reserves all that it held for the new one, in one step. The new agent registers when the quarantine is over. With --old-is-off, by your word that the old host never runs again with its addresses, it can register at once.',
    )
    .argument('<OLD>', 'the agent that is lost')
    .requiredOption('--by <ID>', 'the agent that gets its subnets; the same ID for the same agent on a new host')
    .option('--old-is-off', 'the old host is off for good: no quarantine');
  examples(
    command,
    ['sublet agents replace host-3 --by host-9', 'host-9 starts when the quarantine is over'],
    ['sublet agents replace host-3 --by host-3 --old-is-off', 'the same agent on a new machine, at once'],
  );
  command.action((agentId: string, options: ReplaceOptions) =>
    operate(command, terminal, async (operator) => {
      const { by: successor, oldIsOff, expectedRevision = 0 } = options;
      const off = oldIsOff === true;
      if (!(await consented(operator, options, () => replacement(operator.client, agentId, successor, off)))) return;
      const request = { agentId, successor, off, expectedRevision };
      const response = await operator.client.call(operatorService.replaceAgent, request, { idempotent: false });
      print(operator, operatorService.replaceAgent, response, () => {
        const wait = response.quarantineMs === 0 ? 'now' : `in ${formatDuration(response.quarantineMs)}, not before`;
        const said = `Released ${agentId}. Reserved for ${successor}: ${response.reserved.join(', ')}. Start ${successor} ${wait}.`;
        return `${wrap(said, terminal)}\n`;
      });
    }),
  );
}

function presenceOf({ live, silent }: { live?: true; silent?: true }): sublet.v1.PresenceState {
  const { PresenceState } = sublet.v1;
  if (live && silent) throw usage('--live and --silent exclude one another: leave both out to see all agents');
  if (live) return PresenceState.PRESENCE_STATE_LIVE;
  return silent ? PresenceState.PRESENCE_STATE_SILENT : PresenceState.PRESENCE_STATE_UNSPECIFIED;
}

async function one(operator: Operator, agentId: string, stale: boolean): Promise<void> {
  const response = await operator.client.call(operatorService.getAgent, { agentId, stale }, { idempotent: true });
  const { terminal } = operator;
  print(operator, operatorService.getAgent, response, () => formatAgent(response.agent ?? {}, terminal));
}

async function list(operator: Operator, presence: sublet.v1.PresenceState, stale: boolean): Promise<void> {
  const { terminal } = operator;
  const whole = await listAgents(operator.client, { presence, stale });
  print(operator, operatorService.listAgents, whole, () => {
    if (whole.agents.length > 0 || presence === sublet.v1.PresenceState.PRESENCE_STATE_UNSPECIFIED)
      return formatAgents(whole.agents, terminal);
    return `No agent is ${presence === sublet.v1.PresenceState.PRESENCE_STATE_LIVE ? 'live' : 'silent'}.\n`;
  });
}

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

/** One line per agent and overlay. On a terminal the agent is named once; in a pipe each line is complete. */
export function formatAgents(agents: readonly Agent[], terminal: Terminal): string {
  if (agents.length === 0) return 'No agents. One registers with `sublet agent --master HOST:PORT`.\n';
  const rows = agents.flatMap((agent) => {
    const head: readonly Cell[] = [
      { text: agent.agentId ?? '', style: 'bold' },
      agent.reachable === false ? { text: `${agent.nodeIp} (lost)`, style: 'red' } : (agent.nodeIp ?? ''),
      presence(agent.presence, terminal.now()),
      withoutPrefix(agent.vxlan?.vtepIp),
    ];
    const overlays = (agent.overlays ?? []).map((overlay) => overlayCells(overlay, agent.presence, terminal));
    if (overlays.length === 0) return [[...head, '-', '-', '-']];
    const blank: readonly Cell[] = terminal.columns === undefined ? head : ['', '', '', ''];
    return overlays.map((cells, at) => [...(at === 0 ? head : blank), ...cells]);
  });
  const columns = [
    { title: 'AGENT', least: 8 },
    { title: 'NODE IP', least: 8 },
    { title: 'PRESENCE', least: 8 },
    { title: 'VTEP' },
    { title: 'OVERLAY', least: 7 },
    { title: 'SUBNET', least: 13 },
    { title: 'ON THE HOST', least: 11 },
  ];
  const table = formatTable(columns, rows, terminal);
  if (terminal.columns === undefined) return table;
  return `${table}${terminal.paint('dim', plural(agents.length, 'agent'))}\n${failures(agents, terminal)}`;
}

/** More would push the table off the screen. */
const failuresShownMax = 10;

/** On a terminal the reason of each failure has a paragraph below the table, which has no room for it. */
function failures(agents: readonly Agent[], terminal: Terminal): string {
  const failed = agents.flatMap(({ agentId, overlays }) =>
    (overlays ?? []).flatMap(({ info, state }) =>
      state?.status === sublet.v1.OverlayStatus.OVERLAY_STATUS_FAILED
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

function subnets({ subnet, subnet6 }: AgentOverlay): string {
  return [subnet, subnet6].filter(Boolean).join(' ') || '-';
}

function withoutPrefix(address: string | null | undefined): string {
  return address?.replace(/\/.*$/, '') || '-';
}

/** Everything about one agent. */
export function formatAgent(agent: Agent, terminal: Terminal): string {
  const now = terminal.now();
  const vxlan = agent.vxlan;
  const ttl = agent.lease?.ttlSeconds ?? 0;
  const facts: readonly (readonly [string, Cell | undefined])[] = [
    ['agent', { text: agent.agentId ?? '', style: 'bold' }],
    ['host name', agent.hostname || undefined],
    ['node ip', agent.nodeIp ?? ''],
    ['reachable', agent.reachable === false ? lostAddress : undefined],
    ['presence', presence(agent.presence, now)],
    [
      'last heard',
      agent.presence?.lastHeard ? `${ago(agent.presence.lastHeard, now)} ago`.replace('now ago', 'now') : undefined,
    ],
    ['registered', clockTime(agent.registeredAt, now)],
    [
      'lease',
      `epoch ${agent.lease?.epoch ?? 0}, ${ttl === 0 ? 'until it is released' : `TTL ${formatDuration(ttl * 1_000)}`}`,
    ],
    ['vtep', [vxlan?.vtepIp, vxlan?.vtepIp6].filter(Boolean).join('  ') || '-'],
    ['vtep mac', vxlan?.vtepMac ?? '-'],
    [
      'vxlan',
      `${vxlan?.vtepName ?? '-'}, VNI ${vxlan?.vni ?? 0}, UDP port ${vxlan?.vxlanPort ?? 0}${mtu(vxlan?.vtepMtu)}`,
    ],
  ];
  const given = facts.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]));
  return (
    formatFacts(given, terminal) +
    (agent.overlays ?? []).map((each) => `\n${formatOverlay(each, agent.presence, terminal)}`).join('')
  );
}

const lostAddress: Cell = { text: 'no: another agent has its node ip, and peers do not route to it', style: 'red' };

function mtu(of: number | null | undefined): string {
  return of ? `, MTU ${of}` : '';
}

function formatOverlay(overlay: AgentOverlay, presence: Agent['presence'], terminal: Terminal): string {
  const bridges = [overlay.mesosBridge, overlay.dockerBridge].flatMap((bridge) =>
    bridge?.name ? [[bridge.name, [bridge.ip, bridge.ip6].filter(Boolean).join('  ')] as const] : [],
  );
  return formatFacts(
    [
      ['overlay', { text: overlay.info?.name ?? '', style: 'bold' }],
      ['subnet', subnets(overlay)],
      ...bridges,
      ['on the host', overlayState(overlay.state, presence)],
    ],
    terminal,
  );
}
