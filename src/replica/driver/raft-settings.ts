/** The core's configuration, from a replica's timing and limits. One tick is one heartbeat. */

import type { LogIndex, MemberId } from '#raft/log/entry.js';
import type { RaftConfig } from '#raft/raft-config.js';
import type { ReplicaLimits, ReplicaTiming } from '#replica/replica-options.js';

export type RaftSettings = {
  readonly id: MemberId;
  readonly applied: LogIndex;
  readonly timing: ReplicaTiming;
  readonly limits: ReplicaLimits;
  readonly random: (below: number) => number;
};

export function raftConfig({ id, applied, timing, limits, random }: RaftSettings): RaftConfig {
  return {
    id,
    applied,
    random,
    heartbeatTicks: 1,
    electionTicks: Math.round(timing.electionMs / timing.heartbeatMs),
    preVote: true,
    checkQuorum: true,
    asyncStorageWrites: true,
    readOnly: 'safe',
    stepDownOnRemoval: true,
    // A command is proposed at the leader, which answers it: callers get the leader's name.
    disableProposalForwarding: true,
    maxAppendBytes: limits.appendBytesMax,
    maxInflightAppends: limits.appendsInFlightMax,
    maxInflightBytes: limits.appendBytesInFlightMax,
    maxCommittedBytesPerReady: limits.applyBytesPerStepMax,
    maxUncommittedBytes: limits.uncommittedBytesMax,
  };
}
