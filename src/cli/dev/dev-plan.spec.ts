import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { devDefaults, devMax, devPlan, lastPort } from '#cli/dev/dev-plan.js';
import { devOptions, keepDevOptions } from '#cli/dev/dev-record.js';

describe('the plan of sublet dev', () => {
  it('gives the first master the default ports of a master, and the first agent those of an agent', () => {
    const plan = devPlan(devDefaults);
    assert.deepEqual(
      plan.map(({ name }) => name),
      ['m1', 'm2', 'm3', 'agent-1', 'agent-2', 'agent-3'],
    );
    assert.deepEqual(plan[0]?.ports, [7070, 7071, 7074, 7072]);
    assert.deepEqual(devPlan({ ...devDefaults, insecure: true })[0]?.ports, [7070, 7071, 7072]);
    assert.deepEqual(plan[3]?.ports, [7073]);
  });

  it('gives no port twice, and none above the last', () => {
    for (const masters of [1, 3, devMax.masters]) {
      for (const agents of [0, 1, devMax.agents]) {
        const options = { ...devDefaults, masters, agents };
        const ports = devPlan(options).flatMap((process) => process.ports);
        assert.equal(new Set(ports).size, ports.length);
        assert.ok(Math.max(...ports) <= lastPort(options));
      }
    }
  });
});

describe('the folder of sublet dev', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sublet-dev-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('says what a second run has to be like', () => {
    assert.deepEqual(devOptions({ dataDir: folder }), { ...devDefaults, dataDir: folder });
    const kept = { masters: 1, agents: 2, basePort: 9000, dataDir: folder };
    keepDevOptions({ ...kept, insecure: true });
    assert.deepEqual(devOptions({ dataDir: folder }), { ...kept, insecure: false }, 'TLS unless it is said');
    assert.equal(devOptions({ dataDir: folder, agents: 5 }).agents, 5);
  });

  it('is refused to a cluster of another shape', () => {
    keepDevOptions({ masters: 1, agents: 2, basePort: 9000, dataDir: folder, insecure: false });
    assert.throws(() => devOptions({ dataDir: folder, masters: 3 }), {
      exitCode: 1,
      message: `--masters 3: the cluster in ${folder} was made with --masters 1`,
    });
    assert.throws(
      () => devOptions({ dataDir: folder, basePort: 7070 }),
      /--base-port 7070: .* made with --base-port 9000/,
    );
  });

  it('is refused when it is another’s', () => {
    writeFileSync(join(folder, 'dev.json'), '{}');
    assert.throws(() => devOptions({ dataDir: folder }), /dev\.json is not what `sublet dev` writes there/);
  });

  it('is refused in words when it can’t be made', () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    assert.throws(() => keepDevOptions({ ...devDefaults, dataDir: join(file, 'x') }), {
      name: 'Failure',
      exitCode: 1,
      message: /file\/x can’t be made or written: .*\/file is not a folder$/,
    });
  });
});
