/**
 * A replicated log without consensus, for specs: members in one process share a list of commands, and the spec says
 * which one leads, lags or is cut off. Everything else is real, the address plan included.
 */
import { type LogIndex, logIndex, memberId, term } from '#raft/log/entry.js';
import type { MemberInfo, Membership } from '#replica/ports/membership.js';
import {
  type Applied,
  type LeadershipChange,
  ProposeError,
  type ReplicaStatus,
  type ReplicatedLog,
} from '#replica/ports/replicated-log.js';
import type { ApplyPosition, StateMachine, StateRecord } from '#replica/ports/state-machine.js';

type Notice = LeadershipChange & { readonly ready: boolean; readonly paused: boolean };

export class MemoryCluster<Output> {
  readonly commands: Uint8Array[] = [];
  readonly members: readonly MemoryMember<Output>[];
  /** Cluster time of the commands to come, in ms. */
  time = 0;
  #leader: MemoryMember<Output> | undefined;
  #term = 0;

  readonly #incarnation: string;

  constructor(machines: readonly StateMachine<Output>[], peers: readonly string[] = [], incarnation = 'f1') {
    this.#incarnation = incarnation;
    this.members = machines.map((machine, at) => new MemoryMember(this, machine, at + 1, peers[at] ?? `m${at + 1}:1`));
  }

  get leader(): MemoryMember<Output> | undefined {
    return this.#leader;
  }

  get term(): number {
    return this.#term;
  }

  get membership(): Membership {
    const ids = this.members.map(({ info }) => info.id);
    return {
      clusterId: 'test',
      incarnation: this.#incarnation,
      confState: { voters: ids, votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false },
      members: this.members.map(({ info }) => info),
      nextMemberId: memberId(ids.length + 1),
    };
  }

  member(at: number): MemoryMember<Output> {
    const member = this.members[at];
    if (member === undefined) throw new RangeError(`there is no member ${at}`);
    return member;
  }

  /** Makes a member the leader, or leaves none; the new one is ready at once unless `ready` is false. */
  elect(at: number | undefined, { ready = true } = {}): void {
    for (const member of this.members) member.ready = false;
    this.#leader = at === undefined ? undefined : this.member(at);
    this.#term += 1;
    if (this.#leader !== undefined) {
      this.#leader.catchUp();
      this.#leader.ready = ready;
    }
    for (const member of this.members) member.announce(false);
  }

  append(command: Uint8Array): number {
    this.commands.push(command);
    return this.commands.length;
  }

  /** Each member that does not lag applies what there is. */
  spread(): void {
    for (const member of this.members) if (!member.lags) member.catchUp();
  }
}

export class MemoryMember<Output> implements ReplicatedLog<Output> {
  readonly info: MemberInfo;
  readonly machine: StateMachine<Output>;
  ready = false;
  /** Applies nothing by itself while true. */
  lags = false;
  /** What `propose` and `readBarrier` meet, while set. `lost`: the command is in the log all the same. */
  trouble: { readonly error: ProposeError; readonly lost: boolean } | undefined;
  /** Held back answers of `propose` and `readBarrier`, while it is a list. */
  held: (() => void)[] | undefined;
  barriers = 0;
  /** Resolves when something is in the log that was proposed here after the last call of `watchProposals`. */
  proposed: Promise<void> = Promise.resolve();
  #tellProposed: () => void = () => undefined;
  #applied = 0;
  readonly #cluster: MemoryCluster<Output>;
  readonly #onApplied = new Set<(applied: Applied<Output>) => void>();
  readonly #onRestored = new Set<(index: LogIndex) => void>();
  readonly #onLeadership = new Set<(notice: Notice) => void>();
  readonly #waiting = new Map<number, (applied: Applied<Output>) => void>();

  constructor(cluster: MemoryCluster<Output>, machine: StateMachine<Output>, id: number, peer: string) {
    this.#cluster = cluster;
    this.machine = machine;
    this.info = { id: memberId(id), name: `m${id}`, peer, storeId: String(id).padStart(32, '0') };
  }

  get appliedIndex(): number {
    return this.#applied;
  }

