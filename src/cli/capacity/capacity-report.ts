/** A forecast of the capacity, for people and for programs. */
import type { Json } from '#api/proto-json.js';
import type { CapacityPlan, CapacitySpace } from '#cli/capacity/capacity-plan.js';
import { inDays, spanText } from '#cli/capacity/days.js';
import { plainJson } from '#cli/output/form.js';
import { type Cell, formatTable, wrapIndented } from '#cli/table.js';
import type { Terminal } from '#cli/terminal.js';
import { count, plural } from '#cli/words.js';
import type { HistoryFlow } from '#ipam/space/agent-flow.js';
import type { AgentFlow, CapacityForecast, SpaceForecast } from '#ipam/space/capacity.js';
import { formatDuration } from '#text/duration.js';
import { printable } from '#text/printable-text.js';

export type CapacityReport = {
  readonly plan: CapacityPlan;
  readonly flow: AgentFlow;
  readonly days: number;
  /** Agents that arrive at the start. */
  readonly newcomers: number;
  /** Where the rates are from; undefined: they were given. */
  readonly history: HistoryFlow | undefined;
  /** Overlays with other prefixes; the forecast has them after those of the plan. */
  readonly instead: readonly (readonly CapacitySpace[])[];
  readonly forecast: CapacityForecast;
};

type ReportLine = {
  readonly space: CapacitySpace;
  readonly forecast: SpaceForecast;
  /** Arrivals that got no block of it or, of the VTEP subnet, that were refused. */
  readonly without: number;
  /** It has another prefix than the plan. */
  readonly supposed: boolean;
};

const dayMs = 86_400_000;

function linesOf({ plan, instead, forecast }: CapacityReport): readonly ReportLine[] {
  const overlays = [...plan.overlays, ...instead].flatMap((families, at) =>
    families.flatMap((space, family): readonly ReportLine[] => {
      const found = forecast.overlays[at];
      const own = found?.families[family];
      if (found === undefined || own === undefined) return [];
      return [{ space, forecast: own, without: found.without, supposed: at >= plan.overlays.length }];
    }),
  );
  if (plan.vtep === undefined || forecast.vtep === undefined) return overlays;
  return [...overlays, { space: plan.vtep, forecast: forecast.vtep, without: forecast.refused, supposed: false }];
}

export function formatCapacity(report: CapacityReport, terminal: Terminal): string {
  const { plan, forecast, days } = report;
  const lines = linesOf(report);
  const rows = lines.map(({ space, forecast: { fullAt, end }, supposed }): readonly Cell[] => [
    space.overlay === '' ? { text: 'VTEPs', style: 'dim' } : { text: space.overlay, style: 'bold' },
    space.subnet,
    `/${space.prefix}${supposed ? ' instead' : ''}`,
    count(space.counts.total),
    count(space.counts.held),
    freeCell(space.counts.free),
    fullAt === undefined ? { text: 'no', style: 'green' } : { text: inDays(fullAt), style: 'red' },
    count(end.held),
    count(end.quarantined),
    freeCell(end.free),
  ]);
  const right = ['TOTAL', 'HELD', 'FREE', 'FULL', 'THEN HELD', 'QUARANTINED', 'FREE'];
  const columns = [
    { title: 'OVERLAY', least: 7 },
    { title: 'SUBNET', least: 10 },
    { title: 'SIZE' },
    ...right.map((title) => ({ title, align: 'right' as const })),
  ];
  const said = [
    ...headOf(report),
    ...(plan.overlays.length === 0 ? ['No overlay allocates.'] : []),
    ...(plan.vtep === undefined ? ['The file has no network.vtep_subnet: tunnel endpoints are not counted.'] : []),
    ...(plan.disabled.length === 0 ? [] : [`Disabled, so not counted: ${plan.disabled.join(', ')}.`]),
  ];
  const found = lines.flatMap(wordsOf);
  const none = `Nothing is full within ${plural(days, 'day')}; then the plan has ${plural(forecast.agents, 'agent')}.`;
  const text = (sentences: readonly string[]): string =>
    sentences.map((each) => `${wrapIndented(printable(each), terminal.columns, '  ')}\n`).join('');
  const table = lines.length === 0 ? '' : formatTable(columns, rows, terminal);
  return `${text(said)}${table}${text(found.length > 0 || lines.length === 0 ? found : [none])}`;
}

function freeCell(free: number): Cell {
  return free > 0 ? count(free) : { text: count(Math.max(0, free)), style: 'red' };
}

function headOf({ plan, flow, days, newcomers, history }: CapacityReport): readonly string[] {
  const { revision, agents, quarantineMs } = plan;
  const of = revision === 0 ? 'The plan of the file' : `The plan at revision ${revision}`;
  const more = newcomers === 0 ? '' : ` and ${plural(newcomers, 'agent')} more at once`;
  const from =
    history === undefined
      ? ''
      : ` (by ${spanText(history.spanMs)} of history: ${plural(history.arrivals, 'arrival')}, ${plural(history.departures, 'departure')})`;
  return [
    `${of}: ${plural(agents, 'agent')}${more}, quarantine ${formatDuration(quarantineMs)}.`,
    `${plural(days, 'day')} with ${rate(flow.arrivals)} arrivals and ${rate(flow.departures)} departures a day${from}:`,
  ];
}

/** One sentence for an address space that is full. */
function wordsOf({ space, forecast: { fullAt }, without, supposed }: ReportLine): readonly string[] {
  if (fullAt === undefined) return [];
  const { overlay, subnet, prefix } = space;
  const when = fullAt === 0 ? 'full from the start' : `full ${inDays(fullAt)}`;
  if (overlay === '') {
    return [
      `The VTEP subnet ${subnet} is ${when}; ${plural(without, 'arrival')} refused. Grow it: sublet network grow --vtep-subnet CIDR`,
    ];
  }
  const missed = `${plural(without, 'arrival')} without a block of it`;
  if (supposed) return [`${overlay} with /${prefix} is ${when}; ${missed}.`];
  const flag = subnet.includes(':') ? '--subnet6' : '--subnet';
  return [`${overlay} is ${when}; ${missed}. Grow it: sublet overlay grow ${overlay} ${flag} CIDR`];
}

function rate(perDay: number): string {
  return perDay >= 100 ? count(Math.round(perDay)) : String(Number(perDay.toPrecision(3)));
}

/** `overlay` is empty for the VTEP subnet; `fullInDays` null: not within `days`. */
export function reportJson(report: CapacityReport): Json {
  const { plan, flow, days, newcomers, history, forecast } = report;
  return plainJson({
    revision: plan.revision,
    agents: plan.agents,
    newcomers,
    quarantineMs: plan.quarantineMs,
    days,
    rates: {
      arrivalsPerDay: flow.arrivals,
      departuresPerDay: flow.departures,
      from: history === undefined ? 'options' : 'history',
      ...(history && {
        historyDays: history.spanMs / dayMs,
        arrivals: history.arrivals,
        departures: history.departures,
      }),
    },
    spaces: linesOf(report).map(({ space, forecast: { fullAt, end }, without, supposed }) => ({
      overlay: space.overlay,
      subnet: space.subnet,
      prefix: space.prefix,
      instead: supposed,
      now: space.counts,
      fullInDays: fullAt === undefined ? null : fullAt / dayMs,
      without,
      end,
    })),
    end: { agents: forecast.agents, refused: forecast.refused },
    disabled: plan.disabled,
  });
}
