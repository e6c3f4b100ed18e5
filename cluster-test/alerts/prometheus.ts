/**
 * A real Prometheus that scrapes and judges every second. The rules are those of deploy/, with their times shortened: each
 * `for` to 2 s, and the range of an hour to 20 s.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { z } from 'zod';
import type { Firing } from '#cluster-test/alerts/promtool.js';
import { dashboardQueries, rulesText, type ScrapeTarget } from '#cluster-test/alerts/recording.js';
import { Child } from '#cluster-test/process/child.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { freePorts } from '#cluster-test/process/ports.js';

const shownBoundMs = 120_000;

const alertsShape = z.object({
  data: z.object({
    alerts: z.array(
      z.object({
        state: z.string(),
        labels: z.record(z.string(), z.string()),
        annotations: z.record(z.string(), z.string()),
      }),
    ),
  }),
});
const resultShape = z.object({ data: z.object({ result: z.array(z.unknown()) }) });

type Get = (url: string) => Promise<string>;

export type PrometheusOptions = {
  readonly targets: readonly Pick<ScrapeTarget, 'job' | 'instance'>[];
  /** Where it runs; default: beside this process. */
  readonly prefix?: readonly string[];
  /** How this process asks it. */
  readonly get?: Get;
};

export class Prometheus implements AsyncDisposable {
  readonly #folder: string;
  readonly #child: Child;
  readonly #url: string;
  readonly #get: Get;

  private constructor(folder: string, child: Child, url: string, get: Get) {
    this.#folder = folder;
    this.#child = child;
    this.#url = url;
    this.#get = get;
  }

  static async start({ targets, prefix = [], get = fetchText }: PrometheusOptions): Promise<Prometheus> {
    const folder = mkdtempSync(join(tmpdir(), 'sublet-prometheus-'));
    const [port] = await freePorts(1);
    const jobs = [...new Set(targets.map(({ job }) => job))];
    const config = {
      global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
      rule_files: ['rules.yml'],
      scrape_configs: jobs.map((job) => ({
        job_name: job,
        static_configs: [{ targets: targets.filter((each) => each.job === job).map(({ instance }) => instance) }],
      })),
    };
    writeFileSync(join(folder, 'rules.yml'), rulesText.replace(/^( +for: ).*$/gm, '$12s').replaceAll('[1h]', '[20s]'));
    writeFileSync(join(folder, 'prometheus.yml'), stringify(config));
    const address = `127.0.0.1:${port}`;
    const child = new Child(
      [
        `--config.file=${folder}/prometheus.yml`,
        `--storage.tsdb.path=${folder}/data`,
        `--web.listen-address=${address}`,
      ],
      { command: ['prometheus'], prefix },
    );
    const prometheus = new Prometheus(folder, child, `http://${address}`, get);
    try {
      await until('Prometheus scrapes all targets', shownBoundMs, async () => {
        if (!child.running) throw new Error('it has ended');
        const up = await prometheus.#ask('sum(up)');
        return holds(JSON.stringify(up).includes(`"${targets.length}"`));
      });
    } catch (error) {
      await prometheus[Symbol.asyncDispose]();
      throw new Error(child.output, { cause: error });
    }
    return prometheus;
  }

  /** Waits until just these alerts fire, each with texts that could be filled in. */
  async fires(expected: readonly Firing[]): Promise<void> {
    const wanted = expected.map(known).sort();
    let last: readonly string[] = [];
    try {
      await until('the alerts', shownBoundMs, async () => {
        const { data } = alertsShape.parse(JSON.parse(await this.#get(`${this.#url}/api/v1/alerts`)));
        const firing = data.alerts.filter(({ state }) => state === 'firing');
        for (const { annotations, labels } of firing) {
          const text = Object.values(annotations).join(' ');
          if (/\{\{|<error|NaN/.test(text)) throw new Error(`${labels.alertname}: ${text}`);
        }
        last = firing.map(({ labels }) => known(labels)).sort();
        return holds(JSON.stringify(last) === JSON.stringify(wanted));
      });
    } catch (error) {
      throw new Error(`firing are ${last.join(' ') || 'none'}, and not ${wanted.join(' ') || 'none'}`, {
        cause: error,
      });
    }
  }

  /** The panels of the dashboard whose query finds nothing. */
  async unanswered(): Promise<readonly string[]> {
    const empty: string[] = [];
    for (const { title, expr } of dashboardQueries) {
      if ((await this.#ask(expr)).length === 0) empty.push(title);
    }
    return empty;
  }

  async #ask(query: string): Promise<readonly unknown[]> {
    const answer = await this.#get(`${this.#url}/api/v1/query?query=${encodeURIComponent(query)}`);
    return resultShape.parse(JSON.parse(answer)).data.result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

async function fetchText(url: string): Promise<string> {
  return (await fetch(url)).text();
}

/** The labels that distinguish the firing alerts. */
function known(labels: Readonly<Record<string, string>>): string {
  const { alertname = '', instance = '', overlay = '', family = '', bridge = '' } = labels;
  return [alertname, instance, overlay, family, bridge].filter(Boolean).join('/');
}
