/**
 * How the core takes a message: guards, the comparison of terms that every message begins with (Raft paper §5.1), and
 * the dispatch by role.
 */

import { assertNever, invariant } from '#errors/invariant.js';
import { becomeFollower, type Core, send } from '#raft/core.js';
import { RaftError } from '#raft/errors.js';
import { appendThread, applyThread, type MemberId, noIndex, noMember, noTerm } from '#raft/log/entry.js';
import { handleSnapshotStored, handleStorageAppended, handleStorageApplied } from '#raft/log/storage-acks.js';
import type {
  AppendMessage,
  HeartbeatMessage,
  Message,
  ProposeMessage,
  ReadIndexMessage,
  SnapshotMessage,
  TransferLeaderMessage,
  VoteMessage,
} from '#raft/message.js';
import { handleReadAsLeader } from '#raft/reads/reads.js';
import { handleVote, handleVoteResponse, hup, learnCommit, respondToVote } from '#raft/roles/election.js';
import { acknowledge, handleAppend, handleHeartbeat, handleSnapshot } from '#raft/roles/follower.js';
import { broadcastHeartbeat } from '#raft/roles/heartbeat.js';
import { dropped, proposeAsLeader } from '#raft/roles/proposal.js';
import { handleAppendResponse, handleHeartbeatResponse, transferTo } from '#raft/roles/replication.js';
import { campaignByItself, checkQuorum } from '#raft/roles/timers.js';
import type { Progress } from '#raft/tracker/progress.js';

/** Kinds that only the member itself and its storage threads may send. */
const localKinds: ReadonlySet<Message['kind']> = new Set<Message['kind']>([
  ...(['hup', 'beat', 'unreachable', 'snapshot-status', 'check-quorum'] as const),
  ...(['storage-append', 'storage-append-response', 'storage-apply', 'storage-apply-response'] as const),
]);
/** Responses; they are taken only from a member of the configuration. */
const responseKinds: ReadonlySet<Message['kind']> = new Set<Message['kind']>([
  ...(['append-response', 'vote-response', 'pre-vote-response', 'heartbeat-response'] as const),
  ...(['read-index-response', 'unreachable'] as const),
]);

/** Takes a message that came from outside of the core. */
export function stepGuarded(core: Core, message: Message): void {
  const { kind, from } = message;
  if (localKinds.has(kind) && from !== appendThread && from !== applyThread) {
    throw new RaftError('local-message', `raft: cannot step raft local message ${kind} from member ${from}`);
  }
  if (responseKinds.has(kind) && from > 0 && !core.membership.progress.has(from)) {
    throw new RaftError('peer-not-found', `raft: cannot step as peer not found: ${kind} from member ${from}`);
  }
  if (kind === 'append') {
    checkContiguous(message);
  }
  step(core, message);
}

/** Before anything else, so that a malformed message leaves no trace. */
function checkContiguous({ from, index, entries }: AppendMessage): void {
  const first = entries[0]?.index ?? index + 1;
  const last = entries.at(-1)?.index ?? index;
  if (first !== index + 1 || last !== index + entries.length) {
    throw new RaftError(
      'malformed-message',
      `member ${from} sent ${entries.length} entries ${first}…${last} to follow on entry ${index}`,
    );
  }
}

/** Steps a message without the term and role guards. */
export function step(core: Core, message: Message): void {
  if (message.term > core.term) {
    if (!enterHigherTerm(core, message)) {
      return;
    }
  } else if (message.term !== noTerm && message.term < core.term) {
    handleLowerTerm(core, message);
    return;
  }
  switch (message.kind) {
    case 'hup':
      campaignByItself(core);
      break;
    case 'storage-append-response':
      handleStorageAppended(core, message);
      break;
    case 'storage-apply-response':
      handleStorageApplied(core, message);
      break;
    case 'vote':
    case 'pre-vote':
      handleVote(core, message);
      break;
    default:
      stepByRole(core, message);
  }
}

/** Follows a higher term. False if the message is to be ignored. */
function enterHigherTerm(core: Core, message: Message): boolean {
  const { kind, from } = message;
  switch (kind) {
    case 'vote':
    case 'pre-vote':
      if (!message.transfer && leaseHolds(core)) {
        return false;
      }
      // A pre-vote changes no term.
      return kind === 'pre-vote' || follow(core, message, noMember);
    case 'pre-vote-response':
      // A granted response carries the term that was asked for; this member enters it when it has won.
      return !message.reject || follow(core, message, noMember);
    case 'append':
    case 'heartbeat':
    case 'snapshot':
      return follow(core, message, from);
    default:
      return follow(core, message, noMember);
  }
}

function follow(core: Core, { term }: Message, leader: MemberId): true {
  becomeFollower(core, term, leader);
  return true;
}

/** A member that has heard from a leader within an election timeout gives no votes (dissertation §4.2.3). */
function leaseHolds(core: Core): boolean {
  return core.config.checkQuorum && core.leader !== noMember && core.electionElapsed < core.config.electionTicks;
}

