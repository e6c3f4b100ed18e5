/**
 * One master on its machine: the real replica over the real log store on a simulated disk, and above it the real plan,
 * office, keep-alives and call routing. Only the ports are simulated: peers, disk, clock, and the calls between masters.
 */

import { RefusedError } from '#api/refusal.js';
import type { ConsensusChecks, Memory } from '#cluster-test/simulation/checks/consensus-checks.js';
import { DurableState } from '#cluster-test/simulation/checks/durable-state.js';
import type { PlanChecks } from '#cluster-test/simulation/checks/plan-checks.js';
import { type DiskCopy, SimulatedDisk, type WriteFate } from '#cluster-test/simulation/world/simulated-disk.js';
import { type SimulatedNetwork, SimulatedPeers } from '#cluster-test/simulation/world/simulated-network.js';
import { WatchedMachine } from '#cluster-test/simulation/world/watched-machine.js';
import { type Machine, SimulatedProcess } from '#cluster-test/simulation/world/world.js';
import { commandKindOf, commandKinds, laterCommandKinds } from '#ipam/commands/command-kind.js';
import { Admission, defaultAdmissionLimits } from '#master/access/admission.js';
import type { PlanOutcome } from '#master/ipam-machine.js';
import { BranchMarker, branchValue } from '#master/leader/branch-marker.js';
import { HistoryGuard } from '#master/leader/history-guard.js';
import { Leadership } from '#master/leader/leadership.js';
import { OtherIncarnations } from '#master/leader/other-incarnations.js';
import { KeepAliveService } from '#master/leases/keep-alive-service.js';
import { LeaseKeeper } from '#master/leases/lease-keeper.js';
import { silentLog } from '#master/master-log.js';
import { CallRouter, type PeerCalls } from '#master/server/call-router.js';
import type { Endpoint } from '#master/server/endpoint.js';
import { agentEndpoints } from '#master/services/agent-service.js';
import { PlanClient } from '#master/services/plan-client.js';
import { PlanEncoding } from '#master/services/plan-encoding.js';
import type { ConfState } from '#raft/log/entry.js';
import { type LogStore, StoreError } from '#replica/ports/log-store.js';
import type { Founder } from '#replica/ports/peer-network.js';
import { ProposeError } from '#replica/ports/replicated-log.js';
import { Replica } from '#replica/replica.js';
import type { ReplicaEvent } from '#replica/replica-event.js';
import type { ReplicaLimits, ReplicaTiming } from '#replica/replica-options.js';
import { openLogStore } from '#storage/key-value-log-store.js';

export type MasterSettings = {
  readonly timing: ReplicaTiming;
  readonly limits: Partial<ReplicaLimits>;
  /** It asks the other masters of its configuration whether they are of another incarnation. */
  readonly asksOthers: boolean;
};

export type SharedCluster = {
  readonly clusterId: string;
  readonly consensus: ConsensusChecks;
  readonly plan: PlanChecks;
};

/** What all masters share of the simulation. */
export type MasterSurroundings = {
  readonly network: SimulatedNetwork;
  /** Whose members they are now: another one when the cluster was lost and began anew. */
  readonly shared: () => SharedCluster;
  readonly settings: MasterSettings;
  readonly founders: readonly Founder[];
  /**
   * The addresses that the operator has the master of this name ask when it joins: all there ever were, members or not.
   */
  readonly others: (name: string) => readonly string[];
  readonly masterAt: (peer: string) => SimulatedMaster | undefined;
};

/** What runs while the process does. */
export type MasterAtWork = {
  readonly process: SimulatedProcess;
  readonly clusterId: string;
  readonly machine: WatchedMachine;
  readonly replica: Replica<PlanOutcome>;
  readonly plan: PlanClient;
  readonly office: LeaseKeeper;
  readonly marker: BranchMarker;
  readonly guard: HistoryGuard;
  readonly others: OtherIncarnations | undefined;
  readonly leadership: Leadership;
  readonly router: CallRouter;
  readonly keepAlives: KeepAliveService;
  readonly endpoints: ReadonlyMap<string, Endpoint>;
  readonly store: LogStore;
  started: boolean;
};

