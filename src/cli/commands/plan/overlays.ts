/** `sublet overlays [NAME]`: the overlays and how full they are. */

import { Option } from 'commander';
import { operatorService } from '#api/services.js';
import { connectsAndWatches, type Define, examples } from '#cli/command-kit.js';
import { exitCodes, Failure, usage } from '#cli/failure.js';
import { type Operator, operate, print } from '#cli/operator/operator.js';
import type { List, ListOptions, TableShape } from '#cli/output/list.js';
import { showList } from '#cli/output/list-watch.js';
import { type Cell, type Column, formatFacts, formatTable } from '#cli/table.js';
import type { Terminal } from '#cli/terminal.js';
import { count, overlayUse } from '#cli/words.js';
import { sublet } from '#proto/sublet.js';

type OverlayUsage = sublet.v1.OverlayUsage.$Properties;
type Usage = sublet.v1.PoolUsage.$Properties | null | undefined;

export const define: Define = (command, terminal) => {
  connectsAndWatches(command)
    .description(
      'The overlays, and how many pieces of each are held, reserved, excluded, quarantined, or free. The last lines count the tunnel endpoints’ addresses. With a NAME, that overlay alone.',
    )
    .argument('[NAME]', 'one overlay')
    .addOption(new Option('--state <STATE>', 'only overlays that are so').choices(['enabled', 'disabled', 'draining']))
    .option('--stale', 'answer from what this master has, without asking the others');
  examples(
    command,
    ['sublet overlays', 'all of them'],
    ['sublet overlays dcos', 'one, and how full it is'],
    ['sublet overlays --state draining -o name', 'names, for scripts'],
    ['sublet overlays --sort-by usage.free', 'the fullest first'],
  );
  command.action((name: string | undefined, options: ListOptions & { stale?: true; state?: string }) =>
    operate(command, terminal, async (operator) => {
      const request = { stale: options.stale === true };
      if (name !== undefined) {
        if (options.watch) throw usage('--watch is of the list: leave out the NAME');
        await one(operator, name, request.stale);
        return;
      }
      const { state } = options;
      const list = overlayList(state === undefined);
      const look = async (): Promise<sublet.v1.ListOverlaysResponse> => {
        const response = await operator.client.call(operatorService.listOverlays, request, { idempotent: true });
        const selects = ({ overlay }: OverlayUsage): boolean =>
          state === undefined || overlayUse(overlay ?? {}) === state;
        return list.replaced(response, response.overlays.filter(selects));
      };
      await showList(operator, operatorService.listOverlays, look, list, options);
    }),
  );
};

async function one(operator: Operator, name: string, stale: boolean): Promise<void> {
  const { client, terminal } = operator;
  const { overlays, revision } = await client.call(operatorService.listOverlays, { stale }, { idempotent: true });
  const found = overlays.find(({ overlay }) => overlay?.name === name);
  if (found === undefined) {
    const names = overlays.map(({ overlay }) => overlay?.name ?? '').join(', ');
    throw new Failure(exitCodes.refused, `there is no overlay "${name}": there is ${names || 'none'}`);
  }
  const response = new sublet.v1.ListOverlaysResponse({ overlays: [found], revision });
  print(operator, operatorService.listOverlays, response, () => formatOverlay(found, terminal));
}

/** Everything about one overlay. */
function formatOverlay({ overlay, usage: usage4, usage6 }: OverlayUsage, terminal: Terminal): string {
  const space = (
    subnet: string,
    prefix: number | null | undefined,
    of: Usage,
  ): readonly (readonly [string, Cell])[] => {
    const [, used = ''] = shares(of);
    return [
      ['subnet', `${subnet} in pieces of /${prefix ?? 0}`],
      ['held', `${count(of?.held)} of ${count(of?.total)}`],
      [
        'set aside',
        `${count(of?.reserved)} reserved, ${count(of?.excluded)} excluded, ${count(of?.quarantined)} quarantined`,
      ],
      [
        'free',
        (of?.total ?? 0) > 0 && !of?.free ? { text: 'none', style: 'red' } : `${count(of?.free)} (${used} is not)`,
      ],
    ];
  };
  const facts: readonly (readonly [string, Cell])[] = [
    ['overlay', { text: overlay?.name ?? '', style: 'bold' }],
    [
      'allocates',
      overlay?.enabled
        ? { text: 'yes', style: 'green' }
        : { text: `no: ${overlayUse(overlay ?? {})}`, style: 'yellow' },
    ],
    ...(overlay?.subnet ? space(overlay.subnet, overlay.prefix, usage4) : []),
    ...(overlay?.subnet6 ? space(overlay.subnet6, overlay.prefix6, usage6) : []),
    ['agents', `sublet agents --overlay ${overlay?.name ?? ''}`],
  ];
  return formatFacts(facts, terminal);
}

