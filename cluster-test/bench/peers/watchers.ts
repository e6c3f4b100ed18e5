/**
 * What connected watchers cost a master in memory: agents as they are in real life, each with a connection of its own, and
 * watches that share a few connections. All is measured on a real master after a full collection of garbage, with as many
 * agents in the plan throughout. The first watchers also bring what a master needs once (compiled code, pools), so the
 * figure is what the second half adds to the first.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { collectedWord } from '#cluster-test/bench/collect-on-signal.js';
import { metric } from '#cluster-test/bench/metrics.js';
import { benchConfig, Registrar } from '#cluster-test/bench/plan.js';
import { memoryOf } from '#cluster-test/bench/process-usage.js';
import { print, type Row } from '#cluster-test/bench/report.js';
import { load } from '#cluster-test/bench/storms/load.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { type MasterProcess, Masters } from '#cluster-test/process/masters.js';

export const help = 'watchers [--watchers 1000]   memory of a master for each 1,000 of them';

const modes = {
  agents: 'agents, each with a connection of its own',
  shared: 'watches alone, on 4 connections',
} as const;
const collectBoundMs = 30_000;
/** `residentMb`: VmRSS. `usedMb`: live objects of the heap, and buffers outside of it. */
type Memory = { readonly residentMb: number; readonly usedMb: number };

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: { watchers: { type: 'string', default: '1000' } } });
  const watchers = Number(values.watchers);
  if (!Number.isSafeInteger(watchers) || watchers < 1) throw new RangeError(`--watchers ${values.watchers}: 1 or more`);
  const rows: Row[] = [];
  for (const mode of ['agents', 'shared'] as const) rows.push(...(await measure(mode, watchers)));
  print('watchers', { watchers, agents: 2 * watchers }, rows);
}

async function measure(mode: keyof typeof modes, watchers: number): Promise<Row[]> {
  const preload = `--import ${fileURLToPath(new URL('../collect-on-signal.js', import.meta.url))}`;
  await using masters = await Masters.start({ count: 1, config: benchConfig(), env: { NODE_OPTIONS: preload } });
  const [master] = masters.masters;
  if (master === undefined) throw new RangeError('a master was started');
  using registrar = new Registrar([master.api]);
  await load(2 * watchers, 64, (number) => registrar.register(number));
  const none = await memory(master);
  const main = fileURLToPath(new URL('watchers-main.js', import.meta.url));
  const client = fork(main, [master.api, mode], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  try {
    await subscribe(client, watchers);
    const half = await memory(master);
    await subscribe(client, watchers);
    const all = await memory(master);
    const open = await metric(master.http, 'sublet_watchers');
    if (open !== 2 * watchers) throw new Error(`${open} watches are open at the end, not ${2 * watchers}`);
    const each = (later: number, earlier: number): number => ((later - earlier) * 1_000) / watchers;
    return [
      { name: `${modes[mode]}: resident with none`, value: none.residentMb, unit: 'MB' },
      { name: `  with ${watchers}`, value: half.residentMb, unit: 'MB' },
      { name: `  with ${2 * watchers}`, value: all.residentMb, unit: 'MB' },
      { name: '  per 1,000, resident', value: each(all.residentMb, half.residentMb), unit: 'MB' },
      { name: '  per 1,000, live heap and buffers', value: each(all.usedMb, half.usedMb), unit: 'MB' },
    ];
  } finally {
    client.kill();
  }
}

async function subscribe(client: ChildProcess, watchers: number): Promise<void> {
  client.send(watchers);
  const [said] = await Promise.race([once(client, 'message'), once(client, 'exit').then(() => ['gone'])]);
  if (said !== 'subscribed') throw new Error('the watching process has ended');
}

/** After everything that can be collected is. */
async function memory({ child, http }: MasterProcess): Promise<Memory> {
  const collections = (): number => child.output.split(collectedWord).length;
  const before = collections();
  child.signal('SIGUSR2');
  await until('the garbage is collected', collectBoundMs, () => holds(collections() > before));
  const heap = await metric(http, 'nodejs_heap_size_used_bytes');
  const external = await metric(http, 'nodejs_external_memory_bytes');
  return { residentMb: memoryOf(child.pid).residentMb, usedMb: (heap + external) / 1e6 };
}
