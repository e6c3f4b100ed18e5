/** The measured process of `host-peers`, inside the host's namespace; prints one `HostPeersResult`. */
import { setTimeout as delay } from 'node:timers/promises';
import type { HostPeersResult } from '#cluster-test/bench/peers/host-peers.js';
import { processorTime } from '#cluster-test/bench/process-usage.js';
import { desired } from '#host/desired/desired.js';
import { diff } from '#host/diff/diff.js';
import { defaultHostSettings, type HostInput, type Peer } from '#host/input.js';
import { factsOf } from '#host/observe/host-facts.js';
import { allAreas, lookoutOf, observe } from '#host/observe/observe.js';
import { bareHost } from '#host/observe/observed.js';
import { HostReconciler } from '#host/reconciler.js';
import { noDocker } from '#host/tools/docker-engine.js';
import { processRunner } from '#host/tools/runner.js';
import { systemClock } from '#replica/ports/system-clock.js';

const rounds = 9;

function peerOf(n: number): Peer {
  const [high, low] = [n >> 8, n & 255];
  const hex = (byte: number) => byte.toString(16).padStart(2, '0');
  return {
    agentId: `agent-${n}`,
    nodeIp: `10.1.${high}.${low}`,
    vtepIp: `44.128.${high}.${low}`,
    vtepMac: `70:b3:d5:80:${hex(high)}:${hex(low)}`,
    overlays: [{ name: 'dcos', subnet: `9.${high}.${low}.0/24` }],
  };
}

function inputWith(peers: readonly Peer[], cniDir: string): HostInput {
  const vxlan = { vni: 1024, port: 64000, vtepName: 'vtep1024', vtepIp: '44.128.0.1/16', vtepMac: '70:b3:d5:80:00:01' };
  const bridge = { name: 'm-dcos', cidr: '9.0.0.0/25' };
  return {
    clusterId: 'bench',
    formerClusterIds: [],
    lease: { nodeIp: '10.0.0.1', vxlan, overlays: [{ name: 'dcos', subnet: '9.0.0.0/24', mesosBridge: bridge }] },
    leaseValid: true,
    overlays: [{ name: 'dcos', subnet: '9.0.0.0/8', enabled: true }],
    peers,
    settings: { ...defaultHostSettings, cniDir },
  };
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}

async function noChange(input: HostInput): Promise<number> {
  return timed(async () => {
    const observed = await observe(lookoutOf(input, processRunner, noDocker), allAreas, bareHost);
    const { steps } = diff(desired(input, factsOf(observed, input)), observed);
    if (steps.length > 0) throw new Error(`${steps.length} steps are left: ${JSON.stringify(steps[0])}`);
  });
}

const [count = '0', idleSeconds = '0', cniDir = ''] = process.argv.slice(2);
const log = { info: () => {}, warn: (fields: object) => console.error(JSON.stringify(fields)) };
const reconciler = new HostReconciler({ log, clock: systemClock });
reconciler.start();
let peers: readonly Peer[] = [];
reconciler.update(inputWith(peers, cniDir));
await reconciler.settled();
const bareBytes = process.memoryUsage().rss;

peers = Array.from({ length: Number(count) }, (_, index) => peerOf(index + 2));
const programMs = await timed(async () => {
  reconciler.update(inputWith(peers, cniDir));
  await reconciler.settled();
});
// V8 gives memory back by itself once it has been idle for a while; nothing here asks it to.
await delay(15_000);
const before = processorTime(process.pid);
const idleMs = await timed(() => delay(Number(idleSeconds) * 1000));
const after = processorTime(process.pid);
const withPeersBytes = process.memoryUsage().rss;
const noChangeMs: number[] = [];
for (let round = 0; round < rounds; round++) noChangeMs.push(await noChange(inputWith(peers, cniDir)));
const onePeerMs: number[] = [];
for (let round = 0; round < rounds; round++) {
  peers = [...peers, peerOf(peers.length + 2)];
  onePeerMs.push(
    await timed(async () => {
      reconciler.update(inputWith(peers, cniDir));
      await reconciler.settled();
    }),
  );
}
const ownMs = after.ownMs - before.ownMs;
const result: HostPeersResult = {
  programMs,
  entries: reconciler.metrics().entries,
  noChangeMs,
  onePeerMs,
  idleCpu: (ownMs + after.toolsMs - before.toolsMs) / idleMs,
  idleCpuOwn: ownMs / idleMs,
  bareBytes,
  withPeersBytes,
};
process.stdout.write(JSON.stringify(result));
await reconciler.stop();
process.exit(0);
