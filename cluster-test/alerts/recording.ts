/** Pages of metrics of real processes, recorded while all is well, during a fault and after it, as Prometheus would scrape them. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { z } from 'zod';

export type ScrapeTarget = {
  readonly job: 'sublet-master' | 'sublet-agent';
  /** HOST:PORT. */
  readonly instance: string;
  /** The page of metrics; rejects where nothing answers. */
  readonly metrics: () => Promise<string>;
};

/** One scrape of each target. */
export type Scrape = {
  /** Seconds since 1970. */
  readonly at: number;
  /** Values by series, `up` of each target included. */
  readonly samples: ReadonlyMap<string, number>;
};

/** In the order of time. */
export type Recording = { readonly healthy: Scrape; readonly faulty: Scrape; readonly mended: Scrape };

/** A page of a process that lives is there at once. */
const scrapeBoundMs = 10_000;

export async function scrape(targets: readonly ScrapeTarget[]): Promise<Scrape> {
  const at = Date.now() / 1_000;
  const pages = await Promise.all(targets.map(async (target) => samplesOf(target, await pageOf(target))));
  return { at, samples: new Map(pages.flat()) };
}

/** Undefined: nothing answers. */
async function pageOf({ metrics }: ScrapeTarget): Promise<string | undefined> {
  try {
    return await metrics();
  } catch {
    return undefined; // The target is down: that is what is recorded of it.
  }
}

function samplesOf({ job, instance }: ScrapeTarget, page: string | undefined): readonly (readonly [string, number])[] {
  const target = `job="${job}",instance="${instance}"`;
  const up = [`up{${target}}`, page === undefined ? 0 : 1] as const;
  const samples = [...(page ?? '').matchAll(/^(\w+)(?:\{(.*)\})? (\S+)$/gm)].map(
    ([, name = '', labels, value = '']) => {
      const all = labels ? `${labels},${target}` : target;
      return [`${name}{${all}}`, numberOf(value)] as const;
    },
  );
  return [up, ...samples];
}

function numberOf(text: string): number {
  return text.endsWith('Inf') ? Number.POSITIVE_INFINITY * (text.startsWith('-') ? -1 : 1) : Number(text);
}

/** For a target whose page this process can fetch. */
export function fetched(job: ScrapeTarget['job'], instance: string): ScrapeTarget {
  const metrics = async (): Promise<string> => {
    const response = await fetch(`http://${instance}/metrics`, { signal: AbortSignal.timeout(scrapeBoundMs) });
    return response.text();
  };
  return { job, instance, metrics };
}

const top = fileURLToPath(new URL('../../../', import.meta.url));
export const rulesText = readFileSync(`${top}deploy/sublet.rules.yml`, 'utf8');

export type AlertRule = { readonly alert: string; readonly expr: string; readonly forS: number };

const rulesShape = z.object({
  groups: z.array(
    z.object({ rules: z.array(z.object({ alert: z.string(), expr: z.string(), for: z.string().default('0s') })) }),
  ),
});

export const alertRules: readonly AlertRule[] = rulesShape
  .parse(parse(rulesText))
  .groups.flatMap(({ rules }) => rules.map(({ alert, expr, for: time }) => ({ alert, expr, forS: secondsOf(time) })));

/** Of a time like 30s or 10m, the forms that the rules have. */
function secondsOf(text: string): number {
  const [, number = '', unit = ''] = /^(\d+)([smh])$/.exec(text) ?? [];
  const seconds = { s: 1, m: 60, h: 3_600 }[unit];
  if (seconds === undefined) throw new RangeError(`for: "${text}" has a form that is not read here`);
  return Number(number) * seconds;
}

type DashboardQuery = { readonly title: string; readonly expr: string };

const dashboardShape = z.object({
  panels: z.array(z.object({ title: z.string(), targets: z.array(z.object({ expr: z.string() })).default([]) })),
});

export const dashboardQueries: readonly DashboardQuery[] = dashboardShape
  .parse(JSON.parse(readFileSync(`${top}deploy/grafana/sublet.json`, 'utf8')))
  .panels.flatMap(({ title, targets }) => targets.map(({ expr }) => ({ title, expr })));
