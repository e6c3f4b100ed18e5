/**
 * One process of clients of `boot`. Messages from the parent: `boot` has agents boot, so many at a time; `reach` asks for the
 * times at which each of them came to a position. Times are ms of the machine's clock since it started, so that they can be
 * compared across processes.
 */
import { SubletAgent } from '#cluster-test/bench/boot/boot-client.js';
import { EtcdAgent } from '#cluster-test/bench/etcd/etcd-agent.js';
import { machineMs } from '#cluster-test/bench/machine-clock.js';
import { load } from '#cluster-test/bench/storms/load.js';

export type BootOrder =
  | { readonly kind: 'boot'; readonly numbers: readonly number[]; readonly atOnce: number }
  | { readonly kind: 'reach'; readonly position: number };

export type BootReport =
  | {
      readonly kind: 'booted';
      readonly position: number;
      readonly leasedAtMs: number;
      readonly bootMs: readonly number[];
    }
  | { readonly kind: 'reached'; readonly atMs: readonly number[]; readonly bytes: number };

const [kind = '', ...addresses] = process.argv.slice(2);
const Agent = kind === 'etcd' ? EtcdAgent : SubletAgent;
/** By agent: its position now, and a wish to hear of one. */
const positions = new Map<number, number>();
let waiting: { readonly position: number; readonly left: Set<number>; readonly atMs: number[] } | undefined;
let bytes = 0;

process.on('message', async (order: BootOrder) => {
  if (order.kind === 'boot') {
    let position = 0;
    let leasedAtMs = 0;
    const bootMs: number[] = [];
    await load(order.numbers.length, order.atOnce, async (at) => {
      const number = order.numbers[at] ?? 0;
      const begun = machineMs();
      const agent = new Agent(addresses[number % addresses.length] ?? '', number);
      position = Math.max(position, await agent.lease());
      leasedAtMs = machineMs();
      await agent.follow((progress) => advance(number, progress.position, progress.bytes));
      bootMs.push(machineMs() - begun);
    });
    report({ kind: 'booted', position, leasedAtMs, bootMs });
  } else {
    const left = new Set([...positions].filter(([, at]) => at < order.position).map(([number]) => number));
    const atMs = Array.from({ length: positions.size - left.size }, machineMs);
    waiting = { position: order.position, left, atMs };
    answer();
  }
});

function advance(number: number, position: number, more: number): void {
  bytes += more;
  if (position <= (positions.get(number) ?? -1)) return;
  positions.set(number, position);
  if (waiting === undefined || position < waiting.position || !waiting.left.delete(number)) return;
  waiting.atMs.push(machineMs());
  answer();
}

function answer(): void {
  if (waiting === undefined || waiting.left.size > 0) return;
  report({ kind: 'reached', atMs: waiting.atMs, bytes });
  waiting = undefined;
}

function report(message: BootReport): void {
  process.send?.(message);
}