/** Why a master does not run; `refused`: its store was not opened, or the cluster does not know it. */
export type Down = { readonly kind: 'crashed' | 'failed' | 'removed' | 'refused'; readonly why: string };

/** `down` undefined: its process ran. */
export type MasterCopy = {
  readonly disk: DiskCopy | undefined;
  readonly down: Down | undefined;
  readonly joins: boolean;
};

export class SimulatedMaster {
  readonly machine: Machine;
  readonly peer: string;
  readonly #surroundings: MasterSurroundings;
  disk: SimulatedDisk;
  durable: DurableState;
  work: MasterAtWork | undefined;
  process: SimulatedProcess | undefined;
  down: Down | undefined = { kind: 'crashed', why: 'not started yet' };
  /** Its operator starts it with `--join`. */
  joins = false;
  #disks = 0;
  /** Nonce of the session that was lost when the store was put back. */
  #lostSession: string | undefined;
  /** Its store is of another history than the cluster's: what is known of that one. */
  #apart: SharedCluster | undefined;
  /** In force, as far as this member has applied. */
  #confState: ConfState | undefined;

  constructor(machine: Machine, surroundings: MasterSurroundings) {
    this.machine = machine;
    this.peer = peerOf(machine.name);
    this.#surroundings = surroundings;
    this.disk = this.#newDisk();
    this.durable = this.#watchDisk();
  }

  get name(): string {
    return this.machine.name;
  }

  /** Puts an empty disk in. */
  replaceDisk(): void {
    const { fate, readFails } = this.disk;
    this.#lostSession = undefined;
    this.#apart = undefined;
    this.disk = this.#newDisk();
    this.disk.fate = fate;
    this.disk.readFails = readFails;
    this.durable = this.#watchDisk();
  }

  /** Its store is put back to an earlier state, and the session with this nonce is lost. */
  putBack(copy: DiskCopy, lostSession: string): void {
    this.durable = this.#watchDisk();
    this.durable.damaged = true;
    this.disk.putBack(copy);
    this.#lostSession = lostSession;
  }

  /** What is known of the history that its store is of; undefined: it is the cluster's. */
  get apart(): SharedCluster | undefined {
    return this.#apart;
  }

  /** Its host is away while the stores of most others are put back. `branch`: the cluster as it was until then. */
  staysBehind(branch: SharedCluster): void {
    this.#apart = branch;
    this.durable.damaged = true;
  }

  /** Its empty disk gets the plan of a lost cluster: it makes another incarnation of the one that begins anew. */
  beginsApart(shared: SharedCluster): void {
    this.#apart = shared;
    this.durable = this.#watchDisk();
    this.durable.damaged = true;
    this.joins = false;
  }

  /** As it is on disk, with what its operator knows; for `putBackWithAll`. */
  copy(): MasterCopy {
    return { disk: this.disk.copy(), down: this.down, joins: this.joins };
  }

  /**
   * Disks are put back to copies of one moment. `copy` undefined: this one was not there. `lostSession`: nonce of the session
   * that a master knows that is not put back.
   */
  putBackWithAll(copy: MasterCopy | undefined, lostSession?: string): void {
    const disk = copy?.disk;
    if (copy === undefined || disk === undefined) {
      this.replaceDisk();
      this.joins = copy?.joins ?? true;
      return;
    }
    this.durable = this.#watchDisk();
    this.#lostSession = lostSession;
    if (lostSession !== undefined) this.durable.damaged = true;
    this.joins = copy.joins;
    this.disk.putBack(disk);
    this.down = copy.down ?? { kind: 'crashed', why: 'put back' };
    if (this.down.kind === 'crashed' || this.down.kind === 'failed') this.start();
  }

  /**
   * Whether a member with this disk is to be heard by one with the other. `session`: nonce of the one that the message was
   * sent in. What the lost session has sent may still be under way.
   */
  hears(from: SimulatedMaster, session: string | undefined): boolean {
    const lost = from.#lostSession;
    return lost === undefined || lost === session || !this.disk.hasSeen(lost);
  }

