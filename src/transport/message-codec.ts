/**
 * Messages of consensus as Protocol Buffers. Entries travel as the records that are also on disk: they are not
 * encoded again, and each brings its own sum. What comes in is checked into branded values here.
 */
import { errorText } from '#errors/unknown-error.js';
import { sublet } from '#proto/sublet.js';
import { logIndex, type MemberId, memberId, type SnapshotMeta, term } from '#raft/log/entry.js';
import type { PeerMessage, VoteMessage } from '#raft/message.js';
import { decodeEntryRecord, entryRecord } from '#replica/driver/entry-record.js';
import { decodeConfState, encodeConfState } from '#transport/membership-codec.js';

const Kind = sublet.raft.v1.PeerMessageKind;
type WireMessage = sublet.raft.v1.PeerMessage.$Properties;

/**
 * What a follower passes on to its leader, in the name of another: a request to lead, and a read that was asked of it
 * while it led.
 */
const passedOn: ReadonlySet<WireMessage['kind']> = new Set([
  Kind.PEER_MESSAGE_KIND_TRANSFER_LEADER,
  Kind.PEER_MESSAGE_KIND_READ_INDEX,
]);

/** Terms and indexes above it are refused. No log reaches it, and sums of such numbers are exact only below 2^53. */
const positionMax = 2 ** 52;

/** A peer sent bytes that no correct peer sends. */
export class WireError extends Error {
  override readonly name: string = 'WireError';
}

/** A message of a kind that this version does not know: a peer of a later release sent it, and goes without an answer. */
export class UnknownMessageError extends WireError {
  override readonly name = 'UnknownMessageError';
}

export function encodeMessage(message: PeerMessage): WireMessage {
  const { from, term } = message;
  switch (message.kind) {
    case 'append': {
      const { index, logTerm, commit } = message;
      return {
        kind: Kind.PEER_MESSAGE_KIND_APPEND,
        from,
        term,
        index,
        logTerm,
        commit,
        entries: message.entries.map(entryRecord),
      };
    }
    case 'append-response': {
      const { index, logTerm, reject, rejectHint } = message;
      return { kind: Kind.PEER_MESSAGE_KIND_APPEND_RESPONSE, from, term, index, logTerm, reject, rejectHint };
    }
    case 'vote':
    case 'pre-vote': {
      const { index, logTerm, transfer } = message;
      const kind = message.kind === 'vote' ? Kind.PEER_MESSAGE_KIND_VOTE : Kind.PEER_MESSAGE_KIND_PRE_VOTE;
      return { kind, from, term, index, logTerm, transfer, ...encodeCommitted(message.committed) };
    }
    case 'vote-response':
    case 'pre-vote-response': {
      const { reject } = message;
      const response = message.kind === 'vote-response';
      const kind = response ? Kind.PEER_MESSAGE_KIND_VOTE_RESPONSE : Kind.PEER_MESSAGE_KIND_PRE_VOTE_RESPONSE;
      return { kind, from, term, reject, ...encodeCommitted(message.committed) };
    }
    case 'snapshot': {
      const { snapshot } = message;
      const position = {
        index: snapshot.index,
        logTerm: snapshot.term,
        confState: encodeConfState(snapshot.confState),
      };
      return { kind: Kind.PEER_MESSAGE_KIND_SNAPSHOT, from, term, ...position };
    }
    case 'heartbeat': {
      const { commit, context } = message;
      return { kind: Kind.PEER_MESSAGE_KIND_HEARTBEAT, from, term, commit, context };
    }
    case 'heartbeat-response':
      return { kind: Kind.PEER_MESSAGE_KIND_HEARTBEAT_RESPONSE, from, term, context: message.context };
    case 'transfer-leader':
      return { kind: Kind.PEER_MESSAGE_KIND_TRANSFER_LEADER, from, term };
    case 'timeout-now':
      return { kind: Kind.PEER_MESSAGE_KIND_TIMEOUT_NOW, from, term };
    case 'read-index':
      return { kind: Kind.PEER_MESSAGE_KIND_READ_INDEX, from, term, context: message.request };
    case 'read-index-response': {
      const { index, request } = message;
      return { kind: Kind.PEER_MESSAGE_KIND_READ_INDEX_RESPONSE, from, term, index, context: request };
    }
    case 'propose':
      throw new TypeError('proposals do not travel between members');
  }
}

/**
 * The message that `sender` sent to `to`.
 * @throws WireError when it makes no sense, or names another sender; `UnknownMessageError` when a later release may
 * know it
 */
export function decodeMessage(wire: WireMessage, sender: MemberId, to: MemberId): PeerMessage {
  try {
    return decode(wire, sender, to);
  } catch (error) {
    if (error instanceof WireError) throw error;
    const reason = errorText(error);
    throw new WireError(`member ${sender} sent what is not a message: ${reason}`, { cause: error });
  }
}

