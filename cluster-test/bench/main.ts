/** `npm run bench -- NAME [options]`: the benchmarks, each in a file of its own, loaded when it is asked for. */

import { withUsage } from '#cluster-test/process/usage.js';
import { handOver } from '#runtime/hand-over.js';

type Benchmark = { readonly help: string; run(args: readonly string[]): Promise<void> };

const benchmarks: Readonly<Record<string, () => Promise<Benchmark>>> = {
  'boot-storm': () => import('#cluster-test/bench/storms/boot-storm.js'),
  'beside-etcd': () => import('#cluster-test/bench/etcd/beside-etcd.js'),
  'full-house': () => import('#cluster-test/bench/full-house.js'),
  failover: () => import('#cluster-test/bench/storms/failover.js'),
  'rolling-restart': () => import('#cluster-test/bench/storms/rolling-restart.js'),
  'host-peers': () => import('#cluster-test/bench/peers/host-peers.js'),
  watchers: () => import('#cluster-test/bench/peers/watchers.js'),
  'new-peer': () => import('#cluster-test/bench/peers/new-peer.js'),
  boot: () => import('#cluster-test/bench/boot/boot.js'),
};

/** On the Node.js of the package: a master would hand over to it, and the process that is measured be its shell. */
if (!(await handOver())) await bench(process.argv.slice(2));

async function bench([name = '', ...args]: readonly string[]): Promise<void> {
  const chosen = benchmarks[name];
  if (chosen === undefined) {
    console.error(name === '' || name === '--help' ? 'npm run bench -- NAME [options]' : `no benchmark named ${name}`);
    for (const load of Object.values(benchmarks)) console.error(`  ${(await load()).help}`);
    process.exitCode = 2;
    return;
  }
  const { help, run } = await chosen();
  await withUsage(`npm run bench -- ${help}`, args, () => run(args));
}
