/**
 * The same storm on an etcd of as many members and on masters, one after the other on the same machine: a plain put of what an
 * agent says of itself, a subnet lease as flannel takes it from etcd, the kindest such lease (a block that is known to be free),
 * and a registration.
 */
import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { agentService } from '#api/services.js';
import { fileSystemOf } from '#cluster-test/bench/disk.js';
import { EtcdClient, EtcdMembers } from '#cluster-test/bench/etcd/etcd.js';
import { benchConfig, channelOptions, Registrar, registration } from '#cluster-test/bench/plan.js';
import { memoryOf } from '#cluster-test/bench/process-usage.js';
import { print, type Row } from '#cluster-test/bench/report.js';
import { type StormResult, storm } from '#cluster-test/bench/storms/storm.js';
import { besideYardstick, type Yardstick } from '#cluster-test/bench/yardstick.js';
import { Masters } from '#cluster-test/process/masters.js';

export const help = `beside-etcd [--agents 10000] [--leases 1000] [--concurrency 256] [--members 3]`;

type Measured = StormResult<void> & { readonly peakMb: number };
type Storm = { readonly calls: number; readonly concurrency: number };

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      agents: { type: 'string', default: '10000' },
      leases: { type: 'string', default: '1000' },
      concurrency: { type: 'string', default: '256' },
      members: { type: 'string', default: '3' },
    },
  });
  const [agents, leases] = [Number(values.agents), Number(values.leases)];
  const concurrency = Number(values.concurrency);
  const members = Number(values.members);

  // Where all of them have their data.
  const folder = tmpdir();
  const { result, yardstick } = await besideYardstick(agents, concurrency, folder, async () => ({
    puts: await measurePuts(members, { calls: agents, concurrency }),
    flannel: await measureLeases(members, { calls: leases, concurrency }),
    kindest: await measureEtcd(members, { calls: agents, concurrency }, (etcd, number) => etcd.leaseFreeBlock(number)),
    registrations: await measureRegistrations(members, { calls: agents, concurrency }),
  }));

  const { puts, flannel, kindest, registrations } = result;
  print('beside-etcd', { agents, leases, concurrency, members, fileSystem: fileSystemOf(folder) }, [
    { name: 'bare echo', value: yardstick.echoPerSecond, unit: '/s' },
    { name: 'echo p50 + fdatasync p50', value: yardstick.floorMs, unit: 'ms' },
    ...rowsOf('etcd, plain puts', puts, yardstick),
    ...rowsOf('etcd, leases as flannel takes them', flannel, yardstick),
    ...rowsOf('etcd, leases of free blocks', kindest, yardstick),
    ...rowsOf('registrations', registrations, yardstick),
    ...ratios('puts', registrations, puts),
    ...ratios('leases as flannel takes them', registrations, flannel),
    ...ratios('leases of free blocks', registrations, kindest),
  ]);
}

/** Registrations beside what was measured in the same run. */
function ratios(what: string, registrations: Measured, other: Measured): Row[] {
  return [
    { name: `registrations / ${what}`, value: registrations.loaded.perSecond / other.loaded.perSecond, unit: '×' },
    { name: `registrations / ${what}: processor time`, value: allCpuUs(registrations) / allCpuUs(other), unit: '×' },
    {
      name: `registrations / ${what}: one at a time, p50`,
      value: registrations.single.latencyMs.p50 / other.single.latencyMs.p50,
      unit: '×',
    },
  ];
}

function allCpuUs({ cpuUs }: Measured): number {
  return cpuUs.servers.reduce((total, us) => total + us, 0);
}

/** What an agent says of itself, put under a key of its own. */
async function measurePuts(members: number, options: Storm): Promise<Measured> {
  const { encodeRequest } = agentService.register;
  return measureEtcd(members, options, (etcd, number) =>
    etcd.put(number, `/agents/${number}`, encodeRequest(registration(number))),
  );
}

async function measureLeases(members: number, options: Storm): Promise<Measured> {
  return measureEtcd(members, options, (etcd, number) =>
    etcd.leaseSubnet(number, Buffer.from(JSON.stringify({ PublicIP: registration(number).nodeIp }))),
  );
}

async function measureRegistrations(members: number, options: Storm): Promise<Measured> {
  await using masters = await Masters.start({ count: members, config: benchConfig() });
  using registrar = new Registrar(masters.addresses);
  const pids = masters.masters.map(({ child }) => child.pid);
  const call = (number: number): Promise<unknown> => registrar.register(number);
  const result = await storm({ ...options, call, pids, sample: async () => {} });
  return { ...result, peakMb: peakMbOf(pids) };
}

async function measureEtcd(
  members: number,
  { calls, concurrency }: Storm,
  call: (etcd: EtcdClient, number: number) => Promise<unknown>,
): Promise<Measured> {
  await using etcd = await EtcdMembers.start(members);
  using client = new EtcdClient(etcd.addresses, channelOptions);
  const { pids } = etcd;
  const result = await storm({
    calls,
    concurrency,
    call: (number) => call(client, number),
    pids,
    sample: async () => {},
  });
  return { ...result, peakMb: peakMbOf(pids) };
}

function peakMbOf(pids: readonly number[]): number {
  return Math.max(...pids.map((pid) => memoryOf(pid).peakMb));
}

function rowsOf(what: string, measured: Measured, yardstick: Yardstick): Row[] {
  const { loaded, single, cpuUs, peakMb } = measured;
  return [
    { name: what, value: loaded.perSecond, unit: '/s' },
    { name: `${what} / bare echo`, value: loaded.perSecond / yardstick.echoPerSecond, unit: '×' },
    { name: `${what}: p50`, value: loaded.latencyMs.p50, unit: 'ms' },
    { name: `${what}: p99`, value: loaded.latencyMs.p99, unit: 'ms' },
    { name: `${what}: one at a time, p50`, value: single.latencyMs.p50, unit: 'ms' },
    { name: `${what}: one at a time / floor`, value: single.latencyMs.p50 / yardstick.floorMs, unit: '×' },
    { name: `${what}: processor time, all members`, value: allCpuUs(measured), unit: 'µs' },
    { name: `${what}: processor time, client`, value: cpuUs.client, unit: 'µs' },
    { name: `${what}: peak memory, largest member`, value: peakMb, unit: 'MB' },
  ];
}
