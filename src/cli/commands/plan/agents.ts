/** `sublet agents [ID]`: which agent holds what, and how it is. */

import { type Command, Option } from 'commander';
import { operatorService } from '#api/services.js';
import { agentList, hostStates, listAgents, presenceOf, type Selection, selected, subnets } from '#cli/agent-list.js';
import { connectsAndWatches, type Define, examples, writes } from '#cli/command-kit.js';
import { usage } from '#cli/failure.js';
import { type ConsentOptions, consented, needsConsent } from '#cli/operator/consent.js';
import { replacement } from '#cli/operator/consequences.js';
import { type Operator, operate, print } from '#cli/operator/operator.js';
import { showList } from '#cli/output/list-watch.js';
import { type Cell, formatFacts } from '#cli/table.js';
import { type Terminal, wrap } from '#cli/terminal.js';
import { ago, clockTime, overlayState, presence, revocationCell } from '#cli/words.js';
import type { sublet } from '#proto/sublet.js';
import { formatDuration } from '#text/duration.js';

type Agent = sublet.v1.Agent.$Properties;
type AgentOverlay = sublet.v1.AgentOverlay.$Properties;

export const define: Define = (command, terminal) => {
  connectsAndWatches(command)
    .description('Which agent holds what. With an ID, everything about that agent.')
    .argument('[ID]', 'one agent')
    .option('--live', 'only agents that were heard within 30 seconds')
    .option('--silent', 'only agents that were not')
    .option('--overlay <NAME>', 'only agents that hold a subnet of this overlay, and that part of their table')
    .addOption(
      new Option('--state <STATE>', 'only agents on whose host an overlay is so').choices(Object.keys(hostStates)),
    )
    .option('--stale', 'answer from what this master has, without asking the others');
  examples(
    command,
    ['sublet agents', 'all of them'],
    ['sublet agents agent-1', 'one, with its bridges and VTEP'],
    ['sublet agents --silent', 'agents that are silent'],
    ['sublet agents --overlay dcos --state failed', 'whose host could not build it'],
    ['sublet agents replace host-3 --by host-9', 'host-9 gets the subnets of host-3, which is lost'],
    ['sublet agents --silent -o name | xargs sublet release', 'for scripts'],
    ["sublet agents -o jsonpath='{.agents[*].nodeIp}'", 'part of the JSON'],
  );
  replace(command, terminal);
  command.allowExcessArguments().action((id: string | undefined, options: Selection & { stale?: true }) => {
    refuseMore(command);
    return operate(command, terminal, async (operator) => {
      const stale = options.stale === true;
      if (id === undefined) await list(operator, options, stale);
      else if (options.watch) throw usage('--watch is of the list: leave out the ID');
      else await one(operator, id, stale);
    });
  });
};

/** What operators of other programs try first. */
const triedWords = ['delete', 'remove', 'release', 'rm'];

/** @throws Failure for more than one argument */
function refuseMore({ args }: Command): void {
  const [word = ''] = args;
  if (args.length < 2) return;
  if (!triedWords.includes(word)) throw usage(`too many arguments for 'agents': ${args.length} given, 1 allowed`);
  throw usage(`there is no command agents ${word}: what agents hold is released`, 'Like: sublet release agent-7');
}

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
      const request = { agentId, successor, off, expectedRevision };
      const lines = () => replacement(operator.client, agentId, successor, off);
      if (!(await consented(operator, options, lines, { replaceAgent: request }))) return;
      const response = await operator.client.call(operatorService.replaceAgent, request, { idempotent: false });
      print(operator, operatorService.replaceAgent, response, () => {
        const wait = response.quarantineMs === 0 ? 'now' : `in ${formatDuration(response.quarantineMs)}, not before`;
        const said = `Released ${agentId}. Reserved for ${successor}: ${response.reserved.join(', ')}. Start ${successor} ${wait}.`;
        return `${wrap(said, terminal)}\n`;
      });
    }),
  );
}

async function one(operator: Operator, agentId: string, stale: boolean): Promise<void> {
  const response = await operator.client.call(operatorService.getAgent, { agentId, stale }, { idempotent: true });
  const { terminal } = operator;
  print(operator, operatorService.getAgent, response, () => formatAgent(response.agent ?? {}, terminal));
}

async function list(operator: Operator, selection: Selection, stale: boolean): Promise<void> {
  const presence = presenceOf(selection);
  const found = agentList(selection);
  const look = async (): Promise<sublet.v1.ListAgentsResponse> => {
    const whole = await listAgents(operator.client, { presence, stale });
    return found.replaced(whole, selected(whole.agents, selection));
  };
  await showList(operator, operatorService.listAgents, look, found, selection);
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
    ['certificates', revocationCell(agent.revocation, now)],
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
