/** `sublet export`, `diff` and `apply` against a master that runs. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { status as code } from '@grpc/grpc-js';
import { parse } from 'yaml';
import { operatorService } from '#api/services.js';
import { run } from '#cli/program.js';
import { CannedMaster, CannedRefusal } from '#cli/testing/canned-master.js';
import { RecordedTerminal } from '#cli/testing/recorded-terminal.js';
import { Child } from '#cluster-test/process/child.js';
import { until } from '#cluster-test/process/condition.js';
import { freePorts } from '#cluster-test/process/ports.js';

const boundMs = 30_000;

describe('a plan that is applied', function () {
  this.timeout(3 * boundMs);
  const folder = mkdtempSync(join(tmpdir(), 'sublet-plan-'));
  let api = '';
  let master: Child;

  before(async () => {
    const [one = '', two = '', three = ''] = (await freePorts(3)).map((port) => `127.0.0.1:${port}`);
    api = one;
    master = new Child([
      ...['master', '--data-dir', join(folder, 'data'), '--listen', one, '--peer-listen', two, '--http-listen', three],
      ...['--overlay', 'name=dcos,subnet=9.0.0.0/8,prefix=24'],
    ]);
    // It serves a moment before the network of its flags is in the plan.
    await until('the master has its network', boundMs, async () => {
      const { out, notes } = await ran(undefined, 'network');
      assert.match(out, /44\.128\.0\.0\/20/, notes);
      return true;
    });
  });
  after(async () => {
    await master.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  async function ran(answer: string | undefined, ...args: readonly string[]) {
    const terminal = new RecordedTerminal(answer === undefined ? undefined : 80, answer);
    const exit = await run([...args, '--master', api], terminal);
    return { code: exit, out: terminal.out, notes: terminal.notes };
  }

  function written(text: string): string {
    const file = join(folder, 'the plan.yaml');
    writeFileSync(file, text);
    return file;
  }

  it('is what was exported: nothing to change', async () => {
    const { out } = await ran(undefined, 'export');
    assert.match(
      out,
      /^# The plan of cluster sublet at revision \d+\.\ncluster: sublet\nnetwork:\n {2}vtep_subnet: 44\.128\.0\.0\/20\n/,
    );
    const file = written(out);
    for (const args of [['diff'], ['apply'], ['apply', '--prune']]) {
      const { code: exit, out: said } = await ran(undefined, ...args, '-f', file);
      assert.equal(exit, 0, said);
      assert.match(said, /the plan at revision \d+ is as .*plan\.yaml says\.\n$/i);
    }
    const dry = await ran(undefined, 'apply', '--dry-run', '-f', file);
    assert.match(dry.out, /^The plan at revision \d+ is as .*plan\.yaml says\. Nothing was changed: --dry-run\.\n$/);
    assert.deepEqual(parse((await ran(undefined, 'export', '-o', 'json')).out), parse(out));
  });

  it('is brought about by the commands that were shown, once', async () => {
    const file = written(`
lease: { quarantine: 1h }
network:
  overlays:
    - { name: dcos, subnet: 8.0.0.0/7, prefix: 24 }
    - { name: blue, subnet: 10.0.0.0/16, prefix: 24 }
reservations: [{ overlay: dcos, subnet: 9.0.50.0/24, agent: db-1 }]
exclusions: [{ overlay: blue, subnet: 10.0.64.0/18 }]
`);
    const commands = [
      'sublet network set --quarantine 1h',
      'sublet overlay grow dcos --subnet 8.0.0.0/7',
      'sublet overlay add blue --subnet 10.0.0.0/16 --prefix 24',
      'sublet reserve dcos 9.0.50.0/24 --for db-1',
      'sublet exclude blue 10.0.64.0/18',
    ];
    const before = await ran(undefined, 'diff', '-f', file);
    assert.deepEqual([before.code, before.out.match(/sublet .*/g)], [1, commands]);
    assert.match(before.notes, /^sublet: the plan at revision \d+ differs from .*: 5 changes\n$/);
    const dry = await ran('y', 'apply', '--dry-run', '-f', file);
    assert.match(dry.out, /Nothing was changed: --dry-run\.\n$/);
    const refused = await ran('n', 'apply', '-f', file);
    assert.deepEqual(
      [refused.code, refused.notes],
      [1, 'Go on? [y/N] sublet: nothing was changed: the answer was not yes\n'],
    );
    assert.equal((await ran(undefined, 'diff', '-f', file)).out, before.out, 'nothing was changed so far');
    const done = await ran('y', 'apply', '-f', file);
    assert.equal(done.code, 0, done.notes);
    assert.match(done.out, /Made 5 changes: the plan is at revision \d+\.\n$/);
    const again = await ran('n', 'apply', '-f', file);
    assert.deepEqual([again.code, again.notes], [0, ''], 'nothing is asked where nothing is to do');
    assert.match(again.out, /^Nothing to change/);
    assert.equal((await ran(undefined, 'diff', '-f', file)).code, 0);
  });

  it('is applied only at the revision that was looked at, when one is named', async () => {
    const file = written('lease: { quarantine: 2h }\n');
    const { revision, changes } = JSON.parse((await ran(undefined, 'diff', '-o', 'json', '-f', file)).out);
    assert.deepEqual(changes, [
      { sign: '~', what: 'lease.quarantine: 1h → 2h', command: 'sublet network set --quarantine 2h', lasting: false },
    ]);
    await ran(undefined, 'reserve', 'dcos', '9.0.51.0/24', '--for', 'db-2');
    const moved = await ran(undefined, 'apply', '-f', file, '--expected-revision', String(revision));
    assert.equal(moved.code, 1);
    assert.match(
      moved.notes,
      /--expected-revision: the plan is at revision \d+, not at \d+; nothing was changed\n {2}Look again: sublet diff -f '.*the plan\.yaml'\n/,
    );
    const made = await ran(undefined, 'apply', '-o', 'yaml', '-f', file);
    assert.equal(parse(made.out).changes[0].command, 'sublet network set --quarantine 2h');
    const now = JSON.parse((await ran(undefined, 'diff', '-o', 'json', '-f', file)).out);
    assert.deepEqual([now.changes, parse(made.out).revision], [[], now.revision], 'the revision that it has led to');
  });

  it('is refused as a whole where one part can’t be, at its line', async () => {
    const file = written('lease: { quarantine: 3h }\nnetwork:\n  vni: 7\n');
    const { code: exit, notes } = await ran(undefined, 'apply', '-f', file);
    assert.equal(exit, 1);
    assert.match(
      notes,
      /plan\.yaml can’t be applied: 1 problem\n {2}.*plan\.yaml:3: network\.vni: 7: the plan has 1024, which can’t be changed\n$/,
    );
    assert.match((await ran(undefined, 'network')).out, /quarantine 2h/);
  });

  it('says how far it came when the masters refuse a part', async () => {
    const file = written(
      'lease: { quarantine: 4h }\nreservations: [{ overlay: none, subnet: 9.0.50.0/24, agent: a }]\n',
    );
    const { code: exit, notes } = await ran(undefined, 'apply', '-f', file);
    assert.equal(exit, 1);
    assert.match(
      notes,
      /\[NOT_FOUND\]\n {2}in change 2 of 2: sublet reserve none 9\.0\.50\.0\/24 --for a; 1 change was made before\n/,
    );
    assert.match(notes, /Applied again, the file brings about what is left/);
  });

  it('does not advise to apply a file again that the masters will refuse again', async () => {
    const [
      {
        overlay: { name, subnet },
      } = assert.fail(),
    ] = parse((await ran(undefined, 'overlays', '-o', 'yaml')).out).overlays as {
      overlay: { name: string; subnet: string };
    }[];
    const file = written(`network: { overlays: [{ name: second, subnet: ${subnet}, prefix: 24 }] }\n`);
    const { code: exit, notes } = await ran(undefined, 'apply', '-f', file);
    assert.equal(exit, 1);
    assert.match(notes, new RegExp(`overlaps .* of overlay "${name}" \\[INVALID_ARGUMENT\\]`));
    assert.match(notes, /nothing was changed\n {2}Change the file, and look what is left: sublet diff -f /);
    assert.doesNotMatch(notes, /Applied again/);
  });
});

