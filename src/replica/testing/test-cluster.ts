/**
 * A cluster in one process and virtual time: real replicas on disks, a network and clocks that the test owns. One
 * seed decides about all chance, so that a run can be repeated exactly.
 */

import type { Applied } from '#replica/ports/replicated-log.js';
import { Replica } from '#replica/replica.js';
import type { ReplicaEvent } from '#replica/replica-event.js';
import type { ReplicaLimits, ReplicaTiming } from '#replica/replica-options.js';
import {
  LedgerMachine,
  type LedgerRelease,
  laterLedgerKinds,
  ledgerKindOf,
  ledgerKinds,
} from '#replica/testing/ledger-machine.js';
import { MemoryLogDisk, MemoryLogStore } from '#replica/testing/memory-log-store.js';
import { MemoryHub, MemoryPeerNetwork } from '#replica/testing/memory-network.js';
import { PromiseCheck } from '#replica/testing/promise-check.js';
import { SeededRandom } from '#replica/testing/seeded-random.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';

export type TestClusterOptions = {
  readonly names?: readonly string[];
  readonly seed?: number;
  readonly timing?: ReplicaTiming;
  readonly limits?: Partial<ReplicaLimits>;
};

export type TestProcess = {
  readonly replica: Replica<string>;
  readonly ledger: LedgerMachine;
  readonly store: MemoryLogStore;
  readonly started: Promise<void>;
  /** Timers of the replica that are armed, for which a real process would not end. */
  readonly timers: ReadonlySet<object>;
  kill(): void;
};

/** A machine with a disk, on which a member's process runs, or not. */
export class TestMember {
  readonly name: string;
  readonly peer: string;
  disk: MemoryLogDisk;
  pausedUntilMs = 0;
  /** How the member's clock differs: when it began, and how fast it runs. */
  clock = { offsetMs: 0, rate: 1 };
  /** Of the program that the next process runs. */
  release: LedgerRelease = 'first';
  readonly events: ReplicaEvent[] = [];
  process: TestProcess | undefined;

  constructor(name: string, disk: MemoryLogDisk) {
    this.name = name;
    this.peer = `${name}:7071`;
    this.disk = disk;
  }

  get replica(): Replica<string> {
    if (this.process === undefined) throw new Error(`${this.name} is not running`);
    return this.process.replica;
  }

  get ledger(): LedgerMachine {
    if (this.process === undefined) throw new Error(`${this.name} is not running`);
    return this.process.ledger;
  }

  get store(): MemoryLogStore {
    if (this.process === undefined) throw new Error(`${this.name} is not running`);
    return this.process.store;
  }

  get running(): boolean {
    return this.process !== undefined;
  }
}

export class TestCluster {
  readonly time = new VirtualTime();
  readonly random: SeededRandom;
  readonly hub: MemoryHub;
  readonly members: TestMember[];
  readonly promises: PromiseCheck;
  readonly #options: TestClusterOptions;
  readonly #founders: readonly TestMember[];
  #stores = 0;

  constructor(options: TestClusterOptions = {}) {
    this.#options = options;
    this.random = new SeededRandom(options.seed ?? 1);
    this.hub = new MemoryHub(this.time, this.random);
    this.members = (options.names ?? ['a', 'b', 'c']).map((name) => new TestMember(name, this.newDisk()));
    this.#founders = [...this.members];
    this.promises = new PromiseCheck((id) => this.members.find(({ disk }) => disk.memberId === id)?.disk);
    this.hub.onSend = (message) => this.promises.sent(message);
  }

  /** Starts all members and waits until one of them leads and may serve. */
  static async start(options: TestClusterOptions = {}): Promise<TestCluster> {
    const cluster = new TestCluster(options);
    for (const member of cluster.members) cluster.boot(member);
    await cluster.leader();
    return cluster;
  }

