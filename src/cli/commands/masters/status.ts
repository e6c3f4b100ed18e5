/** `sublet status`: how the masters and agents are, as the master that is asked sees it. */
import { clusterService } from '#api/services.js';
import { inDays, spanText } from '#cli/capacity/days.js';
import { connectsAndPrints, type Define, examples } from '#cli/command-kit.js';
import { heard, noLeader, remark } from '#cli/member-words.js';
import { operate, print } from '#cli/operator/operator.js';
import { type Cell, formatFacts, formatTable } from '#cli/table.js';
import type { Terminal } from '#cli/terminal.js';
import { ago, count, plural, presenceUnknown, role } from '#cli/words.js';
import type { sublet } from '#proto/sublet.js';

type Status = sublet.v1.GetStatusResponse;

export const define: Define = (command, terminal) => {
  connectsAndPrints(command).description(
    'How the masters and agents are, as the master that is asked sees it. It answers also when there is no leader.',
  );
  examples(
    command,
    ['sublet status', 'the master on this machine'],
    ['sublet status --master 10.0.0.2:7070', 'as that one sees it'],
    ['sublet status -o json | jq .warnings', 'for scripts'],
  );
  command.action(() =>
    operate(command, terminal, async (operator) => {
      const status = await operator.client.call(clusterService.getStatus, {}, { idempotent: true });
      print(operator, clusterService.getStatus, status, () => formatStatus(status, terminal));
    }),
  );
};

export function formatStatus(status: Status, terminal: Terminal): string {
  const parts = [formatFacts(facts(status), terminal)];
  // Without members it takes no part yet, and the warnings say why.
  if (status.members.length > 0) {
    parts.push(members(status, terminal));
    if (status.leader === '') parts.push(remark(`There is no leader. ${noLeader.text}`, noLeader.way, terminal));
  }
  if (status.silentAgents.length > 0) parts.push(silent(status, terminal));
  if (status.warnings.length > 0) parts.push(warnings(status, terminal));
  return parts.join('\n');
}

function facts(status: Status): readonly (readonly [string, Cell])[] {
  const leader: Cell = status.leader === '' ? { text: 'none: nothing can be changed', style: 'red' } : status.leader;
  // A master of an earlier release does not say.
  const runtime = status.nodeVersion === '' ? '' : ` on Node.js ${status.nodeVersion}`;
  const behind = status.commitIndex - status.appliedIndex;
  return [
    [
      'cluster',
      status.incarnation === '' ? status.clusterId : `${status.clusterId}, incarnation ${status.incarnation}`,
    ],
    ['leader', leader],
    ['term', String(status.term)],
    ['revision', `${status.appliedIndex}${behind > 0 ? ` (${count(behind)} behind what is committed)` : ''}`],
    ['agents', agents(status)],
    ...(status.adoption ? [['adoption', adoption(status)] as const] : []),
    ...capacity(status),
    ['answered by', `${status.name}, version ${status.version}${runtime}`],
  ];
}

function agents({ leader, agents }: Status): string {
  const { live = 0, silent = 0, awaited = 0, total = 0 } = agents ?? {};
  if (leader === '') return count(total);
  const missing = awaited === 0 ? '' : `, ${count(awaited)} not back yet`;
  const unknown = presenceUnknown(agents);
  const rest = unknown === 0 ? '' : `, of ${count(unknown)} it is not known (the leader did not say)`;
  return `${count(total)}: ${count(live)} live, ${count(silent)} silent${missing}${rest}`;
}

/** More are found by `sublet plan`. */
const forecastsMax = 3;

function capacity({ capacityForecasts }: Status): readonly (readonly [string, Cell])[] {
  const shown = capacityForecasts.slice(0, forecastsMax).map(({ overlay, subnet, fullInSeconds, ...from }) => {
    const space = overlay ? `${overlay} (${subnet ?? ''})` : `the VTEP subnet ${subnet ?? ''}`;
    const basis = `${plural(from.arrivals ?? 0, 'arrival')}, ${plural(from.departures ?? 0, 'departure')} in ${spanText((from.historySeconds ?? 0) * 1_000)}`;
    return ['capacity', `${space} is full ${inDays((fullInSeconds ?? 0) * 1_000)}: ${basis}`] as const;
  });
  const left = capacityForecasts.length - shown.length;
  return left > 0 ? [...shown, ['capacity', `and ${count(left)} more: sublet plan`]] : shown;
}

function adoption({ awaited }: Status): Cell {
  const missing = awaited === 0 ? 'all on record are back' : `${count(awaited)} on record not back yet`;
  return { text: `on, until \`sublet adoption end\`: ${missing}`, style: 'yellow' };
}

function members({ members, leader }: Status, terminal: Terminal): string {
  const apiKnown = members.some(({ api }) => api);
  const rows = members.map((member): readonly Cell[] => {
    const leads = leader !== '' && member.name === leader;
    return [
      { text: member.name ?? '', style: 'bold' },
      leads ? { text: 'leader', style: 'green' } : role(member.role),
      ...(apiKnown ? [member.api || '-'] : []),
      member.peer ?? '',
      member.matchIndex === null || member.matchIndex === undefined ? '-' : String(member.matchIndex),
      heard(member, terminal),
    ];
  });
  const columns = [
    { title: 'MASTER', least: 8 },
    { title: 'ROLE' },
    ...(apiKnown ? [{ title: 'API', least: 12 }] : []),
    { title: 'PEERS', least: 12 },
    { title: 'MATCH', align: 'right' as const },
    { title: 'HEARD' },
  ];
  return formatTable(columns, rows, terminal);
}

/** More would push the masters and what is wrong off the screen. */
const silentShownMax = 10;

/** Those silent for the longest, which the API lists first. */
function silent({ silentAgents, agents }: Status, terminal: Terminal): string {
  const rows = silentAgents
    .slice(0, silentShownMax)
    .map(({ agentId, nodeIp, silentSince }): readonly Cell[] => [
      agentId ?? '',
      nodeIp ?? '',
      { text: ago(silentSince, terminal.now()), style: 'yellow' },
    ]);
  const table = formatTable(
    [{ title: 'SILENT AGENT', least: 12 }, { title: 'NODE IP', least: 15 }, { title: 'FOR' }],
    rows,
    terminal,
  );
  const left = (agents?.silent ?? 0) - rows.length;
  return left > 0 ? `${table}and ${count(left)} more: sublet agents --silent\n` : table;
}

function warnings({ warnings }: Status, terminal: Terminal): string {
  // What only is good to know comes after what is wrong.
  const sorted = warnings.toSorted((a, b) => Number(a.notice ?? false) - Number(b.notice ?? false));
  return sorted
    .map(({ message, remedy, notice }) => remark(message ?? '', remedy ?? '', terminal, notice ?? false))
    .join('');
}