function decode(wire: WireMessage, sender: MemberId, to: MemberId): PeerMessage {
  const from = memberId(wire.from ?? 0);
  if (from !== sender && !passedOn.has(wire.kind)) {
    throw new WireError(`member ${sender} sent a message in the name of member ${from}`);
  }
  const { term: ofTerm, index: at, logTerm: before, commit: until, commitTerm, rejectHint } = wire;
  if (Math.max(ofTerm ?? 0, at ?? 0, before ?? 0, until ?? 0, commitTerm ?? 0, rejectHint ?? 0) > positionMax) {
    throw new WireError(`member ${sender} sent a term or an index beyond ${positionMax}`);
  }
  const envelope = { from, to, term: term(wire.term ?? 0) };
  const index = logIndex(wire.index ?? 0);
  const logTerm = term(wire.logTerm ?? 0);
  const commit = logIndex(wire.commit ?? 0);
  const context = logIndex(wire.context ?? 0);
  const reject = wire.reject === true;
  switch (wire.kind) {
    case Kind.PEER_MESSAGE_KIND_APPEND: {
      const entries = (wire.entries ?? []).map(decodeEntryRecord);
      for (const [at, entry] of entries.entries()) {
        if (entry.term > positionMax) {
          throw new WireError(`an entry came with term ${entry.term}, beyond ${positionMax}`);
        }
        if (entry.index !== index + 1 + at) throw new WireError(`entry ${entry.index} came as ${index + 1 + at}`);
      }
      return { kind: 'append', ...envelope, index, logTerm, commit, entries };
    }
    case Kind.PEER_MESSAGE_KIND_APPEND_RESPONSE:
      return {
        kind: 'append-response',
        ...envelope,
        index,
        logTerm,
        reject,
        rejectHint: logIndex(wire.rejectHint ?? 0),
      };
    case Kind.PEER_MESSAGE_KIND_VOTE:
      return { kind: 'vote', ...envelope, index, logTerm, transfer: wire.transfer === true, ...decodeCommitted(wire) };
    case Kind.PEER_MESSAGE_KIND_PRE_VOTE:
      return {
        kind: 'pre-vote',
        ...envelope,
        index,
        logTerm,
        transfer: wire.transfer === true,
        ...decodeCommitted(wire),
      };
    case Kind.PEER_MESSAGE_KIND_VOTE_RESPONSE:
      return { kind: 'vote-response', ...envelope, reject, ...decodeCommitted(wire) };
    case Kind.PEER_MESSAGE_KIND_PRE_VOTE_RESPONSE:
      return { kind: 'pre-vote-response', ...envelope, reject, ...decodeCommitted(wire) };
    case Kind.PEER_MESSAGE_KIND_SNAPSHOT: {
      const snapshot: SnapshotMeta = { index, term: logTerm, confState: decodeConfState(wire.confState) };
      return { kind: 'snapshot', ...envelope, snapshot };
    }
    case Kind.PEER_MESSAGE_KIND_HEARTBEAT:
      return { kind: 'heartbeat', ...envelope, commit, context };
    case Kind.PEER_MESSAGE_KIND_HEARTBEAT_RESPONSE:
      return { kind: 'heartbeat-response', ...envelope, context };
    case Kind.PEER_MESSAGE_KIND_TRANSFER_LEADER:
      return { kind: 'transfer-leader', ...envelope };
    case Kind.PEER_MESSAGE_KIND_TIMEOUT_NOW:
      return { kind: 'timeout-now', ...envelope };
    case Kind.PEER_MESSAGE_KIND_READ_INDEX:
      return { kind: 'read-index', ...envelope, request: context };
    case Kind.PEER_MESSAGE_KIND_READ_INDEX_RESPONSE:
      return { kind: 'read-index-response', ...envelope, request: context, index };
    default: {
      const unknown = `member ${sender} sent a message of unknown kind ${wire.kind ?? 0}`;
      throw wire.kind ? new UnknownMessageError(unknown) : new WireError(unknown);
    }
  }
}

type Committed = Pick<VoteMessage, 'committed'>;

function encodeCommitted(committed: Committed['committed']): Pick<WireMessage, 'commit' | 'commitTerm'> {
  return committed === undefined ? {} : { commit: committed.index, commitTerm: committed.term };
}

/** Members of a version that does not tell leave it out. */
function decodeCommitted({ commit, commitTerm }: WireMessage): Committed {
  if (!commit || !commitTerm) return {};
  return { committed: { index: logIndex(commit), term: term(commitTerm) } };
}

/** Encoded size of a message, roughly: what the bound on a send queue counts. */
export function messageBytes(message: PeerMessage): number {
  if (message.kind !== 'append') return 32;
  return message.entries.reduce((sum, entry) => sum + entry.data.byteLength + 32, 32);
}
