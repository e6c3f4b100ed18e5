/** What is in deploy/ fits the program: metrics with their labels, and configurations. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { z } from 'zod';
import { parseCidr4 } from '#address/cidr4.js';
import { agentMetrics } from '#agent/report/agent-metrics.js';
import { AgentWorld } from '#agent/testing/agent-world.js';
import { exitCodes } from '#cli/failure.js';
import { command, requires } from '#cluster-test/requirement.js';
import { loadMasterConfig } from '#config/files/master-config.js';
import { Metrics as MasterMetrics } from '#master/process/metrics.js';
import { TestMasters, testOverlay } from '#master/testing/test-masters.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';
import type { CertificateReport } from '#tls/certificate/certificate-reloader.js';

const top = fileURLToPath(new URL('../../../', import.meta.url));
const text = (file: string): string => readFileSync(top + file, 'utf8');
/** Values by label by name of metric. */
type Metrics = ReadonlyMap<string, ReadonlyMap<string, ReadonlySet<string>>>;

/** The samples of pages that Prometheus reads. */
function metricsOf(...pages: readonly string[]): Metrics {
  const all = new Map<string, Map<string, Set<string>>>();
  for (const [, name = '', labels = ''] of pages.join('\n').matchAll(/^(\w+)(?:\{(.*)\})? \S+$/gm)) {
    const values = all.get(name) ?? new Map<string, Set<string>>();
    all.set(name, values);
    for (const [, label = '', value = ''] of labels.matchAll(/(\w+)="([^"]*)"/g)) {
      values.set(label, (values.get(label) ?? new Set()).add(value));
    }
  }
  return all;
}

const operators = new Set(['and', 'or', 'unless', 'bool']);
const labelLists = /\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)/g;
const selectors = /\b([a-zA-Z_]\w*)\b(\s*\()?(?:\s*\{([^}]*)\})?/g;

/** What an expression asks for and there is not: metrics, labels, values. `shown`: labels that its texts name. */
function lacking(expression: string, metrics: Metrics, shown: readonly string[] = []): string[] {
  const wrong: string[] = [];
  const labels = new Set<string>();
  const lists = [...expression.matchAll(labelLists)].flatMap(([, list = '']) =>
    list.split(',').map((one) => one.trim()),
  );
  const plain = expression.replaceAll(labelLists, '').replaceAll(/\[[^\]]*\]/g, '');
  for (const [, name = '', call, matchers = ''] of plain.matchAll(selectors)) {
    if (call !== undefined || operators.has(name)) continue;
    const there = metrics.get(name);
    if (there === undefined) wrong.push(name);
    for (const label of there?.keys() ?? []) labels.add(label);
    for (const [matcher, label = '', operator = '', value = ''] of matchers.matchAll(
      /(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"/g,
    )) {
      const isMet = operator.endsWith('~')
        ? (one: string) => new RegExp(`^(?:${value})$`).test(one)
        : (one: string) => one === value;
      const values = [...(there?.get(label) ?? [])];
      if (operator.startsWith('!') ? values.length === 0 : !values.some(isMet)) wrong.push(`${name}{${matcher}}`);
    }
  }
  return [...wrong, ...[...lists, ...shown].filter((label) => !labels.has(label)).map((label) => `label ${label}`)];
}

type Asked = { readonly where: string; readonly expression: string; readonly shown: readonly string[] };

const rulesShape = z.object({
  groups: z.array(
    z.object({
      rules: z.array(z.object({ alert: z.string(), expr: z.string(), annotations: z.record(z.string(), z.string()) })),
    }),
  ),
});

function rules(): Asked[] {
  return rulesShape.parse(parse(text('deploy/sublet.rules.yml'))).groups.flatMap((group) =>
    group.rules.map(({ alert, expr, annotations }) => ({
      where: alert,
      expression: expr,
      shown: [...JSON.stringify(annotations).matchAll(/\$labels\.(\w+)/g)].map(([, label = '']) => label),
    })),
  );
}

const dashboardShape = z.object({
  panels: z.array(
    z.object({
      title: z.string(),
      targets: z.array(z.object({ expr: z.string(), legendFormat: z.string() })).default([]),
    }),
  ),
});

function panels(): Asked[] {
  return dashboardShape.parse(JSON.parse(text('deploy/grafana/sublet.json'))).panels.flatMap(({ title, targets }) =>
    targets.map(({ expr, legendFormat }) => ({
      where: title,
      expression: expr,
      shown: [...legendFormat.matchAll(/\{\{\s*(\w+)\s*\}\}/g)].map(([, label = '']) => label),
    })),
  );
}

