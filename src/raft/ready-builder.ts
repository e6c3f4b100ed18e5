/**
 * Turning what has piled up in a core into a `Ready`, for both ways of writing to storage. Messages are written
 * out as plain literals here, and wherever one is made for every proposal: spreading parts into them took more time
 * than all the rest of the core.
 */

import { invariant } from '#errors/invariant.js';
import type { Core } from '#raft/core.js';
import {
  appendThread,
  applyThread,
  type Entry,
  type HardState,
  noIndex,
  noTerm,
  type SnapshotMeta,
} from '#raft/log/entry.js';
import type { Message, StorageAppendResponseMessage, StorageApplyResponseMessage } from '#raft/message.js';
import type { Ready, SoftState } from '#raft/ready.js';
import { step } from '#raft/step.js';

export function hasReady(core: Core): boolean {
  const { log } = core;
  return (
    core.immediate.length > 0 ||
    core.afterAppend.length > 0 ||
    log.unstable.hasNextEntries ||
    log.hasNextCommitted(!core.config.asyncStorageWrites) ||
    log.unstable.nextSnapshot() !== undefined ||
    core.readStates.length > 0 ||
    changedSoftState(core) !== undefined ||
    changedHardState(core) !== undefined
  );
}

/** Takes everything there is to do, so that it is not given again. */
export function takeReady(core: Core): Ready {
  invariant(core.advanceSteps === undefined, () => 'the last Ready was not advanced');
  const { log } = core;
  const allowUnstable = !core.config.asyncStorageWrites;
  const hardState = changedHardState(core);
  const work: Work = {
    hardState,
    entries: log.unstable.nextEntries(),
    snapshot: log.unstable.nextSnapshot(),
    committedEntries: log.nextCommitted(allowUnstable),
    afterAppend: core.afterAppend,
  };
  const ready: Ready = {
    softState: changedSoftState(core),
    hardState,
    readStates: core.readStates,
    entries: work.entries,
    snapshot: work.snapshot,
    committedEntries: work.committedEntries,
    messages: allowUnstable ? syncMessages(core, work) : asyncMessages(core, work),
    mustSync: work.entries.length > 0 || (hardState !== undefined && votedAnew(core, hardState)),
  };
  core.lastSoftState = ready.softState ?? core.lastSoftState;
  core.lastHardState = hardState ?? core.lastHardState;
  core.readStates = [];
  core.immediate = [];
  core.afterAppend = [];
  log.unstable.acceptInProgress();
  log.acceptApplying(work.committedEntries, allowUnstable);
  return ready;
}

/** Sync mode: what the last Ready held is done, which the core learns by the messages it kept back for itself. */
export function advance(core: Core): void {
  const steps = core.advanceSteps;
  invariant(steps !== undefined, () => 'advance() without a Ready in sync mode');
  core.advanceSteps = undefined;
  for (const message of steps) {
    step(core, message);
  }
}

type Work = Pick<Ready, 'hardState' | 'entries' | 'snapshot' | 'committedEntries'> & {
  readonly afterAppend: readonly Message[];
};

function syncMessages(core: Core, work: Work): readonly Message[] {
  const toSelf = work.afterAppend.filter((message) => message.to === core.id);
  const toOthers = work.afterAppend.filter((message) => message.to !== core.id);
  core.advanceSteps = [...toSelf, ...appendAck(core, work.snapshot), ...applyAck(core, work.committedEntries)];
  return [...core.immediate, ...toOthers];
}

function asyncMessages(core: Core, work: Work): readonly Message[] {
  const { hardState, entries, snapshot, committedEntries, afterAppend } = work;
  // The Ready takes this list over: the core begins a new one.
  const messages = core.immediate;
  if (hardState !== undefined || entries.length > 0 || snapshot !== undefined || afterAppend.length > 0) {
    messages.push({
      kind: 'storage-append',
      from: core.id,
      to: appendThread,
      term: hardState?.term ?? noTerm,
      hardState,
      entries,
      snapshot,
      responses: [...afterAppend, ...appendAck(core, snapshot)],
    });
  }
  if (committedEntries.length > 0) {
    messages.push({
      kind: 'storage-apply',
      from: core.id,
      to: applyThread,
      term: noTerm,
      entries: committedEntries,
      responses: applyAck(core, committedEntries),
    });
  }
  return messages;
}

/**
 * Acknowledges the whole unstable log, not only what this Ready hands out: if entries were truncated and
 * replaced meanwhile, only an acknowledgement that names the newest state may drop them.
 */
function appendAck(core: Core, snapshot: SnapshotMeta | undefined): readonly StorageAppendResponseMessage[] {
  const { hasEntries } = core.log.unstable;
  if (!hasEntries && snapshot === undefined) {
    return [];
  }
  const last = hasEntries ? core.log.lastPosition : { index: noIndex, term: noTerm };
  return [
    {
      kind: 'storage-append-response',
      from: appendThread,
      to: core.id,
      term: core.term,
      index: last.index,
      logTerm: last.term,
      snapshot,
    },
  ];
}

function applyAck(core: Core, entries: readonly Entry[]): readonly StorageApplyResponseMessage[] {
  return entries.length === 0
    ? []
    : [{ kind: 'storage-apply-response', from: applyThread, to: core.id, term: noTerm, entries }];
}

function changedSoftState({ leader, role, lastSoftState }: Core): SoftState | undefined {
  return leader === lastSoftState.leader && role === lastSoftState.role ? undefined : { leader, role };
}

function changedHardState({ term: current, vote, log, lastHardState }: Core): HardState | undefined {
  const same = current === lastHardState.term && vote === lastHardState.vote && log.commit === lastHardState.commit;
  return same ? undefined : { term: current, vote, commit: log.commit };
}

function votedAnew({ lastHardState }: Core, { term: current, vote }: HardState): boolean {
  return current !== lastHardState.term || vote !== lastHardState.vote;
}
