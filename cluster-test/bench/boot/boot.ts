/**
 * The whole boot. Each agent has a connection of its own, takes its lease, reads all peers, keeps its lease alive, and follows
 * the peers that come after it. The boot ends when the watch of each agent has all peers. With `--beside-etcd` the same runs on
 * an etcd of as many members, in its kindest use. With `--learners` agents are connected to so many masters without a vote, and
 * to no other. The clients run on the same machine, in several processes.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { MasterClient } from '#api/master-client.js';
import { clusterService } from '#api/services.js';
import type { BootOrder, BootReport } from '#cluster-test/bench/boot/boot-main.js';
import { EtcdMembers } from '#cluster-test/bench/etcd/etcd.js';
import { machineMs } from '#cluster-test/bench/machine-clock.js';
import { benchConfig } from '#cluster-test/bench/plan.js';
import { cpuMsOf, memoryOf } from '#cluster-test/bench/process-usage.js';
import { print, type Row } from '#cluster-test/bench/report.js';
import { percentiles } from '#cluster-test/bench/storms/load.js';
import { until } from '#cluster-test/process/condition.js';
import { type JoiningMaster, Masters } from '#cluster-test/process/masters.js';

export const help =
  'boot [--agents 1000] [--concurrency 256] [--clients 2] [--changes 20] [--idle-seconds 30] [--learners 0] [--beside-etcd]';

type Plan = {
  readonly agents: number;
  readonly concurrency: number;
  readonly clients: number;
  readonly changes: number;
  /** Over which the cost of doing nothing is measured: three rounds of keep-alives by default. */
  readonly idleSeconds: number;
  /** Masters without a vote, which then have all agents. */
  readonly learners: number;
};
type Servers = {
  readonly kind: 'sublet' | 'etcd';
  readonly addresses: readonly string[];
  readonly pids: readonly number[];
  /** Those that vote, of `pids`. */
  readonly voters: readonly number[];
};
type Boot = {
  readonly leasedMs: number;
  readonly knownMs: number;
  readonly cpuMs: number;
  readonly votersCpuMs: number;
  readonly megabytes: number;
  readonly peakMb: number;
  readonly idleCpuMsPerSecond: number;
  readonly bootMs: readonly number[];
  readonly changeMs: readonly number[];
  /** Processor time of all servers for one change, for each watcher, without what they use when idle. */
  readonly changeCpuUs: number;
};

/** It ends a bench whose servers or clients hang, in ms. */
const askBoundMs = 600_000;
const addBoundMs = 30_000;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      agents: { type: 'string', default: '1000' },
      concurrency: { type: 'string', default: '256' },
      clients: { type: 'string', default: '2' },
      changes: { type: 'string', default: '20' },
      'idle-seconds': { type: 'string', default: '30' },
      learners: { type: 'string', default: '0' },
      'beside-etcd': { type: 'boolean', default: false },
    },
  });
  const plan = {
    agents: positive('--agents', values.agents),
    concurrency: positive('--concurrency', values.concurrency),
    clients: positive('--clients', values.clients),
    changes: positive('--changes', values.changes),
    idleSeconds: positive('--idle-seconds', values['idle-seconds']),
    learners: counted('--learners', values.learners, 0),
  };
  const masters = await bootMasters(plan);
  const rows = rowsOf('', masters);
  if (plan.learners > 0) {
    rows.push({ name: 'processor time of those that vote', value: masters.votersCpuMs / 1_000, unit: 's' });
  }
  if (values['beside-etcd']) {
    const etcd = await bootEtcd(plan);
    rows.push(...rowsOf('etcd: ', etcd));
    rows.push({ name: 'all know all, masters / etcd', value: masters.knownMs / etcd.knownMs, unit: '×' });
    rows.push({ name: 'processor time, masters / etcd', value: masters.cpuMs / etcd.cpuMs, unit: '×' });
  }
  print('boot', plan, rows);
}

function positive(name: string, text: string): number {
  return counted(name, text, 1);
}

function counted(name: string, text: string, least: number): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < least) throw new RangeError(`${name} ${text}: ${least} or more`);
  return value;
}

async function bootMasters(plan: Plan): Promise<Boot> {
  await using masters = await Masters.start({ count: 3, config: benchConfig() });
  const voters = masters.masters.map(({ child }) => child.pid);
  const learners = await addLearners(masters, plan.learners);
  const pids = masters.masters.map(({ child }) => child.pid);
  const addresses = learners.length === 0 ? masters.addresses : learners.map(({ api }) => api);
  return await boot(plan, { kind: 'sublet', addresses, pids, voters });
}

async function addLearners(masters: Masters, count: number): Promise<readonly JoiningMaster[]> {
  const client = new MasterClient({ masters: masters.addresses });
  const learners: JoiningMaster[] = [];
  for (let number = 1; number <= count; number += 1) {
    const learner = await masters.join(`w${number}`);
    learners.push(learner);
    const { name, peer } = learner;
    // Until it has begun to listen it is refused, and nothing is changed.
    await until(`${name} added`, addBoundMs, () =>
      client.call(clusterService.addMember, { name, peer }, { idempotent: false }).catch(() => undefined),
    );
  }
  client.close();
  await masters.ready(learners);
  return learners;
}

async function bootEtcd(plan: Plan): Promise<Boot> {
  await using members = await EtcdMembers.start(3);
  return await boot(plan, { kind: 'etcd', addresses: members.addresses, pids: members.pids, voters: members.pids });
}

