/**
 * What TLS costs: the same storm of agents, each with a connection of its own, on masters without TLS and with it, in turn.
 * Then real agents lose their master, and the others take them over.
 */
import { fileURLToPath } from 'node:url';
import { type ChannelCredentials, Client, credentials } from '@grpc/grpc-js';
import { agentService } from '#api/services.js';
import { collectedWord } from '#cluster-test/bench/collect-on-signal.js';
import { metric } from '#cluster-test/bench/metrics.js';
import { type Answer, benchConfig, channelOptions, notLetOnce, registration } from '#cluster-test/bench/plan.js';
import { cpuMsOf, memoryOf } from '#cluster-test/bench/process-usage.js';
import { print, type Row } from '#cluster-test/bench/report.js';
import { load } from '#cluster-test/bench/storms/load.js';
import { AgentCrowd } from '#cluster-test/process/agent-crowd.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { type MasterProcess, Masters } from '#cluster-test/process/masters.js';
import { readTlsFiles } from '#tls/certificate/tls-files.js';
import { masterCredentials, serverName } from '#tls/client-credentials.js';
import { TestAuthority } from '#tls/testing/test-authority.js';

/** Agents that come and go before anything is measured: compiled code and pools. */
const warmAgents = 300;
const boundMs = 60_000;
const callMs = 30_000;
const same = (bytes: Buffer): Buffer => bytes;

export type TlsStormOptions = {
  readonly agents: number;
  readonly concurrency: number;
  readonly masters: number;
  /** Of each kind, in turn. */
  readonly rounds: number;
  /** Real agents, in the failover. */
  readonly crowd: number;
};

type Round = {
  readonly perSecond: number;
  readonly p99Ms: number;
  /** Of all masters, for one agent: its connection and its registration. */
  readonly cpuUs: number;
  /** Resident, for one agent with an open connection. */
  readonly memoryKb: number;
  readonly failoverMs: number;
  readonly wrong: number;
};

/** Of agent `number`. */
type CredentialsOf = (number: number) => ChannelCredentials;

export async function tlsStorm(options: TlsStormOptions): Promise<void> {
  const authority = await TestAuthority.make();
  const plain: Round[] = [];
  const secure: Round[] = [];
  for (let round = 0; round < options.rounds; round++) {
    plain.push(await runRound(options, undefined));
    secure.push(await runRound(options, authority));
  }
  const rows: Row[] = [];
  const add = (name: string, unit: string, of: (round: Round) => number): readonly [number, number] => {
    const medians = [plain, secure].map((all) => median(all.map(of)));
    for (const [at, all] of [plain, secure].entries()) {
      const values = all.map(of);
      rows.push({ name: `${name}, ${at === 0 ? 'plain' : 'TLS'}`, value: medians[at] ?? Number.NaN, unit });
      rows.push(
        { name: '  least', value: Math.min(...values), unit },
        { name: '  most', value: Math.max(...values), unit },
      );
    }
    return [medians[0] ?? Number.NaN, medians[1] ?? Number.NaN];
  };
  const [plainRate, secureRate] = add('connections with a registration', '/s', ({ perSecond }) => perSecond);
  add('p99', 'ms', ({ p99Ms }) => p99Ms);
  const [plainCpu, secureCpu] = add('processor time of all masters each', 'µs', ({ cpuUs }) => cpuUs);
  const [plainMemory, secureMemory] = add(
    'resident memory of an agent on its connection',
    'kB',
    ({ memoryKb }) => memoryKb,
  );
  add('a master is killed: its agents watch at others', 'ms', ({ failoverMs }) => failoverMs);
  rows.push(
    { name: 'storm with TLS / plain, in time', value: plainRate / secureRate, unit: '×' },
    { name: 'a handshake, processor time of the master', value: secureCpu - plainCpu, unit: 'µs' },
    { name: 'TLS of a connection, resident', value: secureMemory - plainMemory, unit: 'kB' },
    {
      name: 'not let once',
      value: [...plain, ...secure].reduce((sum, { wrong }) => sum + wrong, 0),
      unit: '',
      wanted: { atMost: 0 },
    },
  );
  print('boot-storm', { ...options, tls: 'both' }, rows);
}

