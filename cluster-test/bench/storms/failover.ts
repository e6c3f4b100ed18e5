/** Failover: kills the leader with -9 again and again under load, and times how long no call is answered. */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { MasterClient } from '#api/master-client.js';
import { agentService } from '#api/services.js';
import { fileSystemOf } from '#cluster-test/bench/disk.js';
import { benchConfig, registration } from '#cluster-test/bench/plan.js';
import { print } from '#cluster-test/bench/report.js';
import { percentiles } from '#cluster-test/bench/storms/load.js';
import { until } from '#cluster-test/process/condition.js';
import { Masters } from '#cluster-test/process/masters.js';

export const help = `failover [--kills 20] [--clients 16]`;
const recoveryBoundMs = 30_000;
const pauseAfterFailureMs = 20;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: { kills: { type: 'string', default: '20' }, clients: { type: 'string', default: '16' } },
  });
  const kills = Number(values.kills);
  const clients = Number(values.clients);

  await using masters = await Masters.start({ count: 3, config: benchConfig() });
  const acknowledged = new Map<number, string>();
  let lastBegun = 0;
  let firstAnswerAfter: { readonly begunAfter: number; at: number | undefined } = { begunAfter: 0, at: undefined };
  let running = true;
  const worker = async (client: MasterClient): Promise<void> => {
    while (running) {
      const number = lastBegun++;
      const begun = performance.now();
      const answer = await client
        .call(agentService.register, registration(number), { idempotent: true, timeoutMs: 1_000 })
        .catch(() => undefined); // The gap is what is measured; the next call tries again.
      if (answer === undefined) {
        client.next();
        await delay(pauseAfterFailureMs);
        continue;
      }
      acknowledged.set(number, answer.agent?.vxlan?.vtepIp ?? '');
      if (begun > firstAnswerAfter.begunAfter) firstAnswerAfter.at ??= performance.now();
    }
  };
  const connections = Array.from({ length: clients }, () => new MasterClient({ masters: masters.addresses }));
  const workers = connections.map(worker);

  const gaps: number[] = [];
  for (let kill = 0; kill < kills; kill++) {
    const leader = await masters.leader();
    const begin = performance.now();
    leader.child.signal('SIGKILL');
    firstAnswerAfter = { begunAfter: begin, at: undefined };
    await leader.child.exited;
    gaps.push((await until('registrations flow again', recoveryBoundMs, () => firstAnswerAfter.at)) - begin);
    masters.restart(leader);
    await masters.ready();
  }
  running = false;
  await Promise.all(workers);
  for (const connection of connections) connection.close();

  const taken = new Set(acknowledged.values());
  const { p50, max } = percentiles(gaps);
  print('failover', { kills, clients, fileSystem: fileSystemOf(masters.folder) }, [
    { name: 'kill to next acknowledged registration, median', value: p50 / 1000, unit: 's', wanted: { atMost: 2 } },
    { name: 'kill to next acknowledged registration, longest', value: max / 1000, unit: 's', wanted: { atMost: 6 } },
    { name: 'registrations acknowledged', value: acknowledged.size, unit: '' },
    { name: 'VTEP addresses in two hands', value: acknowledged.size - taken.size, unit: '', wanted: { atMost: 0 } },
  ]);
}