const scrapeShape = z.object({ scrape_configs: z.array(z.object({ job_name: z.string() })) });

/** What masters and agents say, in the states that are asked for, with the labels that Prometheus gives to each target. */
async function scraped(): Promise<Metrics> {
  const principal = { role: 'agent', id: 'agent-1', serial: '0A', beginsMs: 1_000, endsMs: 7_000 } as const;
  const certificate: CertificateReport = {
    material: { principal, authorityEndsMs: 9_000 },
    age: 'good',
    problem: '',
    warnings: () => [],
  };
  let wallTime = 1_750_000_000_000;
  const wallClock = (): number => wallTime;
  // With 16 blocks, so that it is full within days.
  const overlays = [{ ...testOverlay, v4: { subnet: parseCidr4('9.0.0.0/24'), prefix: 28 } }];
  await using masters = await TestMasters.start({ clock: new VirtualTime(), wallClock, overlays });
  const { services, member } = masters.master(0);
  const status = () => member.status();
  const master = new MasterMetrics({ services, status, storeBytes: async () => 4_096, version: '1.2.3', certificate });
  for (let number = 1; number <= 12; number++) {
    wallTime += 21_600_000;
    await masters.register(`agent-${number}`);
  }
  master.observe('/sublet.v1.AgentService/Register', 3, undefined);

  const world = new AgentWorld();
  const agent = world.start();
  const { host } = world;
  const counters = host.metrics();
  host.metrics = () => ({ ...counters, stepsFailed: { route: 1 }, driftRepaired: { route: 1 } });
  host.used = [{ overlay: 'dcos', bridge: 'm-dcos', family: 4, range: '9.0.0.0/25', size: 125, used: 2 }];
  host.tell({ overlays: [{ kind: 'failed', name: 'dcos', error: 'no' }], problems: [], converged: false });

  const said = metricsOf(await master.page(), await agentMetrics(agent, certificate).metrics());
  const jobs = scrapeShape.parse(parse(text('deploy/prometheus.yml'))).scrape_configs.map(({ job_name }) => job_name);
  const target = [
    ['job', new Set(jobs)],
    ['instance', new Set(['127.0.0.1:7072'])],
  ] as const;
  const all = [...said, ['up', new Map<string, ReadonlySet<string>>()] as const];
  return new Map(all.map(([name, values]) => [name, new Map([...values, ...target])]));
}

