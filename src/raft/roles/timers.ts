/**
 * What time alone does: campaigns, heartbeats, quorum checks, the end of transfers that take too long, and another try
 * at leaving a joint configuration.
 */
import { becomeFollower, type Core, peers } from '#raft/core.js';
import { noMember } from '#raft/log/entry.js';
import { leaveJointIfDue } from '#raft/log/storage-acks.js';
import { hup, isPromotable } from '#raft/roles/election.js';
import { broadcastHeartbeat } from '#raft/roles/heartbeat.js';
import { jointVote } from '#raft/tracker/quorum.js';

export function tick(core: Core, patience: number): void {
  if (core.role === 'leader') {
    tickLeader(core);
  } else {
    tickFollower(core, patience);
  }
}

function tickFollower(core: Core, patience: number): void {
  core.electionElapsed += 1;
  const timeout = core.electionTimeout + patience * core.config.electionTicks;
  if (isPromotable(core) && core.electionElapsed >= timeout) {
    core.electionElapsed = 0;
    campaignByItself(core);
  }
}

/** Campaigns as configured: with a pre-vote first, or at once. */
export function campaignByItself(core: Core): void {
  hup(core, core.config.preVote ? 'pre-election' : 'election');
}

function tickLeader(core: Core): void {
  core.heartbeatElapsed += 1;
  core.electionElapsed += 1;
  if (core.electionElapsed >= core.config.electionTicks) {
    core.electionElapsed = 0;
    if (core.config.checkQuorum) {
      checkQuorum(core);
    }
    if (core.role === 'leader') {
      // The target did not take over within an election timeout: take proposals again.
      core.leadTransferee = noMember;
    }
  }
  if (core.role !== 'leader') {
    return;
  }
  leaveJointIfDue(core);
  if (core.heartbeatElapsed >= core.config.heartbeatTicks) {
    core.heartbeatElapsed = 0;
    broadcastHeartbeat(core);
  }
}

/** A leader that has not heard of a quorum since the last check steps down: another one may have been elected. */
export function checkQuorum(core: Core): void {
  const { config, progress } = core.membership;
  const heard = jointVote(config, (voter) => voter === core.id || progress.get(voter)?.active === true);
  if (heard !== 'won') {
    becomeFollower(core, core.term, noMember);
  }
  for (const [, peerProgress] of peers(core)) {
    peerProgress.active = false;
  }
}