async function boot({ agents, concurrency, clients, changes, idleSeconds }: Plan, servers: Servers): Promise<Boot> {
  const main = fileURLToPath(new URL('boot-main.js', import.meta.url));
  const processes = Array.from({ length: clients }, () =>
    fork(main, [servers.kind, ...servers.addresses], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }),
  );
  try {
    const cpu = (pids = servers.pids): number => pids.reduce((sum, pid) => sum + cpuMsOf(pid), 0);
    const cpuBefore = cpu();
    const votersBefore = cpu(servers.voters);
    const begun = machineMs();
    const numbers = Array.from({ length: agents }, (_, number) => number);
    const atOnce = Math.max(1, Math.floor(concurrency / clients));
    const booted = await ask(processes, 'booted', (at) => ({
      kind: 'boot',
      numbers: numbers.filter((number) => number % clients === at),
      atOnce,
    }));
    const position = (after: number): number =>
      servers.kind === 'etcd' ? after : Math.max(...booted.map((one) => one.position));
    const known = await ask(processes, 'reached', () => ({ kind: 'reach', position: position(agents) }));
    const knownMs = Math.max(...known.flatMap(({ atMs }) => atMs)) - begun;
    const cpuMs = cpu() - cpuBefore;
    const votersCpuMs = cpu(servers.voters) - votersBefore;
    const bytes = known.reduce((sum, one) => sum + one.bytes, 0);

    const idleFrom = { ms: machineMs(), cpu: cpu() };
    await new Promise((resolve) => setTimeout(resolve, idleSeconds * 1_000));
    const idleCpuMsPerSecond = ((cpu() - idleFrom.cpu) * 1_000) / (machineMs() - idleFrom.ms);

    const changesFrom = { ms: machineMs(), cpu: cpu() };
    const changeMs: number[] = [];
    for (let change = 0; change < changes; change += 1) {
      const number = agents + change;
      const [first] = processes;
      if (first === undefined) throw new RangeError('a boot needs a client');
      const from = machineMs();
      const [one] = await ask([first], 'booted', () => ({ kind: 'boot', numbers: [number], atOnce: 1 }));
      const to = servers.kind === 'etcd' ? number + 1 : (one?.position ?? 0);
      const reached = await ask(processes, 'reached', () => ({ kind: 'reach', position: to }));
      changeMs.push(...reached.flatMap(({ atMs }) => atMs).map((at) => at - from));
    }
    const idleMs = ((machineMs() - changesFrom.ms) * idleCpuMsPerSecond) / 1_000;
    const changeCpuUs = ((cpu() - changesFrom.cpu - idleMs) * 1_000) / (changes * agents);
    return {
      leasedMs: Math.max(...booted.map(({ leasedAtMs }) => leasedAtMs)) - begun,
      knownMs,
      cpuMs,
      votersCpuMs,
      megabytes: bytes / 1e6,
      peakMb: servers.pids.reduce((most, pid) => Math.max(most, memoryOf(pid).peakMb), 0),
      idleCpuMsPerSecond,
      bootMs: booted.flatMap(({ bootMs }) => bootMs),
      changeMs,
      changeCpuUs,
    };
  } finally {
    for (const child of processes) child.kill();
  }
}

/** Sends an order to each process; resolves with all reports. @throws when one of them ends */
async function ask<Kind extends BootReport['kind']>(
  processes: readonly ChildProcess[],
  kind: Kind,
  order: (at: number) => BootOrder,
): Promise<readonly Extract<BootReport, { readonly kind: Kind }>[]> {
  return await Promise.all(
    processes.map(async (child, at) => {
      child.send(order(at));
      const answered = new AbortController();
      const signal = AbortSignal.any([answered.signal, AbortSignal.timeout(askBoundMs)]);
      const exit = once(child, 'exit', { signal }).then(() => [undefined]);
      // It is rejected when its listener is taken away.
      exit.catch(() => undefined);
      const [report] = await Promise.race([once(child, 'message', { signal }), exit]);
      answered.abort();
      if (report?.kind !== kind) throw new Error('a process of clients has ended');
      return report;
    }),
  );
}

function rowsOf(prefix: string, boot: Boot): Row[] {
  const one = percentiles(boot.bootMs);
  const change = percentiles(boot.changeMs);
  return [
    { name: `${prefix}all have their lease`, value: boot.leasedMs / 1_000, unit: 's' },
    { name: `${prefix}all know all`, value: boot.knownMs / 1_000, unit: 's' },
    { name: `${prefix}servers' processor time`, value: boot.cpuMs / 1_000, unit: 's' },
    { name: `${prefix}bytes of watches`, value: boot.megabytes, unit: 'MB' },
    { name: `${prefix}peak memory of a server`, value: boot.peakMb, unit: 'MB' },
    { name: `${prefix}one boot p50`, value: one.p50, unit: 'ms' },
    { name: `${prefix}one boot p99`, value: one.p99, unit: 'ms' },
    { name: `${prefix}a change at all p50`, value: change.p50, unit: 'ms' },
    { name: `${prefix}a change at all p99`, value: change.p99, unit: 'ms' },
    { name: `${prefix}a change, processor time for each watcher`, value: boot.changeCpuUs, unit: 'µs' },
    { name: `${prefix}idle, of one processor`, value: boot.idleCpuMsPerSecond / 10, unit: '%' },
  ];
}