/** `whole`: no overlay is left out, so that the VTEPs belong to it. */
function overlayList(whole: boolean): List<sublet.v1.ListOverlaysResponse, OverlayUsage> {
  return {
    one: 'an overlay',
    type: 'sublet.v1.OverlayUsage',
    message: sublet.v1.OverlayUsage,
    items: ({ overlays }) => overlays,
    replaced: ({ revision, vtep }, overlays) =>
      new sublet.v1.ListOverlaysResponse({ overlays, revision, vtep: vtep ?? null }),
    name: ({ overlay }) => overlay?.name ?? '',
    watched: (overlay) => overlay,
    table: (response, terminal, shape) => formatOverlays(response, terminal, shape, whole),
  };
}

const columns: readonly Column[] = [
  { title: 'OVERLAY', least: 7 },
  { title: 'SUBNET', least: 10 },
  { title: 'SIZE' },
  // Whether blocks of it are given to agents. With longer titles the table is wider than 80 columns.
  { title: 'OPEN' },
  ...['HELD', 'RESERVED', 'EXCLUDED', 'QUARANTINED', 'FREE'].map((title) => ({ title, align: 'right' as const })),
];
const wideColumns: readonly Column[] = ['TOTAL', 'USED'].map((title) => ({ title, align: 'right' }));

export function formatOverlays(
  { overlays, vtep }: sublet.v1.ListOverlaysResponse,
  terminal: Terminal,
  { wide, titles, remarks, widths }: TableShape,
  whole: boolean,
): string {
  const rows = overlays.flatMap(({ overlay, usage, usage6 }): readonly (readonly Cell[])[] => {
    const open: Cell = overlay?.draining
      ? { text: 'draining', style: 'yellow' }
      : overlay?.enabled
        ? { text: 'yes', style: 'green' }
        : { text: 'no', style: 'yellow' };
    const row = (subnet: string, prefix: number | null | undefined, of: Usage): readonly Cell[] => [
      { text: overlay?.name ?? '', style: 'bold' },
      subnet,
      `/${prefix ?? 0}`,
      open,
      ...counts(of),
      ...(wide ? shares(of) : []),
    ];
    return [
      ...(overlay?.subnet ? [row(overlay.subnet, overlay.prefix, usage)] : []),
      ...(overlay?.subnet6 ? [row(overlay.subnet6, overlay.prefix6, usage6)] : []),
    ];
  });
  const shown = wide ? [...columns, ...wideColumns] : columns;
  const lines = { titled: titles, ...(widths && { widths }) };
  if (!remarks) return formatTable(shown, rows, terminal, lines);
  if (!whole) return overlays.length === 0 ? 'No overlay is like that.\n' : formatTable(shown, rows, terminal);
  const none =
    overlays.length === 0 ? 'No overlays. Add one: sublet overlay add dcos --subnet 9.0.0.0/8 --prefix 24\n' : '';
  const last = [{ text: 'VTEPs', style: 'dim' as const }, '', '', '', ...counts(vtep), ...(wide ? shares(vtep) : [])];
  return none + formatTable(shown, [...rows, last], terminal);
}

/** How many there are, and what part of them is not free. */
function shares(of: Usage): readonly Cell[] {
  const { total = 0, free = 0 } = of ?? {};
  const used = (total ?? 0) === 0 ? 0 : 1 - (free ?? 0) / (total ?? 1);
  return [count(total), `${(used * 100).toFixed(1)}%`];
}

function counts(of: Usage): readonly Cell[] {
  const free: Cell = of?.free === 0 && (of.total ?? 0) > 0 ? { text: '0', style: 'red' } : count(of?.free);
  return [count(of?.held), count(of?.reserved), count(of?.excluded), count(of?.quarantined), free];
}