  async propose(command: Uint8Array): Promise<Applied<Output>> {
    await this.#hold();
    const { leader } = this.#cluster;
    if (leader !== this) throw new ProposeError('not-leader', 'this member does not lead', leader?.info);
    if (this.trouble !== undefined) {
      if (this.trouble.lost) this.#cluster.append(command);
      this.#tellProposed();
      throw this.trouble.error;
    }
    const index = this.#cluster.append(command);
    this.#tellProposed();
    return new Promise((resolve) => {
      this.#waiting.set(index, resolve);
      this.catchUp();
      this.#cluster.spread();
    });
  }

  async readBarrier(): Promise<LogIndex> {
    this.barriers += 1;
    await this.#hold();
    if (this.trouble !== undefined) throw this.trouble.error;
    if (this.#cluster.leader === undefined) throw new ProposeError('not-leader', 'there is no leader');
    this.catchUp();
    return logIndex(this.#applied);
  }

  onApplied(listener: (applied: Applied<Output>) => void): () => void {
    this.#onApplied.add(listener);
    return () => this.#onApplied.delete(listener);
  }

  onRestored(listener: (index: LogIndex) => void): () => void {
    this.#onRestored.add(listener);
    return () => this.#onRestored.delete(listener);
  }

  onLeadership(listener: (notice: Notice) => void): () => void {
    this.#onLeadership.add(listener);
    return () => this.#onLeadership.delete(listener);
  }

  status(): ReplicaStatus {
    const { leader, membership } = this.#cluster;
    const last = logIndex(this.#cluster.commands.length);
    return {
      self: this.info,
      membership,
      role: leader === this ? 'leader' : 'follower',
      term: term(this.#cluster.term),
      leader: leader?.info,
      commitIndex: last,
      appliedIndex: logIndex(this.#applied),
      lastIndex: last,
      firstIndex: logIndex(1),
      leaderReady: leader === this && this.ready,
      peers: [],
      writes: 0,
      entriesWritten: 0,
      snapshotsSent: 0,
      snapshotsInstalled: 0,
      moves: [],
      space: { freeBytes: undefined, neededBytes: 0, problem: undefined },
      refusal: undefined,
      serves: '',
    };
  }

  /** Begins `proposed` anew. */
  watchProposals(): void {
    this.proposed = new Promise((resolve) => {
      this.#tellProposed = resolve;
    });
  }

  /** Applies all commands that there are. */
  catchUp(): void {
    while (this.#applied < this.#cluster.commands.length) {
      const index = this.#applied + 1;
      const command = this.#cluster.commands[this.#applied];
      if (command === undefined) throw new RangeError(`no command at ${index}`);
      this.#applied = index;
      const { output } = this.machine.apply(command, this.#position(index));
      const applied = { index: logIndex(index), time: this.#cluster.time, output };
      for (const listener of this.#onApplied) listener(applied);
      this.#waiting.get(index)?.(applied);
      this.#waiting.delete(index);
    }
  }

  /** Takes over the state of these records, as of everything there is, like a follower that was sent a snapshot. */
  async install(records: readonly StateRecord[]): Promise<void> {
    const index = this.#cluster.commands.length;
    await this.machine.restore(one(records), this.#position(index));
    this.#applied = index;
    for (const listener of this.#onRestored) listener(logIndex(index));
  }

  /** Calls the listeners with the leader, or because this member was paused. */
  announce(paused: boolean): void {
    const { leader } = this.#cluster;
    for (const listener of this.#onLeadership) {
      listener({
        leader: leader?.info.id,
        term: term(this.#cluster.term),
        isSelf: leader === this,
        ready: leader === this && this.ready,
        paused,
      });
    }
  }

  #position(index: number): ApplyPosition {
    return { index: logIndex(index), term: term(this.#cluster.term), time: this.#cluster.time };
  }

  #hold(): Promise<void> {
    const { held } = this;
    return held === undefined ? Promise.resolve() : new Promise((resolve) => held.push(resolve));
  }
}

async function* one(records: readonly StateRecord[]): AsyncGenerator<readonly StateRecord[]> {
  yield records;
}
