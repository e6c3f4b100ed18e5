/** A watch hub over a log that the spec owns, under a clock that it owns. */

import { encodeCommand } from '#ipam/codec/command-codec.js';
import type { Action } from '#ipam/commands/command.js';
import { parseAgentId } from '#ipam/identity.js';
import type { NetworkSettings } from '#ipam/network.js';
import { registration } from '#ipam/testing/plan-under-test.js';
import { IpamMachine, type PlanOutcome } from '#master/ipam-machine.js';
import { PlanEncoding } from '#master/services/plan-encoding.js';
import { MemoryCluster, type MemoryMember } from '#master/testing/memory-log.js';
import { testOverlay, testSettings } from '#master/testing/test-masters.js';
import { TestWatcher } from '#master/testing/test-watcher.js';
import { EventRing, type WatchView } from '#master/watch/event-ring.js';
import { type AgentForm, PlanSnapshots } from '#master/watch/plan-snapshot.js';
import { WatchHub } from '#master/watch/watch-hub.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';

export type TestHubOptions = {
  readonly members?: number;
  readonly ringCountMax?: number;
  readonly ringBytesMax?: number;
  readonly batchBytesMax?: number;
  readonly chunkBytesMax?: number;
  /** `none`: the network is configured later. */
  readonly settings?: Partial<NetworkSettings> | 'none';
};

export type WatchingOptions = {
  readonly at?: number;
  readonly view?: WatchView;
  readonly testifies?: boolean;
  readonly from?: TestWatcher;
};

const settleMs = 2_000;

/** What one member serves its watchers with. */
export type HubMember = {
  readonly member: MemoryMember<PlanOutcome>;
  readonly machine: IpamMachine;
  readonly ring: EventRing;
  readonly hub: WatchHub;
  readonly encoding: PlanEncoding;
};

export class TestHubs {
  readonly time = new VirtualTime();
  readonly cluster: MemoryCluster<PlanOutcome>;
  readonly members: readonly HubMember[];
  #terms = 0;
  readonly reported: unknown[] = [];
  /** Claims of watchers that the history does not have: revision and branch. */
  readonly untrue: string[] = [];

  constructor(options: TestHubOptions = {}) {
    const machines = Array.from({ length: options.members ?? 1 }, () => new IpamMachine());
    this.cluster = new MemoryCluster(machines);
    this.members = machines.map((machine, at) => this.#serve(machine, this.cluster.member(at), options));
    this.elect(0);
    if (options.settings !== 'none') this.configure(options.settings);
  }

  configure(settings: Partial<NetworkSettings> = {}): void {
    const all = { ...testSettings, ...settings };
    this.propose({ kind: 'configure-network', settings: all, overlays: [testOverlay] });
  }

  at(member: number): HubMember {
    const found = this.members[member];
    if (found === undefined) throw new RangeError(`there is no member ${member}`);
    return found;
  }

  /** Another one leads, and marks its branch. */
  elect(member: number): void {
    this.cluster.elect(member);
    this.#terms += 1;
    this.propose({ kind: 'mark-branch', value: `${this.#terms}`.padStart(12, '0') });
  }

  propose(action: Action): void {
    this.cluster.append(encodeCommand({ ...action, wallTime: 1_700_000_000_000, by: '' }));
    this.cluster.spread();
  }

  register(number: number, sequence = 1): void {
    const node = `10.${number >> 16}.${(number >> 8) & 255}.${number & 255}`;
    const hostname = sequence === 1 ? '' : `host-${sequence}`;
    this.propose(registration(`agent-${number}`, { instance: 'i', sequence, node, hostname }));
  }

  /** The agent's lease ends. */
  leave(number: number, at = 0): void {
    const agentId = parseAgentId(`agent-${number}`);
    const epoch = this.at(at).machine.ipam.lease(agentId)?.epoch ?? 0;
    this.propose({ kind: 'leave', agentId, epoch });
  }

  /** Something that is applied and changes nothing. */
  pass(): void {
    this.propose({ kind: 'remove-overlay', name: 'none-such' });
  }

  /** Agents 0 … `count` − 1. */
  registerMany(count: number): void {
    for (let number = 0; number < count; number++) this.register(number);
  }

  /** Runs all that is due soon: batches and snapshots are sent, and no wait has run out yet. */
  settle(): Promise<void> {
    return this.time.runFor(settleMs);
  }

  /** A watcher that has got everything; it goes on from what `from` has seen, if that is given. */
  async watching({ from, ...options }: WatchingOptions = {}): Promise<{ watcher: TestWatcher; stop: () => void }> {
    const watcher = from === undefined ? new TestWatcher() : TestWatcher.resume(from);
    const stop = this.watch(watcher, options);
    await this.settle();
    return { watcher, stop };
  }

  /** Replaces the state of member `to` by that of member `from`, as a snapshot of the log does. */
  async install({ from, to }: { readonly from: number; readonly to: number }): Promise<void> {
    const records = this.at(from).machine.ipam.records();
    await this.at(to).member.install(records.map(([key, value]) => ({ key, value })));
  }

  watch(
    watcher: TestWatcher,
    { at = 0, view = 'all', testifies = true }: Omit<WatchingOptions, 'from'> = {},
  ): () => void {
    const { clusterId, revision, branch } = watcher;
    return this.at(at).hub.watch({ clusterId, fromRevision: revision, branch, view, testifies }, watcher);
  }

  #serve(machine: IpamMachine, member: MemoryMember<PlanOutcome>, options: TestHubOptions): HubMember {
    const encoding = new PlanEncoding();
    const ring = new EventRing({
      encoding,
      countMax: options.ringCountMax ?? 1_000,
      bytesMax: options.ringBytesMax ?? 1024 * 1024,
      batchBytesMax: options.batchBytesMax ?? 64 * 1024,
      branchAt: (revision) => machine.ipam.branchAt(revision),
    });
    const clusterId = 'test';
    const clock = this.time;
    const chunkBytesMax = options.chunkBytesMax ?? 1024 * 1024;
    const plan = { clusterId, incarnation: 'f1' };
    const snapshotsOf = (form: AgentForm): PlanSnapshots =>
      new PlanSnapshots({ machine, ring, encoding, clock, chunkBytesMax, plan, form });
    const snapshots = { whole: snapshotsOf('whole'), short: snapshotsOf('short') };
    const appliedIndex = (): number => member.appliedIndex;
    const hub = new WatchHub({
      ring,
      snapshots,
      clusterId,
      clock,
      appliedIndex,
      hasBranch: (branch, revision) => machine.ipam.hasBranch(branch, revision),
      branchAt: (revision) => machine.ipam.branchAt(revision),
      isBeyond: async (revision) => {
        await member.readBarrier().catch(() => undefined);
        return member.trouble === undefined && member.appliedIndex < revision;
      },
      untrue: ({ fromRevision, branch }) => this.untrue.push(`${fromRevision} ${branch}`),
      report: (error) => this.reported.push(error),
    });
    hub.restored(0, 0);
    member.onApplied((applied) => hub.applied(applied, machine.network?.reclaimMs));
    member.onRestored((index) => hub.restored(machine.ipam.revision, index));
    return { member, machine, ring, hub, encoding };
  }
}