describe('deploy/', () => {
  let metrics: Metrics;

  before(async () => {
    metrics = await scraped();
  });

  for (const [file, asks] of [
    ['deploy/grafana/sublet.json', panels],
    ['deploy/sublet.rules.yml', rules],
  ] as const) {
    it(`asks for metrics, labels and values that there are, in ${file}`, () => {
      const asked = asks();
      const all = text(file).match(/\bexpr"?:/g) ?? [];
      assert.ok(asked.length > 0 && asked.length === all.length, `${asked.length} of ${all.length} were found`);
      assert.deepEqual(
        asked.flatMap(({ where, expression, shown }) =>
          lacking(expression, metrics, shown).map((what) => `${where}: ${what}`),
        ),
        [],
      );
    });
  }

  it('would find a metric, a label or a value that there is not', () => {
    for (const [expression, wrong] of [
      [
        'max(sublet_agent_presence{state="silent"}) > 0',
        ['sublet_agent_presence', 'sublet_agent_presence{state="silent"}'],
      ],
      ['max(sublet_agents_presence{state="quiet"}) > 0', ['sublet_agents_presence{state="quiet"}']],
      ['max(sublet_agents_presence{status="silent"}) > 0', ['sublet_agents_presence{status="silent"}']],
      ['sublet_overlays_on_hosts{status=~"fail|broken"}', ['sublet_overlays_on_hosts{status=~"fail|broken"}']],
      ['rate(sublet_calls_total{cause!=""}[1m])', ['sublet_calls_total{cause!=""}']],
      ['up{job="sublet"} == 0 or absent(sublet_leader)', ['up{job="sublet"}', 'sublet_leader']],
      ['sum by (overlays) (sublet_blocks) / on (family) sublet_blocks', ['label overlays']],
      ['sublet_overlays_on_hosts{status=~"fail.*|broken"} and up{job=~"sublet-.*"} < 0.1', []],
    ] as const) {
      assert.deepEqual(lacking(expression, metrics), wrong, expression);
    }
    assert.deepEqual(lacking('max(sublet_agents)', metrics, ['instance', 'overlay']), ['label overlay']);
  });

  it('has rules and a configuration that promtool takes', function () {
    requires(this, command('promtool'));
    for (const [what, file] of [
      ['rules', 'sublet.rules.yml'],
      ['config', 'prometheus.yml'],
    ] as const) {
      const { status, stdout, stderr } = spawnSync('promtool', ['check', what, `${top}deploy/${file}`], {
        encoding: 'utf8',
      });
      assert.equal(status, 0, `${stdout}${stderr}`);
    }
  });

  it('has a severity and a section of a page for each alert', () => {
    const alerts = text('deploy/sublet.rules.yml').split('- alert: ').slice(1);
    const page = text('docs/operations/alerts.md');
    const sections = [...page.matchAll(/^## (\w+)$/gm)].map(([, name = '']) => name);
    assert.deepEqual(
      alerts.map((alert) => /^\w+/.exec(alert)?.[0]),
      sections,
    );
    for (const alert of alerts) {
      const [name = ''] = /^\w+/.exec(alert) ?? [];
      assert.match(alert, /\n {8}labels:\n {10}severity: (?:page|ticket)\n/, name);
      assert.match(alert, /\n {10}summary: .*\n/, name);
      assert.match(
        alert,
        new RegExp(`\\n {10}runbook: "[^"]*docs/operations/alerts\\.md#${name.toLowerCase()}"\\n`),
        name,
      );
    }
  });

  it('fires without a leader also when nothing is scraped', () => {
    assert.match(
      text('deploy/sublet.rules.yml'),
      /alert: SubletNoLeader\n(?:.*\n)*? {8}expr: .* or absent\(sublet_raft_has_leader\)\n/,
    );
  });

  it('has masters in compose.yaml whose configuration can be used', () => {
    const [, block = ''] = /content: \|\n((?: {6}.*\n)+)/.exec(text('deploy/compose.yaml')) ?? [];
    const { config } = loadMasterConfig({
      file: { name: 'compose.yaml', text: block },
      flags: [{ flag: '--name', value: 'm2' }],
    });
    assert.equal(config.cluster.members.length, 3);
    assert.equal(config.network.overlays?.length, 1);
  });

  it('has an image for masters that is not root, and a health check that a lost quorum does not fail', () => {
    const image = text('deploy/container/Containerfile');
    const [, stage = ''] = /^FROM program AS master\n([\s\S]*)/m.exec(image) ?? [];
    assert.match(stage, /^USER 65532:65532$/m);
    assert.match(image, /^FROM node:\S+ AS program\n[\s\S]*?^HEALTHCHECK .*SUBLET_HEALTH_URL/ms);
    for (const [, path] of image.matchAll(/^ENV SUBLET_HEALTH_URL=http:\/\/127\.0\.0\.1:\d+(\S*)$/gm)) {
      assert.equal(path, '/healthz');
    }
    assert.deepEqual(
      [...text('deploy/compose.yaml').matchAll(/^ +target: (\w+)$/gm)].map(([, name]) => name),
      ['master', 'agent'],
    );
  });

  for (const unit of ['sublet-master.service', 'sublet-agent.service']) {
    it(`row 69: starts a process again however often it was killed, and signals only the process that it started, in ${unit}`, () => {
      const lines = text(`deploy/systemd/${unit}`).split('\n');
      for (const wanted of [
        'StartLimitIntervalSec=0',
        'RestartSteps=6',
        'RestartMaxDelaySec=60s',
        'KillMode=mixed',
        'UMask=0077',
      ]) {
        assert.ok(lines.includes(wanted), wanted);
      }
    });

    it(`leaves the check of the configuration to the process in ${unit}, since only its exit code ends the restarts, and starts no removed master again`, () => {
      const lines = text(`deploy/systemd/${unit}`).split('\n');
      const statuses = unit === 'sublet-master.service' ? [exitCodes.usage, exitCodes.removed] : [exitCodes.usage];
      assert.ok(lines.includes(`RestartPreventExitStatus=${statuses.join(' ')}`));
      assert.deepEqual(
        lines.filter((line) => line.startsWith('ExecStartPre') && line.includes('sublet')),
        [],
      );
    });
  }
});
