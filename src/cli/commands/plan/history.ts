/** `sublet history`: the last changes of the plan. */
import { operatorService } from '#api/services.js';
import { connectsAndLists, type Define, examples, wholeNumber } from '#cli/command-kit.js';
import { usage } from '#cli/failure.js';
import { operate } from '#cli/operator/operator.js';
import { formsOfList } from '#cli/output/form.js';
import { type List, type ListOptions, printList, type TableShape } from '#cli/output/list.js';
import { type Cell, formatTable } from '#cli/table.js';
import type { Terminal } from '#cli/terminal.js';
import { clockTime } from '#cli/words.js';
import { securityWords } from '#ipam/view/history.js';
import { sublet } from '#proto/sublet.js';
import { parseDuration } from '#text/duration.js';

const limitMax = 1_000;
const limitDefault = 100;
/** Whose detail names what it is of: what became of each setting, and which master went for which. */
const named: ReadonlySet<string | null | undefined> = new Set(['update-network', 'replace-member']);

/** A change has no name. */
const formsOfChanges = formsOfList.filter((form) => form !== 'name');

export const define: Define = (command, terminal) => {
  connectsAndLists(command, formsOfChanges)
    .description(
      'What changed, when and by whom, oldest first: the plan, and who the masters are. The masters keep the last 10,000 changes that agents made by themselves, and the last 10,000 of operators and masters.',
    )
    .option('--agent <ID>', 'only what concerns this agent')
    .option('--what <WHAT,…>', 'only changes of these kinds, as the table names them')
    .option('--security', 'only what concerns who may do what: masters, tokens, revoked identities, and backups')
    .option('--since <TIME>', 'only changes of this time or later: 2h (ago), 2025-06-01, 2025-06-01T14:03')
    .option('--until <TIME>', 'only changes before this time')
    .option(
      '--who <NAME>',
      'only changes by this caller as the table names it, like admin/alice; without an @, at any address',
    )
    .option('--from <REVISION>', 'only changes after this revision', wholeNumber)
    .option('--before <REVISION>', 'only changes before this revision', wholeNumber)
    .option(
      '--limit <N>',
      'the newest, about this many: a revision’s changes stay together (1 to 1000; default 100)',
      wholeNumber,
    )
    .option('--stale', 'answer from what this master has, without asking the others');
  examples(
    command,
    ['sublet history', 'the last 100 changes'],
    ['sublet history --agent agent-1', 'what happened to one agent'],
    ['sublet history --since 2h --who operator', 'what operators did in the last two hours'],
    ['sublet history --what release,remove-member', 'releases of agents and removals of masters'],
    ['sublet history --security', 'masters, tokens, revoked identities, backups'],
    ['sublet history --limit 1000 --before 4711', 'what was before that'],
    ['sublet history --from 4711 -o json', 'everything since a revision, for scripts'],
  );
  type Options = ListOptions & {
    agent?: string;
    what?: string;
    security?: true;
    from?: number;
    before?: number;
    limit?: number;
    stale?: true;
  } & {
    since?: string;
    until?: string;
    who?: string;
  };
  command.action(
    ({
      agent = '',
      what = '',
      security,
      from = 0,
      before = 0,
      limit = limitDefault,
      stale,
      since,
      until,
      who = '',
      ...shape
    }: Options) =>
      operate(command, terminal, async (operator) => {
        if (limit < 1 || limit > limitMax) {
          throw usage(`--limit: ${limit} is out of range: 1 to ${limitMax} is allowed`);
        }
        if (security === true && what !== '') throw usage('--security and --what: choose one of the two');
        const request = {
          agentId: agent,
          what: security === true ? [...securityWords] : what.split(',').filter(Boolean),
          fromRevision: from,
          beforeRevision: before,
          limit,
          stale: stale === true,
          since: since === undefined ? null : timestampOf('--since', since, terminal.now()),
          until: until === undefined ? null : timestampOf('--until', until, terminal.now()),
          who,
        };
        const response = await operator.client.call(operatorService.listHistory, request, { idempotent: true });
        printList(operator, operatorService.listHistory, response, historyList(limit), shape);
      }),
  );
};

function historyList(limit: number): List<sublet.v1.ListHistoryResponse, sublet.v1.HistoryEntry.$Properties> {
  return {
    one: 'a change',
    type: 'sublet.v1.HistoryEntry',
    message: sublet.v1.HistoryEntry,
    items: ({ entries }) => entries,
    replaced: ({ revision }, entries) => new sublet.v1.ListHistoryResponse({ entries, revision }),
    table: (response, terminal, shape) => formatHistory(response, limit, terminal, shape),
  };
}

/** A length of time before `now`, or a time of day in the local time zone unless it names one. */
function timestampOf(flag: string, text: string, now: number): { seconds: number; nanos: number } {
  const past = parseDuration(text);
  const isTime =
    /^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2})?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?$/.test(text);
  // A date alone would be taken for one of UTC.
  const at =
    past === undefined ? Date.parse(text.length === 10 ? `${text}T00:00` : text.replace(' ', 'T')) : now - past;
  if ((past === undefined && !isTime) || !(at >= 0)) {
    throw usage(
      `${flag}: "${text}" is not a time: 2h (ago), 2025-06-01, 2025-06-01T14:03 or 2025-06-01T14:03:07Z is allowed`,
    );
  }
  return { seconds: Math.floor(at / 1_000), nanos: (at % 1_000) * 1_000_000 };
}

/** With `limit` entries there may be more: the output says how to see them. */
function formatHistory(
  { entries }: sublet.v1.ListHistoryResponse,
  limit: number,
  terminal: Terminal,
  { titles, remarks }: TableShape,
): string {
  if (entries.length === 0) return remarks ? 'No changes.\n' : '';
  const now = terminal.now();
  const rows = entries.map(({ revision, time, what, who, subjects, detail }): readonly Cell[] => [
    String(revision ?? 0),
    clockTime(time, now),
    { text: what ?? '', style: 'bold' },
    who ?? '',
    [...(named.has(what) ? [] : (subjects ?? [])), detail ?? ''].filter(Boolean).join(' '),
  ]);
  const columns = [
    { title: 'REVISION', align: 'right' as const },
    { title: 'TIME' },
    { title: 'WHAT' },
    { title: 'WHO', least: 10 },
    // An IPv6 subnet is seldom broken.
    { title: 'OF', least: 18 },
  ];
  const table = formatTable(columns, rows, terminal, { titled: titles });
  if (terminal.columns === undefined || !remarks || entries.length < limit) return table;
  const first = Math.min(...entries.map(({ revision }) => revision ?? 0));
  return `${table}${terminal.paint('dim', `Earlier ones: --before ${first}`)}\n`;
}
