/** The parts that a member at work consists of, each made of those before it: a part calls none that comes after. */
import { Raft } from '#raft/raft.js';
import type { EmitActiveReplicaEvent } from '#replica/active-replica-event.js';
import { AppliedState } from '#replica/driver/applied-state.js';
import { CommitNotices } from '#replica/driver/commit-notices.js';
import { LogTail } from '#replica/driver/log-tail.js';
import { LogUpkeep } from '#replica/driver/log-upkeep.js';
import { RaftDriver } from '#replica/driver/raft-driver.js';
import { raftConfig } from '#replica/driver/raft-settings.js';
import { ReadyHandler } from '#replica/driver/ready-handler.js';
import { SnapshotReceiver, SnapshotSender } from '#replica/driver/snapshot-transfers.js';
import { StorageWriter } from '#replica/driver/storage-writer.js';
import { TurnWaits } from '#replica/driver/turn-waits.js';
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

export type Assembly<Output> = {
  readonly peers: PeerAccounts;
  readonly tail: LogTail;
  readonly raft: Raft;
  readonly leadership: LeadershipState;
  readonly applied: AppliedState<Output>;
  readonly commandKinds: CommandKinds;
  readonly requests: PendingRequests<Output>;
  readonly handler: ReadyHandler<Output>;
  readonly writer: StorageWriter;
  readonly upkeep: LogUpkeep;
  readonly waits: TurnWaits;
  readonly fitness: MemberHealth;
  readonly driver: RaftDriver<Output>;
};

export function assemble<Output>(
  options: ReplicaOptions<Output>,
  start: ActiveReplicaStart,
  emit: EmitActiveReplicaEvent<Output>,
): Assembly<Output> {
  const { store, network, machine, clock, defer, random, observe, serves, laterCommands } = options;
  const { self, log, timing, limits } = start;
  const { hardState, entries, compacted } = log;
  const { electionMs } = timing;
  const { id } = self;

  const peers = new PeerAccounts(clock);
  const tail = new LogTail({ hardState, entries, compacted, applied: start.applied });
  const raft = new Raft(raftConfig({ id, applied: start.applied.index, timing, limits, random }), tail);
  const leadership = new LeadershipState(id, hardState?.term);
  const applied = new AppliedState(machine, raft, start.applied);
  const kinds = { self, later: laterCommands, applied, peers };
  const commandKinds = new CommandKinds(kinds, entries, hardState?.commit ?? compacted.index);
  const requests = new PendingRequests<Output>({ raft, clock, limits, random, electionMs });
  const handler = new ReadyHandler({ self, options, leadership, applied, commandKinds, requests, emit });

  const messages = new CommitNotices(network, clock);
  const writer = new StorageWriter({ store, clock, applied, limits: limits.writes, stored: hardState });
  const sender = new SnapshotSender(store, network, clock, limits.snapshotSendsMax);
  const receiver = new SnapshotReceiver(store);
  const upkeep = new LogUpkeep({
    self: id,
    electionMs,
    limits,
    raft,
    leadership,
    peers,
    tail,
    applied,
    writer,
    sender,
  });
  const waits = new TurnWaits(clock);

  const fitness = new MemberHealth({
    self,
    clock,
    electionMs,
    observe,
    raft,
    leadership,
    peers,
    applied,
    store,
    network,
    writer,
    serves,
    commandKinds: options.commandKinds,
  });
  const driver = new RaftDriver({
    self: id,
    clock,
    defer,
    flushAfterMs: limits.flushAfterMs,
    observe,
    raft,
    tail,
    leadership,
    applied,
    requests,
    handler,
    messages,
    writer,
    sender,
    receiver,
    upkeep,
    waits,
  });
  return {
    peers,
    tail,
    raft,
    leadership,
    applied,
    commandKinds,
    requests,
    handler,
    writer,
    upkeep,
    waits,
    fitness,
    driver,
  };
}
