/** `npm run simulate` as a process: what it prints, and that nothing around it reaches what it does. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { runPlanted } from '#cluster-test/simulation/planted/planted-run.js';

const main = fileURLToPath(new URL('./main.js', import.meta.url));

type Around = {
  readonly node?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
};

function simulate(args: readonly string[], { node = [], env = {}, cwd }: Around = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { env: { ...process.env, ...env }, ...(cwd === undefined ? {} : { cwd }) };
    execFile(process.execPath, [...node, main, ...args], options, (error, stdout, stderr) => {
      // Seeds that fail end it with 1, and are what a test may be after.
      if (error !== null && error.code !== 1) reject(new Error(`${error.message}\n${stderr}`));
      else resolve(stdout);
    });
  });
}

describe('npm run simulate', function () {
  this.timeout(120_000);

  const seeds = ['--seeds', '3', '--first', '71', '--events', '2500'];
  let here: string;

  before(async () => {
    here = await simulate([...seeds, '--jobs', '1']);
    assert.equal(traces(here).length, 3);
  });

  function traces(output: string): string[] {
    return [...output.matchAll(/^seed (\d+): trace ([0-9a-f]{8}), (\d+) events/gm)].map(([line]) => line);
  }

  const machines: readonly (readonly [string, Around])[] = [
    [
      'in another time zone and language',
      { env: { TZ: 'Pacific/Chatham', LANG: 'tr_TR.UTF-8', LC_ALL: 'tr_TR.UTF-8' } },
    ],
    ['without a compiler', { node: ['--jitless'] }],
    ['with all code optimised at once', { node: ['--always-turbofan', '--no-lazy'] }],
    [
      'with little memory, and other hashes',
      { node: ['--max-old-space-size=96', '--hash-seed=4711', '--stack-size=900'] },
    ],
    [
      'in another folder, as if by other hands',
      { cwd: tmpdir(), env: { HOME: '/nowhere', USER: 'nobody', NODE_ENV: 'production' } },
    ],
  ];
  for (const [where, around] of machines) {
    it(`gives the same traces ${where}`, async () => {
      assert.deepEqual(traces(await simulate([...seeds, '--jobs', '1'], around)), traces(here));
    });
  }

  it('gives the same traces in several processes as in one', async () => {
    const all = traces(await simulate([...seeds, '--jobs', '3']));
    assert.deepEqual(all.sort(), traces(here).sort());
  });

  it('reports how to run a failed seed again, and which faults it takes', async () => {
    const mutation = 'quorum-too-small';
    const { caught } = await runPlanted({ mutation, aimed: false, first: 1, seeds: 40, events: 3000 });
    assert.ok(caught !== undefined);
    const output = await simulate(['--seed', `${caught.seed}`, '--events', '3000', '--mutation', mutation]);
    assert.match(output, new RegExp(`^seed ${caught.seed}: .* FAILED `, 'm'));
    assert.match(
      output,
      new RegExp(`again: npm run -s simulate -- --seed ${caught.seed} --events 3000 --mutation ${mutation} --trace`),
    );
    const [, kinds] = /^ {2}it takes: (.+)$/m.exec(output) ?? [];
    assert.ok(kinds !== undefined, output);
    const [, again] = /^ {2}so: npm run -s simulate -- (.+)$/m.exec(output) ?? [];
    assert.ok(again !== undefined, output);
    const [, left] = /^seed .* \[(.*)\] FAILED/m.exec(await simulate(again.split(' '))) ?? [];
    assert.equal(left, kinds === 'no fault at all' ? '' : kinds.replaceAll(', ', ' '));
  });

  it('counts what the seeds did, and names what they never met', () => {
    const counts = '\\d+ elections, \\d+ crashes, \\d+ snapshots installed, \\d+ membership changes';
    assert.match(here, new RegExp(`^\\d+\\.\\d\\d simulated hours: ${counts}$`, 'm'));
    assert.match(
      here,
      /^never met \(which 3 seeds may miss by chance\): .*mark: a longer log of an older term got no vote/m,
    );
  });

  it('says what can be asked for, also when something else was', async () => {
    assert.match(await simulate(['--help']), /^npm run simulate -- \[--seeds N/);
    await assert.rejects(simulate(['--sed', '4']), /Unknown option '--sed'\n\nnpm run simulate -- \[--seeds N/);
  });
});