  /** Starts a process on the disk. */
  start(): void {
    const { world } = this.machine;
    if (this.process?.alive === true) return;
    const process = new SimulatedProcess(this.machine, this.name);
    this.process = process;
    this.down = undefined;
    process.onDeath(() => {
      this.work = undefined;
      this.down ??= { kind: 'crashed', why: 'killed' };
    });
    world.count('master starts');
    world.trace('starts', this.#disks, () => this.name);
    process.run(() => {
      this.#open(process).catch((error: unknown) => this.#notOpened(process, error));
    });
  }

  /** Gone for good, or at least until an operator starts it again. */
  lose(why: string): void {
    this.process?.kill();
    this.down = { kind: 'refused', why };
  }

  /** Has an operator's command work on its store, on a disk without faults. */
  async withStore<Result>(what: string, use: (store: LogStore) => Promise<Result>): Promise<Result> {
    const process = new SimulatedProcess(this.machine, `${this.name} ${what}`);
    const { disk } = this;
    const { fate, readFails } = disk;
    const fair = (): WriteFate => ({ kind: 'ok', afterMs: 1 });
    disk.fate = fair;
    disk.readFails = () => false;
    disk.full = false;
    disk.nearlyFull = false;
    try {
      const store = await openLogStore(disk.open(process));
      const result = await use(store);
      await store.close();
      return result;
    } finally {
      // Unless all was healed meanwhile.
      if (disk.fate === fair) {
        disk.fate = fate;
        disk.readFails = readFails;
      }
      process.kill();
    }
  }

  crash(): void {
    if (this.process?.alive !== true) return;
    this.machine.world.count('crashes');
    this.machine.world.trace('crash', 0, () => this.name);
    this.process.kill();
  }

  /** SIGTERM: hands over, stops, and ends. */
  stop(): void {
    const { work, process } = this;
    if (work === undefined || process === undefined || !work.started) return;
    this.machine.world.count('graceful stops');
    process.run(() => {
      this.#stop(work).then(
        () => {
          this.down ??= { kind: 'crashed', why: 'stopped' };
          process.kill();
        },
        (error: unknown) => this.machine.world.fail('a stop that succeeds', `${this.name}: ${String(error)}`),
      );
    });
  }

