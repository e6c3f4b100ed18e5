/**
 * The state of one core, and the few moves that every part of the protocol needs: sending, and falling back to
 * follower. The parts (`election`, `replication`, `follower`, …) are functions over this state; `raft.ts` is the
 * door. Nothing outside this room sees it.
 */

import {
  type HardState,
  type LogIndex,
  logIndex,
  type MemberId,
  noIndex,
  noMember,
  type Term,
  term as termOf,
} from '#raft/log/entry.js';
import type { LogReader } from '#raft/log/log-reader.js';
import { RaftLog } from '#raft/log/raft-log.js';
import type { Message, ReadIndexMessage } from '#raft/message.js';
import { maxPendingReadsDefault, type RaftConfig } from '#raft/raft-config.js';
import { PendingReads } from '#raft/reads/pending-reads.js';
import type { RaftRole, ReadState, SoftState } from '#raft/ready.js';
import type { InflightLimits } from '#raft/tracker/inflights.js';
import { Progress } from '#raft/tracker/progress.js';
import { type ProgressTracker, restoreMembership } from '#raft/tracker/tracker.js';

export type Core = {
  readonly config: RaftConfig;
  readonly id: MemberId;
  readonly log: RaftLog;
  readonly inflightLimits: InflightLimits;

  term: Term;
  vote: MemberId;
  leader: MemberId;
  role: RaftRole;
  membership: ProgressTracker;

  /** Ticks since the last election timer restart, and since the last heartbeat sent. */
  electionElapsed: number;
  heartbeatElapsed: number;
  /** Election timeout in force, in ticks. */
  electionTimeout: number;

  /** Candidates: the first answer of each voter. */
  readonly votes: Map<MemberId, boolean>;

  /** Leader: the target of its leadership transfer, or `noMember`. */
  leadTransferee: MemberId;
  /** Leader: a configuration change up to this index may be unapplied, and none may be proposed until it is. */
  pendingConfIndex: LogIndex;
  /** Leader: data bytes appended and not yet applied. */
  uncommittedBytes: number;
  readonly reads: PendingReads;
  /** Leader: reads that came before an entry of its own term was committed. */
  postponedReads: ReadIndexMessage[];

  /** For the next Ready. `afterAppend` may leave only once all that is unstable when they were sent is stable. */
  readStates: ReadState[];
  immediate: Message[];
  afterAppend: Message[];
  /** As in the last Ready that had them. */
  lastSoftState: SoftState;
  lastHardState: HardState;
  /** Sync mode: to be stepped by `advance()`; undefined when no Ready is out. */
  advanceSteps: readonly Message[] | undefined;
};

export function createCore(config: RaftConfig, reader: LogReader): Core {
  const { hardState, confState } = reader.initialState();
  const inflightLimits = { messagesMax: config.maxInflightAppends, bytesMax: config.maxInflightBytes };
  const log = new RaftLog(reader, {
    commit: hardState?.commit ?? noIndex,
    applied: config.applied,
    applyingBytesMax: config.maxCommittedBytesPerReady,
  });
  const term = hardState?.term ?? termOf(0);
  const vote = hardState?.vote ?? noMember;
  const core: Core = {
    config,
    id: config.id,
    log,
    inflightLimits,
    term,
    vote,
    leader: noMember,
    role: 'follower',
    membership: restoreMembership(confState, { lastIndex: log.lastIndex, limits: inflightLimits }),
    electionElapsed: 0,
    heartbeatElapsed: 0,
    electionTimeout: 0,
    votes: new Map(),
    leadTransferee: noMember,
    pendingConfIndex: noIndex,
    uncommittedBytes: 0,
    reads: new PendingReads(config.maxPendingReads ?? maxPendingReadsDefault),
    postponedReads: [],
    readStates: [],
    immediate: [],
    afterAppend: [],
    lastSoftState: { leader: noMember, role: 'follower' },
    lastHardState: { term, vote, commit: log.commit },
    advanceSteps: undefined,
  };
  becomeFollower(core, term, noMember);
  return core;
}

/**
 * Sends a message with the next Ready. Answers that promise something (an entry, a vote) wait until what they
 * promise is stable; they alone may be addressed to this member itself.
 */
export function send(core: Core, message: Message): void {
  switch (message.kind) {
    case 'append-response':
    case 'vote-response':
    case 'pre-vote-response':
      core.afterAppend.push(message);
      break;
    default:
      core.immediate.push(message);
  }
}

/** Everyone tracked but this member, by ascending id. */
export function* peers(core: Core): Generator<[MemberId, Progress]> {
  for (const entry of core.membership.progress) {
    if (entry[0] !== core.id) {
      yield entry;
    }
  }
}

/** Follows `leader` (`noMember`: not known yet) in `term`. */
export function becomeFollower(core: Core, term: Term, leader: MemberId): void {
  reset(core, term);
  core.role = 'follower';
  core.leader = leader;
}

/** Resets per-term state. Called on every role or term change except becoming pre-candidate. */
export function reset(core: Core, term: Term): void {
  if (core.term !== term) {
    core.term = term;
    core.vote = noMember;
  }
  core.leader = noMember;
  core.electionElapsed = 0;
  core.heartbeatElapsed = 0;
  core.electionTimeout = core.config.electionTicks + core.config.random(core.config.electionTicks);
  core.leadTransferee = noMember;
  core.votes.clear();
  core.pendingConfIndex = noIndex;
  core.uncommittedBytes = 0;
  core.reads.clear();
  core.postponedReads = [];
  resetProgress(core);
}

function resetProgress(core: Core): void {
  const lastIndex = core.log.lastIndex;
  const progress = new Map<MemberId, Progress>();
  for (const [member, { learner }] of core.membership.progress) {
    const match = member === core.id ? lastIndex : noIndex;
    const next = logIndex(lastIndex + 1);
    progress.set(member, new Progress({ match, next, learner, limits: core.inflightLimits }));
  }
  core.membership = { config: core.membership.config, progress };
}
