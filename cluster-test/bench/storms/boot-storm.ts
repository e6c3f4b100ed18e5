/**
 * Boot storm: so many agents register at once with three masters, fsync on, calls spread over all masters. The
 * echo rate and the fdatasync time of the same run say what the machine could do at all.
 */
import { parseArgs } from 'node:util';
import { fileSystemOf } from '#cluster-test/bench/disk.js';
import { metric } from '#cluster-test/bench/metrics.js';
import { type Answer, benchConfig, notLetOnce, Registrar } from '#cluster-test/bench/plan.js';
import { memoryOf } from '#cluster-test/bench/process-usage.js';
import { print, type Row } from '#cluster-test/bench/report.js';
import { storm } from '#cluster-test/bench/storms/storm.js';
import { tlsStorm } from '#cluster-test/bench/storms/tls-storm.js';
import { besideYardstick } from '#cluster-test/bench/yardstick.js';
import { Masters } from '#cluster-test/process/masters.js';

export const help = `boot-storm [--agents 10000] [--concurrency 256] [--masters 3]
  boot-storm --tls [--agents 2000] [--concurrency 120] [--rounds 3] [--crowd 300]   each agent on its own connection, without TLS and with it`;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      agents: { type: 'string', default: args.includes('--tls') ? '2000' : '10000' },
      concurrency: { type: 'string', default: args.includes('--tls') ? '120' : '256' },
      masters: { type: 'string', default: '3' },
      tls: { type: 'boolean', default: false },
      rounds: { type: 'string', default: '3' },
      crowd: { type: 'string', default: '300' },
    },
  });
  if (values.tls) {
    const { agents: count, concurrency: atOnce, masters: members, rounds, crowd } = values;
    await tlsStorm({
      agents: Number(count),
      concurrency: Number(atOnce),
      masters: Number(members),
      rounds: Number(rounds),
      crowd: Number(crowd),
    });
    return;
  }
  const agents = Number(values.agents);
  const concurrency = Number(values.concurrency);

  await using masters = await Masters.start({ count: Number(values.masters), config: benchConfig() });
  using registrar = new Registrar(masters.addresses);
  const answers: Answer[] = [];
  const leader = await masters.leader();
  const { result, yardstick } = await besideYardstick(agents, concurrency, masters.folder, () =>
    storm({
      calls: agents,
      concurrency,
      call: async (number) => {
        answers[number] = await registrar.register(number);
      },
      pids: masters.masters.map(({ child }) => child.pid),
      sample: async () => ({
        writes: await metric(leader.http, 'sublet_storage_writes_total'),
        entries: await metric(leader.http, 'sublet_storage_entries_written_total'),
      }),
    }),
  );

  const { loaded, single, cpuUs, before, after } = result;
  const { echoPerSecond, echoCpuUs, fdatasyncMs, floorMs } = yardstick;
  const rows: Row[] = [
    { name: 'registrations', value: loaded.perSecond, unit: '/s' },
    { name: 'bare echo', value: echoPerSecond, unit: '/s' },
    { name: 'registrations / bare echo', value: loaded.perSecond / echoPerSecond, unit: '×', wanted: { atLeast: 0.6 } },
    { name: 'not let once', value: notLetOnce(answers), unit: '', wanted: { atMost: 0 } },
    { name: 'registration p50', value: loaded.latencyMs.p50, unit: 'ms' },
    { name: 'registration p99', value: loaded.latencyMs.p99, unit: 'ms' },
    { name: 'entries per fsync', value: (after.entries - before.entries) / (after.writes - before.writes), unit: '' },
    { name: 'one at a time p50', value: single.latencyMs.p50, unit: 'ms' },
    { name: 'echo p50 + fdatasync p50', value: floorMs, unit: 'ms' },
    { name: 'one at a time / floor', value: single.latencyMs.p50 / floorMs, unit: '×', wanted: { atMost: 2.5 } },
    { name: 'fdatasync p50', value: fdatasyncMs, unit: 'ms' },
    ...masters.masters.map(({ name, child }) => ({
      name: `peak memory ${name}${name === leader.name ? ' (leader)' : ''}`,
      value: memoryOf(child.pid).peakMb,
      unit: 'MB',
    })),
    ...masters.masters.map(({ name }, at) => ({
      name: `processor time per registration ${name}`,
      value: cpuUs.servers[at] ?? Number.NaN,
      unit: 'µs',
    })),
    { name: 'processor time per registration client', value: cpuUs.client, unit: 'µs' },
    { name: 'processor time per echo, server', value: echoCpuUs.servers[0] ?? Number.NaN, unit: 'µs' },
    { name: 'processor time per echo, client', value: echoCpuUs.client, unit: 'µs' },
    { name: 'peak memory client', value: memoryOf(process.pid).peakMb, unit: 'MB' },
  ];
  print(
    'boot-storm',
    { agents, concurrency, masters: masters.masters.length, fileSystem: fileSystemOf(masters.folder) },
    rows,
  );
}
