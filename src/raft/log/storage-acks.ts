/** What the storage threads report: entries and snapshots that are stable, entries that are applied. */
import { noContext } from '#raft/confchange/conf-change.js';
import type { Core } from '#raft/core.js';
import { RaftError } from '#raft/errors.js';
import { type LogIndex, noIndex, noTerm, type SnapshotMeta } from '#raft/log/entry.js';
import { dataBytes, entriesBytes } from '#raft/log/entry-size.js';
import type { StorageAppendResponseMessage, StorageApplyResponseMessage } from '#raft/message.js';
import { proposeAsLeader, reduceUncommitted } from '#raft/roles/proposal.js';

/**
 * Only acknowledgements of the current term count. An earlier one says nothing about entries, which may have been
 * overwritten since.
 */
export function handleStorageAppended(core: Core, message: StorageAppendResponseMessage): void {
  if (message.index > 0) {
    core.log.unstable.stableTo(message.index, message.logTerm);
  }
  if (message.snapshot !== undefined) {
    handleSnapshotStored(core, message.snapshot);
  }
}

/** A stored snapshot is an applied one: the driver installs it into the state machine in the same step. */
export function handleSnapshotStored(core: Core, { index }: SnapshotMeta): void {
  core.log.unstable.stableSnapshotTo(index);
  appliedTo(core, index, 0);
}

export function handleStorageApplied(core: Core, { entries }: StorageApplyResponseMessage): void {
  const last = entries.at(-1);
  if (last !== undefined) {
    appliedTo(core, last.index, entriesBytes(entries));
    reduceUncommitted(core, dataBytes(entries));
  }
}

function appliedTo(core: Core, index: LogIndex, bytes: number): void {
  core.log.appliedTo(index, bytes);
  leaveJointIfDue(core);
}

/**
 * A leader leaves a joint configuration by itself, if that was asked for, once the change that entered it is applied.
 * If the proposal is dropped now, as while leadership is passing on, each tick tries again: nothing else may ever be
 * proposed, and the members that left with the change would count in quorums for good.
 */
export function leaveJointIfDue(core: Core): void {
  const due = core.membership.config.autoLeave && core.log.applied >= core.pendingConfIndex;
  if (core.role !== 'leader' || !due) {
    return;
  }
  const entry = { type: 'conf-change-v2', data: noContext, term: noTerm, index: noIndex } as const;
  try {
    proposeAsLeader(core, { kind: 'propose', from: core.id, to: core.id, term: noTerm, entries: [entry] });
  } catch (error) {
    if (!(error instanceof RaftError && error.code === 'proposal-dropped')) {
      throw error;
    }
  }
}
