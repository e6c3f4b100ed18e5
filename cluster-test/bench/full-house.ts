/**
 * Full house: what a registration costs when the plan is empty, and when 65,000 of its 65,536 blocks are held; then the
 * memory of a master and the time it takes to restart to ready.
 */
import { parseArgs } from 'node:util';
import { fileSystemOf } from '#cluster-test/bench/disk.js';
import { benchConfig, Registrar } from '#cluster-test/bench/plan.js';
import { memoryOf } from '#cluster-test/bench/process-usage.js';
import { print } from '#cluster-test/bench/report.js';
import { load } from '#cluster-test/bench/storms/load.js';
import { Masters } from '#cluster-test/process/masters.js';

export const help = `full-house [--agents 65000] [--concurrency 256]`;
const sample = 500;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: { agents: { type: 'string', default: '65000' }, concurrency: { type: 'string', default: '256' } },
  });
  const agents = Number(values.agents);
  const concurrency = Number(values.concurrency);

  await using masters = await Masters.start({ count: 3, config: benchConfig() });
  using registrar = new Registrar(masters.addresses);
  // The processes compile their hot paths first, or the empty plan would look slow.
  const warm = 2_000;
  await load(warm, concurrency, (number) => registrar.register(number));
  const early = await load(sample, 1, (number) => registrar.register(warm + number));
  const filled = await load(agents - warm - sample, concurrency, (number) =>
    registrar.register(warm + sample + number),
  );
  const late = await load(sample, 1, (number) => registrar.register(agents + number));

  const leader = await masters.leader();
  const follower = masters.masters.find(({ name }) => name !== leader.name);
  if (follower === undefined) throw new Error('three masters have a follower');
  const memory = Math.max(...masters.masters.map(({ child }) => memoryOf(child.pid).residentMb));
  await follower.child.stop();
  const begin = performance.now();
  masters.restart(follower);
  await masters.ready([follower]);
  const restart = (performance.now() - begin) / 1000;

  print('full-house', { agents, concurrency, fileSystem: fileSystemOf(masters.folder) }, [
    { name: 'fill', value: filled.perSecond, unit: '/s' },
    { name: `one at a time p50, ${warm} held`, value: early.latencyMs.p50, unit: 'ms' },
    { name: `one at a time p50, ${agents} held`, value: late.latencyMs.p50, unit: 'ms' },
    { name: 'late / early', value: late.latencyMs.p50 / early.latencyMs.p50, unit: '×', wanted: { atMost: 1.3 } },
    { name: 'resident memory, largest master', value: memory, unit: 'MB', wanted: { atMost: 400 } },
    { name: 'restart of a follower to ready', value: restart, unit: 's', wanted: { atMost: 3 } },
    { name: 'resident memory after restart', value: memoryOf(follower.child.pid).residentMb, unit: 'MB' },
  ]);
}