  async #stop({ replica, office, marker, guard, others, leadership, keepAlives, store }: MasterAtWork): Promise<void> {
    await replica.stop({ transfer: true });
    others?.stop();
    keepAlives.stop();
    marker.stop();
    guard.stop();
    office.stop();
    leadership.stop();
    try {
      await store.close();
    } catch (error) {
      // A disk that fails while the store is closed loses nothing that was acknowledged.
      if (this.disk.failures === 0) throw error;
    }
  }

  async #open(process: SimulatedProcess): Promise<void> {
    const behind = this.disk.behindItsIdentity();
    const store = await openLogStore(this.disk.open(process));
    const { world, name } = this.machine;
    world.check(
      !behind,
      'a store that has forgotten is refused',
      () => `${name} opened a store behind its identity file`,
    );
    if (!process.alive) return;
    const work = this.#assemble(process, store);
    this.work = work;
    await work.replica.start();
    this.#confState = work.replica.status().membership.confState;
    work.started = true;
    work.others?.start();
  }

  /** A store that is opened must be whole, unless its disk was made to fail. */
  #notOpened(process: SimulatedProcess, error: unknown): void {
    const why = error instanceof Error ? error.message : String(error);
    const { world } = this.machine;
    const code = error instanceof StoreError ? error.code : undefined;
    const expected = this.durable.damaged || this.disk.failures > 0 || /was removed/.test(why);
    if (!expected) world.fail('a store that opens', `${this.name}: ${error instanceof Error ? error.stack : why}`);
    const lasting = code === 'corrupt' || code === 'amnesia' || /was removed/.test(why);
    if (lasting) world.count('stores refused');
    this.down = { kind: lasting ? 'refused' : 'failed', why };
    process.kill();
  }

  #assemble(process: SimulatedProcess, store: LogStore): MasterAtWork {
    const { network, settings, founders, others: askedToJoin, shared } = this.#surroundings;
    const checked = this.#apart ?? shared();
    const { clusterId } = checked;
    const { machine } = this;
    const { world } = machine;
    const random = world.random(`process ${this.name}`);
    const { clock } = process;
    const control = new SimulatedPeers(network, process, this.peer);
    const plan = new WatchedMachine(this.name, checked);
    const replica = new Replica<PlanOutcome>({
      name: this.name,
      clusterId,
      founders,
      store,
      machine: plan,
      commandKinds,
      clock,
      laterCommands: { kinds: laterCommandKinds, kindOf: commandKindOf },
      network: control,
      join: this.joins ? askedToJoin(this.name) : [],
      defer: (run) => process.defer(run),
      random: (below) => random.below(below),
      observe: (event) => this.#observe(process, event),
      timing: settings.timing,
      limits: settings.limits,
    });
    const report = (error: unknown): void => {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      world.fail('no error that nobody expected', `${this.name}: ${text}`);
    };
    const wallClock = (): number => machine.wallNow();
    const leadership = new Leadership(replica, clock);
    const chance = (): number => random.below(1 << 20) / (1 << 20);
    const service = new PlanClient({ log: replica, machine: plan.real, clock, clusterId });
    const draw = world.random(`branches of ${this.name}`);
    const newValue = (): string => branchValue(() => draw.below(1 << 20), wallClock);
    const history = { log: replica, leadership, clock, wallClock, newValue, logger: silentLog, report };
    const marker = new BranchMarker(history);
    const guard = new HistoryGuard({ ...history, plan: service });
    const hello = (peer: string) => control.hello(peer);
    const others = settings.asksOthers
      ? new OtherIncarnations({
          log: replica,
          clusterId,
          configured: founders,
          hello,
          clock,
          logger: silentLog,
          report: () => undefined,
        })
      : undefined;
    const office = new LeaseKeeper({
      log: replica,
      machine: plan.real,
      leadership,
      clock,
      wallClock,
      random: chance,
      report,
      claimed: (keepAlive) => guard.checkLater(keepAlive.agentId, keepAlive),
      electionTimeoutMs: settings.timing.electionMs,
      contested: () => undefined,
    });
    const via = `${this.name}-${random.below(1 << 30)}`;
    const at: { work: MasterAtWork | undefined } = { work: undefined };
    const closed = (): string | undefined => (at.work?.started === true ? undefined : 'this master is starting');
    const peers = this.#peerCalls(process);
    const limits = { leaderWaitMs: 5_000, defaultTimeoutMs: 10_000 };
    const router = new CallRouter({ leadership, peers, closed, ...limits, clock, report });
    const admission = new Admission(defaultAdmissionLimits);
    const keepAlives = new KeepAliveService({
      office,
      plan: service,
      leadership,
      router,
      admission,
      clock,
      via,
      report,
      foreign: (agentId, claimed) => {
        if (leadership.seat.kind !== 'here') return;
        guard.checkOther(agentId, claimed).catch((error: unknown) => {
          if (!(error instanceof ProposeError)) report(error);
        });
      },
    });
    const endpoints = [
      ...agentEndpoints({
        plan: service,
        office,
        guard,
        mayGrant: () => others?.refusal ?? guard.refusal,
        encoding: new PlanEncoding(),
        wallClock,
      }),
      ...keepAlives.endpoints,
    ].map((each) => [each.path, each] as const);
    at.work = {
      process,
      clusterId,
      machine: plan,
      replica,
      plan: service,
      office,
      marker,
      guard,
      others,
      leadership,
      router,
      keepAlives,
      store,
      endpoints: new Map(endpoints),
      started: false,
    };
    return at.work;
  }

  /** A call handed on to another master, over the network. */
  #peerCalls(process: SimulatedProcess): PeerCalls {
    const { network, masterAt } = this.#surroundings;
    return {
      call: ({ peer }, path, request, timeoutMs, caller) =>
        new Promise((resolve, reject) => {
          const answer = (settle: () => void): void => {
            network.carry(peer, this.peer, () => process.run(settle));
          };
          process.clock.after(timeoutMs, () => reject(new RefusedError('unknown-outcome', `${peer} did not answer`)));
          network.carry(this.peer, peer, () => {
            const other = masterAt(peer);
            const work = other?.work;
            const endpoint = work?.endpoints.get(path);
            if (work === undefined || endpoint === undefined) {
              answer(() => reject(new RefusedError('unavailable', `${peer} is not there`)));
              return;
            }
            work.process.run(() => {
              const context = { caller, deadline: work.process.clock.now() + timeoutMs, forwarded: true };
              work.router.serve(endpoint, request, context).then(
                (response) => answer(() => resolve(response)),
                (error: unknown) => answer(() => reject(error)),
              );
            });
          });
        }),
    };
  }

  #observe(process: SimulatedProcess, event: ReplicaEvent): void {
    const { world } = this.machine;
    switch (event.kind) {
      case 'fatal': {
        const expected = this.disk.failures > 0 || this.#lostSession !== undefined;
        if (!expected) world.fail('a master that goes on', `${this.name}: ${event.error.stack ?? event.error.message}`);
        world.count('masters ended by their disk');
        this.down = { kind: 'failed', why: event.error.message };
        this.#endSoon(process);
        return;
      }
      case 'removed':
        world.count('members removed');
        this.down = { kind: 'removed', why: event.message };
        this.#endSoon(process);
        return;
      case 'bootstrap-problem':
        if (event.problem.code !== 'wiped') return;
        world.count('wiped members refused');
        this.down = { kind: 'refused', why: event.problem.message };
        this.#endSoon(process);
        return;
      case 'snapshot-installed':
        world.count('snapshots installed');
        this.#confState = this.work?.replica.status().membership.confState;
        return;
      case 'snapshot-failed':
        world.trace('snapshot failed', event.to, () => `${this.name} ${event.error.message}`);
        world.count('snapshots that broke off');
        return;
      case 'membership':
        world.count('mark: membership applied');
        this.#confState = event.membership.confState;
        if (event.membership.confState.votersOutgoing.length > 0) world.count('mark: joint configuration applied');
        return;
      case 'disk-hangs':
        world.count('mark: disk hangs noticed');
        if (event.handsOverTo !== undefined) world.count('mark: leader with a hanging disk hands over');
        return;
      case 'space-low':
        if (event.handsOverTo !== undefined) world.count('mark: leader without space hands over');
        return;
      case 'paused':
        world.count('mark: pause noticed');
        return;
      default:
    }
  }

  /** Not at once: the code that observed it is still at work. */
  #endSoon(process: SimulatedProcess): void {
    this.machine.world.time.after(0, () => process.kill());
  }

  #newDisk(): SimulatedDisk {
    const { world, name } = this.machine;
    this.#disks += 1;
    const ids = world.random(`store ids ${name}`);
    const hex = () => ids.below(0x10000).toString(16).padStart(4, '0');
    return new SimulatedDisk(world, name, () => Array.from({ length: 8 }, hex).join(''));
  }

  /** Of a replica that takes part; one that waits to be bootstrapped, or has stopped, says term 0. */
  #memory(): Memory | undefined {
    if (this.work?.started !== true) return undefined;
    const { process } = this.work;
    const { term, commitIndex, appliedIndex } = this.work.replica.status();
    return term === 0 ? undefined : { process, term, commitIndex, appliedIndex };
  }

  #watchDisk(): DurableState {
    const { consensus } = this.#apart ?? this.#surroundings.shared();
    const durable = new DurableState(this.machine.world, this.name, consensus);
    this.disk.watcher = durable;
    consensus.forget(this.name);
    const confState = () => (this.work?.started === true ? this.#confState : undefined);
    consensus.add(this.name, { durable, confState, memory: () => this.#memory() });
    return durable;
  }
}

/** Where a master listens for its peers. */
export function peerOf(name: string): string {
  return `${name}:7071`;
}
