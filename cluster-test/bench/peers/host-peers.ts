/**
 * How fast a host takes in its peers: 10,000 from nothing, a pass over them with nothing to do, one more peer, and
 * what it costs to sit and watch. The host is a namespace of its own.
 */
import { execFileSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { print } from '#cluster-test/bench/report.js';
import { Underlay } from '#cluster-test/host/netns.js';
import { settingsFor } from '#cluster-test/host/scene-input.js';

export const help = 'host-peers [--peers 10000] [--idle-seconds 20]   a host programs its peers (root)';

/** What the measured process reports; milliseconds, bytes, and parts of one core. */
export type HostPeersResult = {
  readonly programMs: number;
  readonly entries: number;
  readonly noChangeMs: readonly number[];
  readonly onePeerMs: readonly number[];
  readonly idleCpu: number;
  readonly idleCpuOwn: number;
  readonly bareBytes: number;
  readonly withPeersBytes: number;
};

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: { peers: { type: 'string', default: '10000' }, 'idle-seconds': { type: 'string', default: '20' } },
  });
  const peers = Number(values.peers);
  const underlay = new Underlay();
  try {
    const host = underlay.host('bench', '10.0.0.1/8');
    const main = join(dirname(fileURLToPath(import.meta.url)), 'host-peers-main.js');
    const { cniDir } = settingsFor('bench');
    const inside = ['netns', 'exec', host.name, process.execPath, main, values.peers, values['idle-seconds'], cniDir];
    const output = execFileSync('ip', inside, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
    report(peers, JSON.parse(output));
  } finally {
    underlay.remove();
  }
}

function report(peers: number, result: HostPeersResult): void {
  print(
    `A host and its ${peers} peers`,
    { peers, entries: result.entries, kernel: execFileSync('uname', ['-r'], { encoding: 'utf8' }).trim() },
    [
      { name: 'all peers programmed from nothing', value: result.programMs, unit: 'ms', wanted: { atMost: 5_000 } },
      {
        name: 'pass with nothing to do, median',
        value: middle(result.noChangeMs),
        unit: 'ms',
        wanted: { atMost: 500 },
      },
      { name: 'pass with nothing to do, worst', value: Math.max(...result.noChangeMs), unit: 'ms' },
      { name: 'one more peer, median', value: middle(result.onePeerMs), unit: 'ms' },
      { name: 'one more peer, worst', value: Math.max(...result.onePeerMs), unit: 'ms', wanted: { atMost: 500 } },
      { name: 'idle, the process and its tools', value: result.idleCpu * 100, unit: '% core', wanted: { atMost: 1 } },
      { name: 'idle, the process alone', value: result.idleCpuOwn * 100, unit: '% core' },
      { name: 'memory per peer', value: (result.withPeersBytes - result.bareBytes) / peers / 1024, unit: 'KiB' },
      {
        name: 'resident, the reconciler alone',
        value: result.withPeersBytes / 1e6,
        unit: 'MB',
        wanted: { atMost: 110 + (2 * peers) / 1000 },
      },
    ],
  );
}

function middle(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
