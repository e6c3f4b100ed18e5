/**
 * A leader taking proposals into its log: the check of configuration changes, the bound on what is uncommitted,
 * and the start of replication (Raft paper §5.3, §6).
 */
import { type ConfChange, decodeConfChange, isConfChange } from '#raft/confchange/conf-change.js';
import type { Core } from '#raft/core.js';
import { RaftError } from '#raft/errors.js';
import { type Entry, type EntryType, type LogIndex, logIndex, noMember } from '#raft/log/entry.js';
import { dataBytes } from '#raft/log/entry-size.js';
import type { ProposeMessage } from '#raft/message.js';
import { acknowledge } from '#raft/roles/follower.js';
import { broadcastAppend } from '#raft/roles/replication.js';
import { changeMembership, isJoint, MembershipError } from '#raft/tracker/tracker.js';

/** What a proposal brings; term and index are given by the leader. */
export type Proposal = { readonly type: EntryType; readonly data: Uint8Array };

export const noData = new Uint8Array(0);
const emptyProposal: Proposal = { type: 'normal', data: noData };

export function dropped(reason: string): RaftError {
  return new RaftError('proposal-dropped', `raft proposal dropped: ${reason}`);
}

/**
 * Appends a proposal and sends it to all peers at once. A configuration change that can't be made now is
 * replaced by an empty entry. Throws `proposal-dropped`, `malformed-message`, `malformed-conf-change`; nothing is appended then.
 */
export function proposeAsLeader(core: Core, message: ProposeMessage): void {
  if (message.entries.length === 0) {
    throw new RaftError('malformed-message', `member ${message.from} proposes no entries`);
  }
  if (!core.membership.progress.has(core.id)) {
    throw dropped('this leader was removed from the cluster');
  }
  if (core.leadTransferee !== noMember) {
    throw dropped(`leadership is passing to member ${core.leadTransferee}`);
  }
  let pendingConfIndex = core.pendingConfIndex;
  const proposals = message.entries.map((entry, at): Proposal => {
    if (!isConfChange(entry.type)) {
      return entry;
    }
    const change = decodeConfChange(entry);
    if (confChangeRefusal(core, change, pendingConfIndex) !== undefined) {
      return emptyProposal;
    }
    pendingConfIndex = logIndex(core.log.lastIndex + 1 + at);
    return entry;
  });
  appendProposals(core, proposals);
  core.pendingConfIndex = pendingConfIndex;
  broadcastAppend(core);
}

/**
 * Why `change` can't be proposed now; undefined if it can. One change at a time: until the last one is applied
 * here, the configuration it would meet is not known.
 */
export function confChangeRefusal(
  core: Core,
  change: ConfChange,
  pendingConfIndex: LogIndex = core.pendingConfIndex,
): string | undefined {
  if (core.config.disableConfChangeValidation === true) {
    return undefined;
  }
  if (pendingConfIndex > core.log.applied) {
    return `the change at index ${pendingConfIndex} is not applied yet (applied: ${core.log.applied})`;
  }
  if (change.operations.length === 0 && !isJoint(core.membership.config)) {
    return 'the configuration is not joint, so there is nothing to leave';
  }
  return arithmeticRefusal(core, change);
}

/** A change that fails when it is applied would stop every member, so it is tried on a copy first. */
function arithmeticRefusal(core: Core, change: ConfChange): string | undefined {
  try {
    changeMembership(core.membership, change, { lastIndex: core.log.lastIndex, limits: core.inflightLimits });
    return undefined;
  } catch (error) {
    if (error instanceof MembershipError) {
      return error.message;
    }
    throw error;
  }
}

/**
 * Gives proposals their term and index and appends them. The leader's own acknowledgement is queued like a
 * peer's, so it counts only once its disk has them. Throws `proposal-dropped` at the limit of uncommitted bytes.
 */
export function appendProposals(core: Core, proposals: readonly Proposal[]): void {
  const first = core.log.lastIndex + 1;
  const entries = proposals.map(
    ({ type, data }, at): Entry => ({ term: core.term, index: logIndex(first + at), type, data }),
  );
  const bytes = dataBytes(entries);
  const limit = core.config.maxUncommittedBytes;
  // Empty entries always pass: a new leader's first one, and the one that leaves a joint configuration, must not
  // wait. So does the first after all others are applied, however large, or it could never pass.
  if (bytes > 0 && core.uncommittedBytes > 0 && core.uncommittedBytes + bytes > limit) {
    throw dropped(`${core.uncommittedBytes} bytes are uncommitted, and ${bytes} more would exceed ${limit}`);
  }
  core.uncommittedBytes += bytes;
  core.log.append(entries);
  acknowledge(core, core.id, core.log.lastIndex);
}

/** Entries of `bytes` data bytes are applied. Those of an earlier leader were never counted, so it stops at 0. */
export function reduceUncommitted(core: Core, bytes: number): void {
  core.uncommittedBytes = Math.max(0, core.uncommittedBytes - bytes);
}
