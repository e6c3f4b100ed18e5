/**
 * A leader bringing its peers up to its log: appends, snapshots, heartbeats, and what it learns from their
 * answers, up to the commit index (Raft paper §5.3, §5.4, §7).
 */

import { invariant } from '#errors/invariant.js';
import { type Core, peers, send } from '#raft/core.js';
import { RaftError } from '#raft/errors.js';
import { type LogIndex, logIndex, type MemberId, noMember } from '#raft/log/entry.js';
import { dataBytes } from '#raft/log/entry-size.js';
import type { AppendResponseMessage, HeartbeatResponseMessage } from '#raft/message.js';
import { answerConfirmedReads, releasePostponedReads } from '#raft/reads/reads.js';
import type { Progress } from '#raft/tracker/progress.js';
import { jointIndex } from '#raft/tracker/quorum.js';

/**
 * Sends `peer` what comes next: entries, or without any an empty append if `allowEmpty` (it carries the commit
 * index), or a snapshot if the entries are gone. Returns whether anything was sent.
 */
export function sendAppend(core: Core, peer: MemberId, progress: Progress, allowEmpty: boolean): boolean {
  if (progress.paused) {
    return false;
  }
  const index = logIndex(progress.next - 1);
  const logTerm = core.log.term(index);
  if (logTerm === undefined) {
    return sendSnapshot(core, peer, progress);
  }
  const windowFull = progress.state === 'replicate' && progress.inflights.full;
  const entries = windowFull ? [] : core.log.entriesFrom(progress.next, core.config.maxAppendBytes);
  if (entries.length === 0 && !allowEmpty) {
    return false;
  }
  const commit = core.log.commit;
  send(core, { kind: 'append', from: core.id, to: peer, term: core.term, index, logTerm, commit, entries });
  progress.sent(entries.length, dataBytes(entries));
  progress.sentCommit = commit;
  return true;
}

/** A peer that has not been heard of lately gets none: it is costly, and most likely lost. */
function sendSnapshot(core: Core, peer: MemberId, progress: Progress): boolean {
  const snapshot = progress.active ? core.log.snapshot() : undefined;
  if (snapshot === undefined) {
    return false;
  }
  invariant(snapshot.index > 0, () => `storage offers an empty snapshot in place of entries from ${progress.next} on`);
  progress.becomeSnapshot(snapshot.index);
  send(core, { kind: 'snapshot', from: core.id, to: peer, term: core.term, snapshot });
  return true;
}

/** Sends every peer what it lacks, and the commit index even if it lacks nothing. */
export function broadcastAppend(core: Core): void {
  for (const [peer, progress] of peers(core)) {
    sendAppend(core, peer, progress, true);
  }
}

/**
 * Commits what a quorum has on stable storage. Only entries of the own term are committed by counting; older ones
 * come with them (Raft paper §5.4.2). Returns whether the commit index moved.
 */
export function advanceCommit(core: Core): boolean {
  const { config, progress } = core.membership;
  const reached = jointIndex(config, (voter) => progress.get(voter)?.match);
  if (!Number.isFinite(reached) || reached <= core.log.commit) {
    return false;
  }
  const index = logIndex(reached);
  if (core.log.term(index) !== core.term) {
    return false;
  }
  core.log.commitTo(index);
  releasePostponedReads(core);
  return true;
}

export function handleAppendResponse(core: Core, message: AppendResponseMessage, progress: Progress): void {
  if (!message.reject && message.index > core.log.lastIndex) {
    throw new RaftError(
      'malformed-message',
      `member ${message.from} acknowledges index ${message.index}, but the log ends at ${core.log.lastIndex}`,
    );
  }
  progress.active = true;
  if (message.reject) {
    handleRejection(core, message, progress);
  } else {
    handleAcknowledgement(core, message, progress);
  }
}

function handleRejection(core: Core, message: AppendResponseMessage, progress: Progress): void {
  // The peer has nothing above the hint that can match, nor have we anything of a higher term than the hint's
  // there: skip whole terms instead of probing index by index.
  const hint =
    message.logTerm > 0 ? core.log.lastIndexAtMostTerm(message.rejectHint, message.logTerm).index : message.rejectHint;
  if (progress.reject(message.index, hint)) {
    sendAppend(core, message.from, progress, true);
  }
}

function handleAcknowledgement(core: Core, message: AppendResponseMessage, progress: Progress): void {
  const { from, index } = message;
  const probed = progress.state === 'probe' && index === progress.match;
  if (!progress.acknowledge(index) && !probed) {
    return;
  }
  settle(core, progress, index);
  if (advanceCommit(core)) {
    broadcastAppend(core);
  } else if (from !== core.id && progress.canBumpCommit(core.log.commit)) {
    sendAppend(core, from, progress, true);
  }
  if (from === core.id) {
    return;
  }
  // The window may have room for several messages now; each one sent takes room, so this ends.
  while (sendAppend(core, from, progress, false)) {}
  if (from === core.leadTransferee && progress.match === core.log.lastIndex) {
    sendTimeoutNow(core, from);
  }
}

/** What an acknowledgement means for the state of its peer. */
function settle(core: Core, progress: Progress, index: LogIndex): void {
  switch (progress.state) {
    case 'probe':
      progress.becomeReplicate();
      break;
    case 'snapshot':
      // Wherever the peer got it from: it has all that the log here no longer holds.
      if (progress.match + 1 >= core.log.firstIndex) {
        progress.becomeProbe();
        progress.becomeReplicate();
      }
      break;
    case 'replicate':
      progress.inflights.freeTo(index);
      break;
  }
}

export function handleHeartbeatResponse(core: Core, message: HeartbeatResponseMessage, progress: Progress): void {
  progress.active = true;
  progress.flowPaused = false;
  if (progress.match < core.log.lastIndex || progress.state === 'probe') {
    sendAppend(core, message.from, progress, true);
  }
  if (message.context > 0) {
    core.reads.echo(message.from, message.context);
    answerConfirmedReads(core);
  }
}

/** Has the target of a leadership transfer, which has the whole log, campaign at once. */
export function sendTimeoutNow(core: Core, to: MemberId): void {
  send(core, { kind: 'timeout-now', from: core.id, to, term: core.term });
}

/** Leadership is to pass to `target`, which is the follower that was named. */
export function transferTo(core: Core, target: MemberId, progress: Progress): void {
  if (progress.learner || core.leadTransferee === target) {
    return;
  }
  core.leadTransferee = noMember;
  if (target === core.id) {
    return;
  }
  // The target has one election timeout from now on.
  core.electionElapsed = 0;
  core.leadTransferee = target;
  if (progress.match === core.log.lastIndex) {
    sendTimeoutNow(core, target);
  } else {
    sendAppend(core, target, progress, true);
  }
}
