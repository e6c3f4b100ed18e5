/** The parts that a member at work consists of, put together on what is stored. */
import type { LogIndex } from '#raft/log/entry.js';
import { Raft } from '#raft/raft.js';
import type { ActiveReplicaListener } from '#replica/active-replica-listener.js';
import { LogTail } from '#replica/driver/log-tail.js';
import { LogUpkeep } from '#replica/driver/log-upkeep.js';
import { RaftDriver } from '#replica/driver/raft-driver.js';
import { raftConfig } from '#replica/driver/raft-settings.js';
import { ReadyHandler } from '#replica/driver/ready-handler.js';
import { LeadershipState } from '#replica/fitness/leadership-state.js';
import { MemberHealth } from '#replica/fitness/member-health.js';
import { PeerAccounts } from '#replica/members/peer-accounts.js';
import type { LoadedLog } from '#replica/ports/log-store.js';
import type { AppliedMeta, MemberInfo } from '#replica/ports/membership.js';
import type { ReplicaLimits, ReplicaOptions, ReplicaTiming } from '#replica/replica-options.js';
import { CommandKinds } from '#replica/requests/command-kinds.js';
import { PendingRequests } from '#replica/requests/pending-requests.js';

export type ActiveReplicaStart = {
  readonly self: MemberInfo;
  readonly log: Pick<LoadedLog, 'hardState' | 'entries' | 'compacted'>;
  /** The stored state, already restored into the machine. */
  readonly applied: AppliedMeta;
  readonly timing: ReplicaTiming;
  readonly limits: ReplicaLimits;
};

/** What the parts tell their owner, and ask it. */
export type AssemblyHooks<Output> = {
  readonly listener: ActiveReplicaListener<Output>;
  readonly turnEnded: () => void;
  readonly failed: (error: Error) => void;
};

export class Assembly<Output> {
  readonly tail: LogTail;
  readonly raft: Raft;
  readonly office: LeadershipState;
  readonly requests: PendingRequests<Output>;
  readonly decisions: ReadyHandler<Output>;
  readonly driver: RaftDriver;
  readonly upkeep: LogUpkeep;
  readonly peers: PeerAccounts;
  readonly commandKinds: CommandKinds;
  readonly fitness: MemberHealth;

  constructor(options: ReplicaOptions<Output>, start: ActiveReplicaStart, hooks: AssemblyHooks<Output>) {
    const { store, network, clock, defer, random, observe } = options;
    const { self, applied, timing, limits } = start;
    const { listener, turnEnded, failed } = hooks;
    const { hardState, entries, compacted } = start.log;
    this.peers = new PeerAccounts(clock);
    this.tail = new LogTail({ hardState, entries, compacted, applied });
    this.raft = new Raft(raftConfig({ id: self.id, applied: applied.index, timing, limits, random }), this.tail);
    this.requests = new PendingRequests({ raft: this.raft, clock, limits, random, electionMs: timing.electionMs });
    this.office = new LeadershipState(self.id, hardState?.term);
    this.commandKinds = new CommandKinds(
      {
        self,
        later: options.laterCommands,
        peers: this.peers,
        membership: () => this.decisions.applied.membership,
      },
      entries,
      hardState?.commit ?? compacted.index,
    );
    this.decisions = new ReadyHandler({
      self,
      options,
      raft: this.raft,
      requests: this.requests,
      office: this.office,
      listener,
      start: applied,
      commandKinds: this.commandKinds,
      writing: () => this.driver.writer.busy,
      turnEnded,
      failed,
    });
    this.driver = new RaftDriver({
      self: self.id,
      raft: this.raft,
      tail: this.tail,
      store,
      network,
      clock,
      defer,
      writes: limits.writes,
      snapshotSendsMax: limits.snapshotSendsMax,
      host: this.decisions,
    });
    this.upkeep = new LogUpkeep({
      clock,
      limits,
      tail: this.tail,
      writer: this.driver.writer,
      applied: this.decisions.applied,
      pinned: () => this.driver.sender.pinned,
      activeMatches: () => this.#activeMatches(self, timing),
    });
    this.fitness = new MemberHealth({
      self,
      clock,
      electionMs: timing.electionMs,
      raft: this.raft,
      office: this.office,
      observe,
      peers: this.peers,
      membership: () => this.decisions.applied.membership,
      serves: () => options.serves?.(self) ?? '',
      commandKinds: options.commandKinds,
      space: () => store.space(),
      announce: (report) => network.announce(report),
      writingSinceMs: () => this.driver.writer.diskSinceMs,
    });
  }

  /**
   * On a leader: how far the members are that answer. The core's `active` is no substitute: it is cleared for all
   * members each time that the core has counted its quorum, and the log would be compacted as if no member answered.
   */
  #activeMatches({ id }: MemberInfo, { electionMs }: ReplicaTiming): readonly LogIndex[] {
    if (!this.office.leads) return [];
    return [...this.raft.status().progress]
      .filter(([member]) => member === id || this.peers.heardWithin(electionMs, member))
      .map(([, { match }]) => match);
  }
}
