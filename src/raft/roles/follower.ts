/** A follower taking in what its leader sends: entries, commit indexes, snapshots (Raft paper §5.3, §7). */
import { type Core, send } from '#raft/core.js';
import { type LogIndex, logIndex, type MemberId, noIndex, noTerm, type SnapshotMeta } from '#raft/log/entry.js';
import type { AppendMessage, HeartbeatMessage, SnapshotMessage } from '#raft/message.js';
import { isVoter } from '#raft/tracker/quorum.js';
import { restoreMembership } from '#raft/tracker/tracker.js';

export function handleAppend(core: Core, message: AppendMessage): void {
  const { index, logTerm, entries } = message;
  // Equal terms up to the commit index are what the leader's election guarantees. Otherwise the leader and a majority have
  // gone back to an earlier state, and this member may have the only copy of what they lost.
  core.log.expectCommitted({ index, term: logTerm }, entries);
  if (index < core.log.commit) {
    // What is committed can't conflict: acknowledge up to the commit index.
    acknowledge(core, message.from, core.log.commit);
    return;
  }
  if (!core.log.matches({ index, term: logTerm })) {
    rejectAppend(core, message);
    return;
  }
  core.log.appendAfter({ index, term: logTerm }, entries);
  // Beyond the last entry of this message the own log may still differ from the leader's.
  const verified = logIndex(index + entries.length);
  core.log.commitTo(logIndex(Math.min(message.commit, verified)));
  acknowledge(core, message.from, verified);
}

/**
 * Rejects an append that follows on an entry this log does not have, and hints where the logs may meet: at the
 * largest index whose term here is not above the leader's there. That skips a whole diverged tail at once.
 */
function rejectAppend(core: Core, { from, index, logTerm }: AppendMessage): void {
  const start = logIndex(Math.min(index, core.log.lastIndex));
  const hint = core.log.lastIndexAtMostTerm(start, logTerm);
  send(core, {
    kind: 'append-response',
    from: core.id,
    to: from,
    term: core.term,
    index,
    logTerm: hint.term ?? noTerm,
    reject: true,
    rejectHint: hint.index,
  });
}

/** Acknowledges to `to` everything up to `index`, as soon as it is stable. A leader acknowledges to itself as well. */
export function acknowledge(core: Core, to: MemberId, index: LogIndex): void {
  send(core, {
    kind: 'append-response',
    from: core.id,
    to,
    term: core.term,
    index,
    logTerm: noTerm,
    reject: false,
    rejectHint: noIndex,
  });
}

export function handleHeartbeat(core: Core, { from, commit, context }: HeartbeatMessage): void {
  core.log.commitTo(commit);
  send(core, { kind: 'heartbeat-response', from: core.id, to: from, term: core.term, context });
}

export function handleSnapshot(core: Core, message: SnapshotMessage): void {
  const taken = restore(core, message.snapshot);
  acknowledge(core, message.from, taken ? core.log.lastIndex : core.log.commit);
}

/** Replaces log and configuration by the snapshot's; false if it brings nothing new or is not meant for this member. */
function restore(core: Core, snapshot: SnapshotMeta): boolean {
  const { index, term, confState } = snapshot;
  if (index <= core.log.commit) {
    return false;
  }
  if (!isVoter(confState, core.id) && !confState.learners.includes(core.id)) {
    return false;
  }
  if (core.log.matches({ index, term })) {
    // The own log holds all of it, and more: keep it.
    core.log.commitTo(index);
    return false;
  }
  core.log.restore(snapshot);
  core.membership = restoreMembership(confState, { lastIndex: index, limits: core.inflightLimits });
  return true;
}
