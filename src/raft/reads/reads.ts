/**
 * Linearizable reads without a log entry (dissertation §6.4): a leader that has committed in its own term, and has
 * since then been confirmed as leader, answers with the commit index it had when asked.
 */
import { type Core, send } from '#raft/core.js';
import { RaftError } from '#raft/errors.js';
import { type LogIndex, noMember } from '#raft/log/entry.js';
import type { ReadIndexMessage } from '#raft/message.js';
import { broadcastHeartbeat } from '#raft/roles/heartbeat.js';

/**
 * A read asked of the leader. Before an entry of its own term is committed, even a leader alone can't tell what
 * was committed before it: the read waits. Throws `too-many-reads`.
 */
export function handleReadAsLeader(core: Core, message: ReadIndexMessage): void {
  if (core.reads.count + core.postponedReads.length >= core.reads.max) {
    throw new RaftError('too-many-reads', `${core.reads.max} reads wait for confirmation already`);
  }
  if (!committedInOwnTerm(core)) {
    core.postponedReads.push(message);
    return;
  }
  if (core.config.readOnly === 'lease-based') {
    answer(core, message, core.log.commit);
    return;
  }
  startRead(core, message);
  if (core.reads.count > 0) {
    broadcastHeartbeat(core);
  }
}

/** The first entry of the own term is committed: reads that waited for it go on, all in one round. */
export function releasePostponedReads(core: Core): void {
  const postponed = core.postponedReads;
  if (postponed.length === 0 || !committedInOwnTerm(core)) {
    return;
  }
  core.postponedReads = [];
  for (const message of postponed) {
    if (core.config.readOnly === 'lease-based') {
      answer(core, message, core.log.commit);
    } else {
      startRead(core, message);
    }
  }
  if (core.reads.count > 0) {
    broadcastHeartbeat(core);
  }
}

/** Releases confirmed reads. Call after each heartbeat response, and when the voters change. */
export function answerConfirmedReads(core: Core): void {
  for (const read of core.reads.takeConfirmed(core.membership.config, core.id)) {
    answer(core, read, read.index);
  }
}

function startRead(core: Core, { request, from }: ReadIndexMessage): void {
  core.reads.add({ request, from, index: core.log.commit });
  // A leader that is the only voter has its quorum at once.
  answerConfirmedReads(core);
}

function answer(core: Core, { request, from }: Pick<ReadIndexMessage, 'request' | 'from'>, index: LogIndex): void {
  if (from === core.id || from === noMember) {
    core.readStates.push({ index, request });
  } else {
    send(core, { kind: 'read-index-response', from: core.id, to: from, term: core.term, request, index });
  }
}

function committedInOwnTerm(core: Core): boolean {
  return core.log.term(core.log.commit) === core.term;
}
