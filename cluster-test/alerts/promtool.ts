/**
 * The rules of deploy/, judged over recordings by Prometheus' own engine: promtool plays each recording at the pace of a
 * scrape every 30 s, in its own time, and says which alerts fire when.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import {
  alertRules,
  dashboardQueries,
  type Recording,
  rulesText,
  type Scrape,
} from '#cluster-test/alerts/recording.js';

/** The labels that an alert is known by, `alertname` among them. */
export type Firing = Readonly<Record<string, string>> & { readonly alertname: string };

const scrapeS = 30;
/** Longer than the longest `for`, and the last one longer than the longest range of a rule beside. */
const phases = { healthy: 600, faulty: 2_400, mended: 4_200 } as const;
const faultAtS = phases.healthy;
const mendedAtS = faultAtS + phases.faulty;
const endS = mendedAtS + phases.mended - scrapeS;
/** The labels that distinguish the firing alerts of a rule. */
const knownBy = 'alertname, instance, overlay, family, bridge';
/** They count from 1970, and promtool's time begins at 0. */
const inUnixTime = /^sublet_certificate_(?:expires|begins)_seconds\b/;

type PromqlTest = {
  readonly expr: string;
  readonly eval_time: string;
  readonly exp_samples: readonly { readonly labels: string; readonly value: number }[];
};

/**
 * What is wrong; empty: nothing. Nothing may fire while all is well, nor an hour after the fault; during the fault just what is
 * expected, and that not before its `for` has passed.
 */
export function judged(recording: Recording, expected: readonly Firing[]): string {
  const firing = (at: number, alerts: readonly Firing[]): PromqlTest => ({
    expr: `count by (${knownBy}) (ALERTS{alertstate="firing"})`,
    eval_time: `${at}s`,
    exp_samples: alerts.map((alert) => ({ labels: labelText(alert), value: 1 })),
  });
  const names = new Set(expected.map(({ alertname }) => alertname));
  const early = alertRules
    .filter(({ alert, forS }) => names.has(alert) && forS > 0)
    .map(({ alert, forS }) => ({
      expr: `ALERTS{alertname="${alert}",alertstate="firing"}`,
      eval_time: `${faultAtS + forS - scrapeS}s`,
      exp_samples: [],
    }));
  const tests = [firing(faultAtS - scrapeS, []), ...early, firing(mendedAtS - scrapeS, expected), firing(endS, [])];
  return outcomeOf(seriesOf(recording, namesIn(alertRules.map(({ expr }) => expr))), tests);
}

/** The panels of the dashboard whose query can't be read, or finds nothing; empty: none. */
export function unanswered(scrape: Scrape): string {
  const tests = dashboardQueries.map(({ expr }) => ({
    expr: `count(${expr}) > bool 0`,
    eval_time: `${faultAtS - scrapeS}s`,
    exp_samples: [{ labels: '{}', value: 1 }],
  }));
  const recording = { healthy: scrape, faulty: scrape, mended: scrape };
  return outcomeOf(seriesOf(recording, namesIn(dashboardQueries.map(({ expr }) => expr))), tests);
}

function labelText(labels: Firing): string {
  const each = Object.entries(labels).map(([name, value]) => `${name}="${value}"`);
  return `{${each.join(', ')}}`;
}

function namesIn(expressions: readonly string[]): ReadonlySet<string> {
  return new Set(expressions.flatMap((expression) => expression.match(/\b(?:sublet_\w+|process_\w+|up)\b/g) ?? []));
}

type Series = { readonly series: string; readonly values: string };

function seriesOf({ healthy, faulty, mended }: Recording, names: ReadonlySet<string>): readonly Series[] {
  const parts = [
    { ...healthy, from: 0, lasts: phases.healthy },
    { ...faulty, from: faultAtS, lasts: phases.faulty },
    { ...mended, from: mendedAtS, lasts: phases.mended },
  ];
  const all = new Set(parts.flatMap(({ samples }) => [...samples.keys()]));
  return [...all]
    .filter((series) => names.has(/^\w+/.exec(series)?.[0] ?? ''))
    .map((series) => {
      const values = parts.map(({ samples, at, from, lasts }) => {
        const value = samples.get(series);
        const more = lasts / scrapeS - 1;
        // What is not scraped any more is marked as stale, as Prometheus does.
        if (value === undefined) return `stale _x${more}`;
        return `${inUnixTime.test(series) ? value - at + from : value}+0x${more}`;
      });
      return { series, values: values.join(' ') };
    });
}

function outcomeOf(series: readonly Series[], tests: readonly PromqlTest[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'sublet-promtool-'));
  try {
    writeFileSync(join(folder, 'rules.yml'), rulesText);
    const file = join(folder, 'test.yml');
    const test = { interval: `${scrapeS}s`, input_series: series, promql_expr_test: tests };
    const content = { rule_files: ['rules.yml'], evaluation_interval: `${scrapeS}s`, tests: [test] };
    writeFileSync(file, stringify(content, { lineWidth: 0 }));
    const { status, stdout, stderr, error } = spawnSync('promtool', ['test', 'rules', file], { encoding: 'utf8' });
    if (error !== undefined) throw error;
    return status === 0 ? '' : `${stdout}${stderr}` || `promtool ended with ${status}`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
