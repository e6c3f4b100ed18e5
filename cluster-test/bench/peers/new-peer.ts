/**
 * How soon a new peer is in the routing tables of all other agents, and what an idle agent costs: real masters and
 * agents, each on a host of its own, and the kernel's own events as the proof.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { benchConfig } from '#cluster-test/bench/plan.js';
import { memoryOf, processorTime } from '#cluster-test/bench/process-usage.js';
import { print } from '#cluster-test/bench/report.js';
import { percentiles } from '#cluster-test/bench/storms/load.js';
import { atEnd, type Netns } from '#cluster-test/host/netns.js';
import { Scene } from '#cluster-test/host/scene.js';
import { holds, until } from '#cluster-test/process/condition.js';

export const help =
  'new-peer [--agents 20] [--peers 50] [--registered 0] [--idle-seconds 20]   a new peer reaches all others (root)';

/** What the registering process says of one registration; nanoseconds of the machine's monotonic clock. */
export type Registered = { readonly subnet: string; readonly sentNs: string; readonly answeredNs: string };

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      agents: { type: 'string', default: '20' },
      peers: { type: 'string', default: '50' },
      registered: { type: 'string', default: '0' },
      'idle-seconds': { type: 'string', default: '20' },
    },
  });
  const scene = new Scene();
  try {
    const config = benchConfig();
    await scene.startMasters(['10.0.0.201', '10.0.0.202', '10.0.0.203'], config);
    const before = Number(values.registered);
    if (before > 0) await register(scene, before, crowd);
    const flags = ['--docker-bridge', 'false'];
    const agentConfig = join(dirname(fileURLToPath(import.meta.url)), '../../../../cluster-test/bench/agent.json');
    for (let n = 1; n <= Number(values.agents); n++) {
      await scene.startAgent({ id: `agent-${n}`, nodeIp: `10.0.0.${n}`, config: agentConfig, flags });
    }
    const seen = scene.agents.map(({ netns }) => watchRoutes(netns));
    const registered = await register(scene, Number(values.peers), alone);
    await until('every route everywhere', 30_000, () =>
      holds(seen.every((routes) => registered.every(({ subnet }) => routes.has(subnet)))),
    );
    const idle = await idleCost(scene, Number(values['idle-seconds']));
    report(scene, registered, seen, idle, before);
  } finally {
    await scene.remove();
  }
}

/** Subnet → when the kernel said that it has a route to it. */
function watchRoutes(netns: Netns): ReadonlyMap<string, bigint> {
  const seen = new Map<string, bigint>();
  const [program = '', ...enter] = netns.enter;
  const monitor: ChildProcess = spawn(program, [...enter, 'ip', '-o', 'monitor', 'route'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  atEnd(() => monitor.kill('SIGKILL'));
  if (monitor.stdout === null) throw new TypeError('standard output is a pipe');
  createInterface({ input: monitor.stdout }).on('line', (line) => {
    const subnet = line.split(' ')[0] ?? '';
    if (!seen.has(subnet)) seen.set(subnet, process.hrtime.bigint());
  });
  return seen;
}

/**
 * Agents that register beforehand, many at a time; and those that are timed, one after the other, far enough apart for
 * an event of its own.
 */
const crowd = { first: 10_000, atOnce: 64, everyMs: 0 };
const alone = { first: 1_000, atOnce: 1, everyMs: 200 };

/** Registers peers from the first master's host. */
async function register(scene: Scene, peers: number, how: typeof alone): Promise<Registered[]> {
  const main = join(dirname(fileURLToPath(import.meta.url)), 'new-peer-main.js');
  const host = scene.masters[0]?.netns;
  if (host === undefined) throw new Error('no master');
  const { code, stdout, stderr } = await host.run([
    ...[process.execPath, main, scene.masterList, String(peers)],
    ...[how.first, how.atOnce, how.everyMs].map(String),
  ]);
  if (code !== 0) throw new Error(stderr);
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

type Idle = { readonly cpu: number; readonly residentMb: number };

/** The costliest agent: its process and the tools it ran, over a while in which nothing happens. */
async function idleCost(scene: Scene, idleSeconds: number): Promise<Idle> {
  await delay(15_000);
  const usedMs = (pid: number): number => {
    const { ownMs, toolsMs } = processorTime(pid);
    return ownMs + toolsMs;
  };
  const before = scene.agents.map(({ child }) => usedMs(child.pid));
  const begin = performance.now();
  await delay(idleSeconds * 1000);
  const elapsedMs = performance.now() - begin;
  const used = scene.agents.map(({ child }, at) => (usedMs(child.pid) - (before[at] ?? 0)) / elapsedMs);
  return {
    cpu: Math.max(...used),
    residentMb: Math.max(...scene.agents.map(({ child }) => memoryOf(child.pid).residentMb)),
  };
}

function report(
  scene: Scene,
  registered: readonly Registered[],
  seen: readonly ReadonlyMap<string, bigint>[],
  idle: Idle,
  before: number,
): void {
  const since = (from: 'sentNs' | 'answeredNs') =>
    seen.flatMap((routes) => registered.map((one) => Number((routes.get(one.subnet) ?? 0n) - BigInt(one[from])) / 1e6));
  const answered = percentiles(since('answeredNs'));
  const sent = percentiles(since('sentNs'));
  print(
    'A new peer in everybody’s routes',
    { agents: scene.agents.length, peers: registered.length, registeredBefore: before },
    [
      { name: 'registration acknowledged to route, p50', value: answered.p50, unit: 'ms' },
      { name: 'registration acknowledged to route, p99', value: answered.p99, unit: 'ms', wanted: { atMost: 500 } },
      { name: 'registration acknowledged to route, worst', value: answered.max, unit: 'ms' },
      { name: 'registration sent to route, p99', value: sent.p99, unit: 'ms', wanted: { atMost: 500 } },
      { name: 'idle agent and its tools, the costliest', value: idle.cpu * 100, unit: '% core', wanted: { atMost: 1 } },
      {
        name: 'idle agent, resident, the largest',
        value: idle.residentMb,
        unit: 'MB',
        wanted: { atMost: 110 + (2 * (before + registered.length)) / 1000 },
      },
    ],
  );
}
