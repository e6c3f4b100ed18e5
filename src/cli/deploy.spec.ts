/** What is in deploy/ fits the program: names of metrics, and configurations. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { exitCodes } from '#cli/failure.js';
import { loadMasterConfig } from '#config/files/master-config.js';

const top = fileURLToPath(new URL('../../../', import.meta.url));
const text = (file: string): string => readFileSync(top + file, 'utf8');
const names = (of: string): readonly string[] => [...new Set(of.match(/sublet_[a-z_]+/g) ?? [])];

describe('deploy/', () => {
  const known = new Set(
    ['src/master/process/metrics.ts', 'src/agent/report/agent-metrics.ts'].flatMap((file) => names(text(file))),
  );
  for (const file of ['deploy/grafana/sublet.json', 'deploy/sublet.rules.yml']) {
    it(`asks for metrics that there are, in ${file}`, () => {
      const asked = names(text(file));
      assert.ok(asked.length > 0);
      assert.deepEqual(
        asked.filter((name) => !known.has(name.replace(/_(bucket|sum|count)$/, ''))),
        [],
      );
    });
  }

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
    for (const [, path] of image.matchAll(/^ENV SUBLET_HEALTH_URL=http:\/\/127\.0\.0\.1:\d+(\S*)$/gm))
      assert.equal(path, '/healthz');
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

    it(`leaves the check of the configuration to the process in ${unit}, since only its exit code ends the restarts`, () => {
      const lines = text(`deploy/systemd/${unit}`).split('\n');
      assert.ok(lines.includes(`RestartPreventExitStatus=${exitCodes.usage}`));
      assert.deepEqual(
        lines.filter((line) => line.startsWith('ExecStartPre') && line.includes('sublet')),
        [],
      );
    });
  }
});