describe('a plan that is applied while others change it', () => {
  let overtaking: { quarantineMs: number }[] = [];
  let network = { vtepSubnet: '44.128.0.0/20', quarantineMs: 900_000, vtepMtu: 0 };
  let revision = 1;
  let expected: number[] = [];
  let master: CannedMaster;
  const folder = mkdtempSync(join(tmpdir(), 'sublet-plan-'));
  const file = join(folder, 'plan.yaml');

  before(async () => {
    writeFileSync(file, 'lease: { quarantine: 1h }\n');
    master = await new CannedMaster()
      .on(operatorService.getNetwork, () => ({ network, revision, clusterId: 'sublet' }))
      .on(operatorService.listReservations, () => ({ reservations: [], revision }))
      .on(operatorService.updateNetwork, (request) => {
        expected.push(request.expectedRevision);
        const other = overtaking.shift();
        if (other !== undefined) {
          network = { ...network, ...other };
          revision++;
          throw new CannedRefusal(code.ABORTED, 'expected_revision: the plan has changed', 'aborted');
        }
        network = { ...network, quarantineMs: request.quarantineMs ?? 0 };
        return { network, revision: ++revision };
      })
      .listen();
  });
  after(async () => {
    await master[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });
  beforeEach(() => {
    [overtaking, expected, revision] = [[], [], 1];
    network = { vtepSubnet: '44.128.0.0/20', quarantineMs: 900_000, vtepMtu: 0 };
  });

  async function applied(...args: readonly string[]) {
    const terminal = new RecordedTerminal();
    const exit = await run(['apply', '-f', file, ...args, '--master', master.address], terminal);
    return { exit, notes: terminal.notes };
  }

  it('goes on where the same is left to do, at the new revision', async () => {
    overtaking = [{ quarantineMs: 900_000 }, { quarantineMs: 900_000 }];
    assert.deepEqual(await applied(), { exit: 0, notes: '' });
    assert.deepEqual(expected, [1, 2, 3]);
    assert.equal(network.quarantineMs, 3_600_000);
  });

  it('ends where something else would be done than was shown', async () => {
    overtaking = [{ quarantineMs: 3_600_000 }];
    const { exit, notes } = await applied();
    assert.equal(exit, 1);
    assert.match(
      notes,
      /^sublet: the plan has changed meanwhile; nothing was changed\n {2}Look again: sublet diff -f /,
    );
    assert.deepEqual(expected, [1]);
  });

  it('ends at the first other change when a revision was named', async () => {
    overtaking = [{ quarantineMs: 900_000 }];
    const { exit, notes } = await applied('--expected-revision', '1');
    assert.equal(exit, 1);
    assert.match(notes, /the plan has changed since that revision; nothing was changed/);
  });

  it('ends after a hundred other changes', async () => {
    overtaking = Array.from({ length: 200 }, () => ({ quarantineMs: 900_000 }));
    const { exit, notes } = await applied();
    assert.equal(exit, 1);
    assert.match(notes, /the plan changes all the time; nothing was changed/);
    assert.equal(expected.length, 101);
  });
});
