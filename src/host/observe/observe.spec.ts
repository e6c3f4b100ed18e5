import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { predict } from '#host/apply/predict.js';
import { desired } from '#host/desired/desired.js';
import { diff } from '#host/diff/diff.js';
import { lookoutOf, observe } from '#host/observe/observe.js';
import { bareHost, type ObservedHost } from '#host/observe/observed.js';
import { exampleInput, underlay } from '#host/testing/example.js';
import { noDocker } from '#host/tools/docker-engine.js';
import type { Runner } from '#host/tools/runner.js';

const noTools: Runner = { run: (command) => Promise.reject(new Error(`${command} is not expected`)) };

describe('a look at the CNI folder', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sublet-observe-spec-'));
  chmodSync(dir, 0o755);
  const given = exampleInput();
  const input = { ...given, settings: { ...given.settings, cniDir: dir } };
  const wish = desired(input, { underlay });

  after(() => rmSync(dir, { recursive: true }));

  const look = (known: ObservedHost): Promise<ObservedHost> =>
    observe(lookoutOf(input, noTools, noDocker), new Set(['cni']), known);

  it('has a file that is removed after it was written come back under its own name, also before the next look', async () => {
    const { steps } = diff(wish, await look(bareHost));
    for (const step of steps) if (step.kind === 'cni-write') writeFileSync(join(dir, step.name), step.content);
    const written = predict(bareHost, steps);
    rmSync(join(dir, 'dcos.conflist'));
    const back = diff(wish, await look(written)).steps.filter(({ kind }) => kind.startsWith('cni-'));
    assert.deepEqual(
      back.map((step) => ('name' in step ? [step.kind, step.name] : [step.kind])),
      [['cni-write', 'dcos.conflist']],
    );
  });
});
