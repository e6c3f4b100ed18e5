/** A committed configuration change taking effect, and a leader's part in it (Raft paper §6, dissertation §4). */

import { InvariantError } from '#errors/invariant.js';
import type { ConfChange } from '#raft/confchange/conf-change.js';
import { becomeFollower, type Core, peers } from '#raft/core.js';
import { type ConfState, noMember } from '#raft/log/entry.js';
import { answerConfirmedReads } from '#raft/reads/reads.js';
import { advanceCommit, broadcastAppend, sendAppend } from '#raft/roles/replication.js';
import { isVoter } from '#raft/tracker/quorum.js';
import { changeMembership, MembershipError, type ProgressTracker } from '#raft/tracker/tracker.js';

/**
 * Switches to the configuration that `change` leads to, and returns it. Throws `InvariantError` if it can't be applied:
 * it was checked when proposed, so the members' configurations have diverged.
 */
export function applyChange(core: Core, change: ConfChange): ConfState {
  core.membership = changed(core, change);
  const { config } = core.membership;
  if (core.role === 'leader') {
    leadOn(core);
  }
  return config;
}

function changed(core: Core, change: ConfChange): ProgressTracker {
  try {
    return changeMembership(core.membership, change, { lastIndex: core.log.lastIndex, limits: core.inflightLimits });
  } catch (error) {
    if (error instanceof MembershipError) {
      throw new InvariantError('broken', `a committed configuration change can't be applied: ${error.message}`);
    }
    throw error;
  }
}

/**
 * A leader under its new configuration: what is committed, which members need a message, and whether it still may lead.
 */
function leadOn(core: Core): void {
  const { config, progress } = core.membership;
  const own = progress.get(core.id);
  if ((own === undefined || own.learner) && core.config.stepDownOnRemoval) {
    becomeFollower(core, core.term, noMember);
    return;
  }
  if (advanceCommit(core)) {
    // A smaller quorum may have had more entries all along.
    broadcastAppend(core);
  } else {
    // Newcomers learn of the log now, not with the next heartbeat.
    for (const [peer, peerProgress] of peers(core)) {
      sendAppend(core, peer, peerProgress, false);
    }
  }
  answerConfirmedReads(core);
  if (core.leadTransferee !== noMember && !isVoter(config, core.leadTransferee)) {
    core.leadTransferee = noMember;
  }
}
