/**
 * Elections: campaigning, granting votes and counting them (Raft paper §5.2, §5.4.1; pre-vote: dissertation
 * §9.6), and what a won one begins with.
 */

import { invariant } from '#errors/invariant.js';
import { isConfChange } from '#raft/confchange/conf-change.js';
import { becomeFollower, type Core, reset, send } from '#raft/core.js';
import { type MemberId, noMember, type Term, term } from '#raft/log/entry.js';
import type { LogPosition } from '#raft/log/raft-log.js';
import type { VoteMessage, VoteResponseMessage } from '#raft/message.js';
import { appendProposals, noData } from '#raft/roles/proposal.js';
import { broadcastAppend } from '#raft/roles/replication.js';
import { allVoters, jointVote } from '#raft/tracker/quorum.js';

/** `transfer`: the leader asked for it, so leases don't protect against it and no pre-vote is needed. */
export type CampaignKind = 'pre-election' | 'election' | 'transfer';

/** Bytes of entries read at a time when looking for unapplied configuration changes. */
const scanPageBytes = 1024 * 1024;

/** May this member lead? It must be tracked, no learner, and know where its log begins. */
export function isPromotable(core: Core): boolean {
  const own = core.membership.progress.get(core.id);
  return own !== undefined && !own.learner && core.log.unstable.snapshot === undefined;
}

/**
 * Starts a campaign if this member may lead. Not while a committed configuration change waits to be applied: it
 * would be counting by a configuration that is known to be outdated.
 */
export function hup(core: Core, kind: CampaignKind): void {
  if (core.role === 'leader' || !isPromotable(core)) {
    return;
  }
  if (core.log.someUnapplied((entry) => isConfChange(entry.type), scanPageBytes)) {
    return;
  }
  campaign(core, kind);
}

function campaign(core: Core, kind: CampaignKind): void {
  const pre = kind === 'pre-election';
  if (pre) {
    becomePreCandidate(core);
  } else {
    becomeCandidate(core);
  }
  const campaignTerm = pre ? term(core.term + 1) : core.term;
  const { index, term: logTerm } = core.log.lastPosition;
  for (const to of allVoters(core.membership.config)) {
    const envelope = { from: core.id, to, term: campaignTerm };
    if (to === core.id) {
      // Its own vote counts, like any other, only when it is on stable storage.
      send(core, { ...envelope, kind: pre ? 'pre-vote-response' : 'vote-response', reject: false });
    } else {
      const kindOfVote = pre ? 'pre-vote' : 'vote';
      send(core, { ...envelope, kind: kindOfVote, index, logTerm, transfer: kind === 'transfer', ...committed(core) });
    }
  }
}

function becomeCandidate(core: Core): void {
  invariant(core.role !== 'leader', () => 'a leader can not campaign');
  reset(core, term(core.term + 1));
  core.role = 'candidate';
  core.vote = core.id;
}

/** Asks without committing to anything: term, vote and timers stay, so a failed attempt leaves no trace. */
function becomePreCandidate(core: Core): void {
  invariant(core.role !== 'leader', () => 'a leader can not campaign');
  core.role = 'pre-candidate';
  core.leader = noMember;
  core.votes.clear();
}

/** A leader can't know what its predecessors committed until an entry of its own is: it appends an empty one. */
function becomeLeader(core: Core): void {
  invariant(core.role === 'candidate', () => `a ${core.role} can not become leader`);
  reset(core, core.term);
  core.role = 'leader';
  core.leader = core.id;
  const own = core.membership.progress.get(core.id);
  invariant(own !== undefined, () => 'a member outside of its configuration won an election');
  own.becomeReplicate();
  own.active = true;
  // Any entry taken over may be an unapplied configuration change.
  core.pendingConfIndex = core.log.lastIndex;
  appendProposals(core, [{ type: 'normal', data: noData }]);
  broadcastAppend(core);
}

/**
 * Answers a request for a (pre-)vote of at least the present term. Learners answer too: a candidate whose
 * configuration is newer may count them as voters already.
 */
export function handleVote(core: Core, message: VoteMessage): void {
  learnCommit(core, message);
  const pre = message.kind === 'pre-vote';
  const mayVote =
    core.vote === message.from ||
    (core.vote === noMember && core.leader === noMember) ||
    (pre && message.term > core.term);
  if (mayVote && core.log.isUpToDate({ index: message.index, term: message.logTerm })) {
    // The answer to a pre-vote carries the term asked for, which this member has not entered.
    respondToVote(core, message, message.term, false);
    if (!pre) {
      core.electionElapsed = 0;
      core.vote = message.from;
    }
  } else {
    respondToVote(core, message, core.term, true);
  }
}

/** `inTerm` of a rejection is this member's own, which tells an outdated candidate to catch up. */
export function respondToVote(core: Core, message: VoteMessage, inTerm: Term, reject: boolean): void {
  const kind = message.kind === 'pre-vote' ? 'pre-vote-response' : 'vote-response';
  send(core, { kind, from: core.id, to: message.from, term: inTerm, reject, ...committed(core) });
}

/**
 * Takes a peer's word for what is committed, as far as that is a change of the configuration that is in this log
 * already. Without it two members may be left that can't elect each other: the one that has applied the change lacks
 * entries that the other has, and the other still counts on members that left with the change, and are gone.
 * Everything else that is committed comes with the next leader. A campaign that counted by the old configuration ends.
 */
export function learnCommit(core: Core, message: VoteMessage | VoteResponseMessage): void {
  const { committed: position } = message;
  if (position === undefined || core.role === 'leader' || position.index <= core.log.commit) {
    return;
  }
  // The same entry at the same place: all before it is the same, too (Raft paper §5.3).
  if (!core.log.matches(position)) {
    return;
  }
  if (!core.log.someUncommitted(position.index, (entry) => isConfChange(entry.type), scanPageBytes)) {
    return;
  }
  core.log.commitTo(position.index);
  if (core.role !== 'follower') {
    becomeFollower(core, core.term, noMember);
  }
}

function committed(core: Core): { readonly committed?: LogPosition } {
  const position = core.log.commitPosition;
  return position === undefined ? {} : { committed: position };
}

/** Counts an answer: of each voter the first. */
export function handleVoteResponse(core: Core, message: VoteResponseMessage): void {
  learnCommit(core, message);
  const counted = core.role === 'pre-candidate' ? 'pre-vote-response' : 'vote-response';
  if (message.kind !== counted || core.role === 'follower') {
    return;
  }
  if (!core.votes.has(message.from)) {
    core.votes.set(message.from, !message.reject);
  }
  if (message.from === core.id && core.role === 'candidate') {
    // The others are asked only now that its own vote is stable: from now on they have an election timeout to answer.
    core.electionElapsed = 0;
  }
  switch (tally(core)) {
    case 'won':
      if (core.role === 'pre-candidate') {
        campaign(core, 'election');
      } else {
        becomeLeader(core);
      }
      break;
    case 'lost':
      becomeFollower(core, core.term, noMember);
      break;
    case 'pending':
      break;
  }
}

function tally(core: Core): 'won' | 'pending' | 'lost' {
  return jointVote(core.membership.config, (voter: MemberId) => core.votes.get(voter));
}