  newDisk(): MemoryLogDisk {
    this.#stores += 1;
    return new MemoryLogDisk(this.#stores.toString(16).padStart(32, '0'));
  }

  member(name: string): TestMember {
    const found = this.members.find((member) => member.name === name);
    if (found === undefined) throw new Error(`no member ${name}`);
    return found;
  }

  /** Starts a process on the member's disk. `settings` stand in for another configuration. */
  boot(
    member: TestMember,
    settings: { readonly clusterId?: string; readonly name?: string; readonly founders?: readonly TestMember[] } = {},
  ): void {
    if (member.process !== undefined) throw new Error(`${member.name} is running already`);
    let alive = true;
    const whenAwake = (run: () => void): void => {
      if (!alive) return;
      const asleepMs = member.pausedUntilMs - this.time.now();
      if (asleepMs > 0) this.time.after(asleepMs, () => whenAwake(run));
      else run();
    };
    const after = (delayMs: number, run: () => void) => this.time.after(delayMs, () => whenAwake(run));
    const { offsetMs, rate } = member.clock;
    const timers = new Set<() => void>();
    const clock = {
      now: () => offsetMs + this.time.now() * rate,
      after: (delayMs: number, run: () => void) => {
        const cancel = after(delayMs / rate, () => {
          timers.delete(cancel);
          run();
        });
        timers.add(cancel);
        return () => {
          timers.delete(cancel);
          cancel();
        };
      },
    };
    const ledger = new LedgerMachine(member.release);
    const later = { laterCommands: { kinds: laterLedgerKinds, kindOf: ledgerKindOf } };
    const store = new MemoryLogStore(member.disk, after);
    const network = new MemoryPeerNetwork(this.hub, member.peer, whenAwake);
    const founders = (settings.founders ?? this.#founders).map(({ name, peer }) => ({ name, peer }));
    const { timing, limits } = this.#options;
    const replica = new Replica<string>({
      name: settings.name ?? member.name,
      clusterId: settings.clusterId ?? 'test',
      founders,
      store,
      network,
      machine: ledger,
      commandKinds: ledgerKinds(member.release),
      ...(member.release === 'first' ? {} : later),
      clock,
      defer: (run) => after(0, run),
      random: (below) => this.random.below(below),
      observe: (event) => member.events.push(event),
      ...(timing === undefined ? {} : { timing }),
      ...(limits === undefined ? {} : { limits }),
    });
    const kill = () => {
      alive = false;
      member.process = undefined;
      network.stop().catch(() => assertUnreachable());
    };
    member.process = { replica, ledger, store, started: replica.start(), timers, kill };
  }

  /** `SIGSTOP` now, `SIGCONT` later: timers and messages wait, disk writes go on but are not heard of. */
  pause(member: TestMember, forMs: number): void {
    member.pausedUntilMs = this.time.now() + forMs;
  }

  /** `kill -9`: what was not synced is gone, and nothing more happens. */
  crash(member: TestMember): void {
    member.process?.kill();
  }

  restart(member: TestMember): void {
    this.crash(member);
    this.boot(member);
  }

  get ready(): TestMember | undefined {
    const leaders = this.members.filter((member) => member.process?.replica.status().leaderReady === true);
    return leaders.sort((one, other) => other.replica.status().term - one.replica.status().term)[0];
  }

  /** The leader that may serve, as soon as there is one. */
  async leader(withinMs = 20_000): Promise<TestMember> {
    await this.time.runUntil(() => this.ready !== undefined, withinMs, 'a leader');
    if (this.ready === undefined) throw new Error('the leader is gone again');
    return this.ready;
  }

  follower(): TestMember {
    const found = this.members.find((member) => member.running && member !== this.ready);
    if (found === undefined) throw new Error('no follower runs');
    return found;
  }

  /** The member with this id. */
  byId(id: number | undefined): TestMember {
    const found = this.members.find(({ disk }) => disk.memberId === id);
    if (found === undefined) throw new Error(`no member has id ${id}`);
    return found;
  }

  /** Another machine, with an empty disk. */
  add(name: string): TestMember {
    const member = new TestMember(name, this.newDisk());
    this.members.push(member);
    return member;
  }

  /** Proposes on `member`, to be awaited with `time.until`. */
  propose(member: TestMember, text: string): Promise<Applied<string>> {
    return member.replica.propose(new TextEncoder().encode(text));
  }

  /** Proposes and waits for the answer. */
  commit(member: TestMember, text: string, withinMs = 10_000): Promise<Applied<string>> {
    return this.time.until(this.propose(member, text), withinMs);
  }

  /** Waits until all running members have applied the same. */
  converged(withinMs = 20_000): Promise<void> {
    return this.time.runUntil(
      () => {
        const running = this.members.filter((member) => member.running);
        const [first] = running;
        return running.every(({ replica }) => {
          const { appliedIndex, commitIndex, lastIndex } = replica.status();
          return appliedIndex === first?.replica.status().lastIndex && commitIndex === lastIndex;
        });
      },
      withinMs,
      'convergence',
    );
  }
}

function assertUnreachable(): never {
  throw new Error('the network in memory does not fail to stop');
}