function handleLowerTerm(core: Core, message: Message): void {
  switch (message.kind) {
    case 'append':
    case 'heartbeat':
      // Where a raised term does not depose leaders by votes, an outdated leader must learn of it by an answer, or a
      // member whose term is too high would stay cut off for good.
      if (core.config.checkQuorum || core.config.preVote) {
        acknowledge(core, message.from, noIndex);
      }
      break;
    case 'pre-vote':
      respondToVote(core, message, core.term, true);
      break;
    case 'storage-append-response':
      if (message.snapshot !== undefined) {
        handleSnapshotStored(core, message.snapshot);
      }
      break;
    default:
      break;
  }
}

type RoleMessage = Exclude<
  Message,
  { readonly kind: 'hup' | 'storage-append-response' | 'storage-apply-response' } | VoteMessage
>;

function stepByRole(core: Core, message: RoleMessage): void {
  switch (core.role) {
    case 'leader':
      stepLeader(core, message);
      break;
    case 'follower':
      stepFollower(core, message);
      break;
    case 'candidate':
    case 'pre-candidate':
      stepCandidate(core, message);
      break;
    default:
      assertNever(core.role);
  }
}

function stepCandidate(core: Core, message: RoleMessage): void {
  switch (message.kind) {
    case 'propose':
      throw dropped('an election is under way');
    case 'append':
    case 'heartbeat':
    case 'snapshot':
      // Another member has won this term.
      becomeFollower(core, message.term, message.from);
      hear(core, message);
      break;
    case 'vote-response':
    case 'pre-vote-response':
      handleVoteResponse(core, message);
      break;
    default:
      break;
  }
}

function stepFollower(core: Core, message: RoleMessage): void {
  switch (message.kind) {
    case 'propose':
      forwardProposal(core, message);
      break;
    case 'append':
    case 'heartbeat':
    case 'snapshot':
      core.electionElapsed = 0;
      core.leader = message.from;
      hear(core, message);
      break;
    case 'transfer-leader':
    case 'read-index':
      forward(core, message);
      break;
    case 'timeout-now':
      hup(core, 'transfer');
      break;
    case 'forget-leader':
      if (core.config.readOnly !== 'lease-based') {
        core.leader = noMember;
      }
      break;
    case 'read-index-response':
      core.readStates.push({ index: message.index, request: message.request });
      break;
    case 'vote-response':
    case 'pre-vote-response':
      // A rejection by a higher term has just ended the campaign.
      learnCommit(core, message);
      break;
    default:
      break;
  }
}

function hear(core: Core, message: AppendMessage | HeartbeatMessage | SnapshotMessage): void {
  switch (message.kind) {
    case 'append':
      handleAppend(core, message);
      break;
    case 'heartbeat':
      handleHeartbeat(core, message);
      break;
    case 'snapshot':
      handleSnapshot(core, message);
      break;
    default:
      assertNever(message);
  }
}

function forwardProposal(core: Core, message: ProposeMessage): void {
  if (core.leader === noMember) {
    throw dropped('no leader is known');
  }
  if (core.config.disableProposalForwarding === true) {
    throw dropped(`member ${core.leader} leads, and proposals are not forwarded`);
  }
  send(core, { ...message, from: message.from === noMember ? core.id : message.from, to: core.leader });
}

function forward(core: Core, message: TransferLeaderMessage | ReadIndexMessage): void {
  if (core.leader !== noMember) {
    // A forwarded read keeps the member that asked as its sender, without a term; a forwarded transfer keeps its target
    // as the sender, with the own term.
    const term = message.kind === 'transfer-leader' ? core.term : noTerm;
    send(core, { ...message, to: core.leader, term });
  }
}

function stepLeader(core: Core, message: RoleMessage): void {
  switch (message.kind) {
    case 'beat':
      broadcastHeartbeat(core);
      break;
    case 'check-quorum':
      checkQuorum(core);
      break;
    case 'propose':
      proposeAsLeader(core, message);
      break;
    case 'read-index':
      handleReadAsLeader(core, message);
      break;
    case 'append':
    case 'heartbeat':
      invariant(false, () => `member ${message.from} leads in term ${core.term} as well`);
      break;
    default: {
      const progress = core.membership.progress.get(message.from);
      if (progress !== undefined) {
        stepPeer(core, message, progress);
      }
    }
  }
}

/** Messages at a leader from one peer, or about it. */
function stepPeer(core: Core, message: RoleMessage, progress: Progress): void {
  switch (message.kind) {
    case 'append-response':
      handleAppendResponse(core, message, progress);
      break;
    case 'heartbeat-response':
      handleHeartbeatResponse(core, message, progress);
      break;
    case 'snapshot-status':
      handleSnapshotStatus(progress, message.reject);
      break;
    case 'unreachable':
      // What was sent ahead is most likely lost.
      if (progress.state === 'replicate') {
        progress.becomeProbe();
      }
      break;
    case 'transfer-leader':
      transferTo(core, message.from, progress);
      break;
    default:
      break;
  }
}

/** Either way the peer is probed, but not before its next answer: it may still be busy installing. */
function handleSnapshotStatus(progress: Progress, failed: boolean): void {
  if (progress.state !== 'snapshot') {
    return;
  }
  if (failed) {
    progress.pendingSnapshot = noIndex;
  }
  progress.becomeProbe();
  progress.flowPaused = true;
}
