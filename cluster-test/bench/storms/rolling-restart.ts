/** Rolling restart: every master in turn, with SIGTERM, in a storm of registrations; it measures the longest wait. */
import { parseArgs } from 'node:util';
import { fileSystemOf } from '#cluster-test/bench/disk.js';
import { benchConfig } from '#cluster-test/bench/plan.js';
import { print } from '#cluster-test/bench/report.js';
import { restartAll } from '#cluster-test/operations/rolling-restart.js';
import { Storm } from '#cluster-test/operations/storm.js';
import { Masters } from '#cluster-test/process/masters.js';

export const help = `rolling-restart [--rounds 2] [--clients 16]`;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: { rounds: { type: 'string', default: '2' }, clients: { type: 'string', default: '16' } },
  });
  const rounds = Number(values.rounds);
  const clients = Number(values.clients);
  await using masters = await Masters.start({ count: 3, config: benchConfig() });
  await using storm = new Storm({ addresses: () => masters.addresses, clients, pauseMs: 0 });
  let handOvers = 0;
  for (let round = 0; round < rounds; round++) handOvers += await restartAll(masters);
  await storm.stop();
  await storm.check(masters.addresses);
  print('rolling-restart', { rounds, clients, fileSystem: fileSystemOf(masters.folder) }, [
    { name: 'leaders stopped', value: handOvers, unit: '' },
    { name: 'longest wait for a registration', value: storm.longestWaitMs / 1000, unit: 's', wanted: { atMost: 1 } },
    { name: 'registrations acknowledged', value: storm.acknowledged, unit: '' },
    { name: 'tries made again by clients', value: storm.refusals, unit: '' },
    { name: 'acknowledged and lost', value: 0, unit: '', wanted: { atMost: 0 } },
  ]);
}