async function runRound(options: TlsStormOptions, authority: TestAuthority | undefined): Promise<Round> {
  const { agents, concurrency, crowd } = options;
  const preload = `--import ${fileURLToPath(new URL('../collect-on-signal.js', import.meta.url))}`;
  await using masters = await Masters.start({
    count: options.masters,
    config: benchConfig(),
    env: { NODE_OPTIONS: preload },
    ...(authority === undefined ? {} : { authority }),
  });
  const warm = Math.min(warmAgents, agents);
  const credentialsOf = await credentialsFor(masters, authority, warm + agents);
  const pids = masters.masters.map(({ child }) => child.pid);
  const clients: Client[] = [];
  const answers: Answer[] = [];
  const register = async (number: number): Promise<void> => {
    const address = masters.addresses[number % masters.addresses.length] ?? '';
    const client = new Client(address, credentialsOf(number), { ...channelOptions, ...serverName });
    clients.push(client);
    answers[number] = await registered(client, number);
  };
  await load(warm, concurrency, register);
  for (const client of clients.splice(0)) client.close();
  const residentMb = async (): Promise<number> => {
    const each = await Promise.all(masters.masters.map(residentAfterCollection));
    return each.reduce((sum, mb) => sum + mb, 0);
  };
  const residentBefore = await residentMb();
  const cpuBefore = pids.map(cpuMsOf);
  const storm = await load(agents, concurrency, (number) => register(warm + number));
  const cpuMs = pids.reduce((sum, pid, at) => sum + cpuMsOf(pid) - (cpuBefore[at] ?? 0), 0);
  const memoryMb = (await residentMb()) - residentBefore;
  for (const client of clients) client.close();
  const failoverMs = await failover(masters, crowd, credentialsOf);
  return {
    perSecond: storm.perSecond,
    p99Ms: storm.latencyMs.p99,
    cpuUs: (cpuMs * 1000) / agents,
    memoryKb: (memoryMb * 1000) / agents,
    failoverMs,
    wrong: notLetOnce(answers),
  };
}

async function credentialsFor(
  masters: Masters,
  authority: TestAuthority | undefined,
  count: number,
): Promise<CredentialsOf> {
  if (authority === undefined) {
    const insecure = credentials.createInsecure();
    return () => insecure;
  }
  const all: ChannelCredentials[] = [];
  for (let number = 0; number < count; number++) {
    const { agentId } = registration(number);
    const files = await authority.files(`${masters.folder}/agents/${agentId}`, `sublet://agent/${agentId}`);
    all.push(masterCredentials(readTlsFiles(files, ['agent'])));
  }
  return (number) => all[number] ?? credentials.createInsecure();
}

function registered(client: Client, number: number): Promise<Answer> {
  const { path, encodeRequest } = agentService.register;
  const options = { deadline: Date.now() + callMs };
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, encodeRequest, same, registration(number), options, (error, answer) =>
      answer === undefined ? reject(error) : resolve(answer),
    );
  });
}

async function residentAfterCollection({ child }: MasterProcess): Promise<number> {
  const collections = (): number => child.output.split(collectedWord).length;
  const before = collections();
  child.signal('SIGUSR2');
  await until('the garbage is collected', boundMs, () => holds(collections() > before));
  return memoryOf(child.pid).residentMb;
}

/** From the death of a master that does not lead until all agents watch at the others, in ms. */
async function failover(masters: Masters, count: number, credentialsOf: CredentialsOf): Promise<number> {
  const leader = await masters.leader();
  const other = masters.masters.find((master) => master !== leader);
  if (other === undefined) return 0;
  await using _crowd = new AgentCrowd(count, masters.addresses, credentialsOf);
  const watching = async (at: readonly MasterProcess[]): Promise<number> => {
    const each = await Promise.all(at.map(({ http }) => metric(http, 'sublet_watchers')));
    return each.reduce((sum, watchers) => sum + watchers, 0);
  };
  await until('all agents watch', boundMs, async () => holds((await watching(masters.masters)) >= count));
  const begin = performance.now();
  await other.child.kill();
  const left = masters.masters.filter((master) => master !== other);
  await until('all agents watch at the others', boundMs, async () => holds((await watching(left)) >= count));
  return performance.now() - begin;
}

function median(values: readonly number[]): number {
  return [...values].sort((one, other) => one - other)[values.length >> 1] ?? Number.NaN;
}
