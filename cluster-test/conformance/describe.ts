/** How cores, messages and entries print (README of the conformance folder, section 6). */
import { type ConfChangeOperation, decodeConfChange } from '#raft/confchange/conf-change.js';
import {
  appendThread,
  applyThread,
  type ConfState,
  type Entry,
  type HardState,
  type MemberId,
  noMember,
  type SnapshotMeta,
} from '#raft/log/entry.js';
import type { Message } from '#raft/message.js';
import type { RaftRole, Ready } from '#raft/ready.js';
import type { RaftPeerStatus } from '#raft/tracker/progress.js';

const roles = {
  follower: 'StateFollower',
  'pre-candidate': 'StatePreCandidate',
  candidate: 'StateCandidate',
  leader: 'StateLeader',
} as const satisfies Record<RaftRole, string>;

const progressStates = { probe: 'StateProbe', replicate: 'StateReplicate', snapshot: 'StateSnapshot' } as const;

const messageNames = {
  hup: 'MsgHup',
  beat: 'MsgBeat',
  propose: 'MsgProp',
  append: 'MsgApp',
  'append-response': 'MsgAppResp',
  vote: 'MsgVote',
  'vote-response': 'MsgVoteResp',
  snapshot: 'MsgSnap',
  heartbeat: 'MsgHeartbeat',
  'heartbeat-response': 'MsgHeartbeatResp',
  unreachable: 'MsgUnreachable',
  'snapshot-status': 'MsgSnapStatus',
  'check-quorum': 'MsgCheckQuorum',
  'transfer-leader': 'MsgTransferLeader',
  'timeout-now': 'MsgTimeoutNow',
  'read-index': 'MsgReadIndex',
  'read-index-response': 'MsgReadIndexResp',
  'pre-vote': 'MsgPreVote',
  'pre-vote-response': 'MsgPreVoteResp',
  'storage-append': 'MsgStorageAppend',
  'storage-append-response': 'MsgStorageAppendResp',
  'storage-apply': 'MsgStorageApply',
  'storage-apply-response': 'MsgStorageApplyResp',
  'forget-leader': 'MsgForgetLeader',
} as const satisfies Record<Message['kind'], string>;

/** The kind that a name of the field stands for; undefined if there is none. */
export function messageKind(name: string): Message['kind'] | undefined {
  return messageKinds.get(name);
}

const messageKinds = new Map<string, Message['kind']>();
for (const kind of Object.keys(messageNames).filter(isKind)) {
  messageKinds.set(messageNames[kind], kind);
}

function isKind(key: string): key is Message['kind'] {
  return key in messageNames;
}

const entryTypes = {
  normal: 'EntryNormal',
  'conf-change': 'EntryConfChange',
  'conf-change-v2': 'EntryConfChangeV2',
} as const;

export function describeReady(ready: Ready): string {
  const lines: string[] = [];
  if (ready.softState !== undefined) {
    lines.push(`Lead:${ready.softState.leader} State:${roles[ready.softState.role]}`);
  }
  if (ready.hardState !== undefined) {
    lines.push(`HardState ${describeHardState(ready.hardState)}`);
  }
  if (ready.readStates.length > 0) {
    const states = ready.readStates.map(({ index, request }) => `{${index} [${requestBytes(request)}]}`);
    lines.push(`ReadStates [${states.join(' ')}]`);
  }
  if (ready.entries.length > 0) {
    lines.push('Entries:', ...ready.entries.map(describeEntry));
  }
  if (ready.snapshot !== undefined) {
    lines.push(`Snapshot ${describeSnapshot(ready.snapshot)}`);
  }
  if (ready.committedEntries.length > 0) {
    lines.push('CommittedEntries:', ...ready.committedEntries.map(describeEntry));
  }
  if (ready.messages.length > 0) {
    lines.push('Messages:', ...ready.messages.map((message) => describeMessage(message)));
  }
  if (lines.length === 0) {
    return '<empty Ready>';
  }
  return `Ready MustSync=${ready.mustSync}:\n${lines.join('\n')}\n`;
}

/** A request number as the eight bytes, big-endian, that it would travel as. */
function requestBytes(request: number): string {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(request));
  return bytes.join(' ');
}

export function describeHardState({ term, vote, commit }: HardState): string {
  return `Term:${term}${vote === noMember ? '' : ` Vote:${vote}`} Commit:${commit}`;
}

export function describeEntry(entry: Entry): string {
  const data = entry.type === 'normal' ? quote(entry.data) : describeOperations(decodeConfChange(entry).operations);
  return `${entry.term}/${entry.index} ${entryTypes[entry.type]}${data === '' ? '' : ` ${data}`}`;
}

const operationLetters = { 'add-voter': 'v', 'add-learner': 'l', remove: 'r', update: 'u' } as const;

function describeOperations(operations: readonly ConfChangeOperation[]): string {
  return operations.map(({ kind, member }) => operationLetters[kind] + member).join(' ');
}

const escapes = new Map([
  ['"', '\\"'],
  ['\\', '\\\\'],
  ['\x07', '\\a'],
  ['\b', '\\b'],
  ['\f', '\\f'],
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
  ['\v', '\\v'],
]);

/** Bytes in double quotes, what can't be printed escaped. */
export function quote(data: Uint8Array): string {
  let out = '';
  for (let at = 0; at < data.length; ) {
    const char = characterAt(data, at);
    out += char === undefined ? `\\x${hex(data[at] ?? 0, 2)}` : escapeCharacter(char);
    at += char === undefined ? 1 : Buffer.byteLength(char);
  }
  return `"${out}"`;
}

/** The character whose UTF-8 encoding begins at `at`; undefined if none does. */
function characterAt(data: Uint8Array, at: number): string | undefined {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  for (let length = 1; length <= 4 && at + length <= data.length; length += 1) {
    try {
      return decoder.decode(data.subarray(at, at + length));
    } catch (error) {
      if (!(error instanceof TypeError)) {
        throw error;
      }
    }
  }
  return undefined;
}

function escapeCharacter(char: string): string {
  const code = char.codePointAt(0) ?? 0;
  const short = escapes.get(char);
  if (short !== undefined) {
    return short;
  }
  if (/^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u.test(char)) {
    return char;
  }
  if (code < 0x80) {
    return `\\x${hex(code, 2)}`;
  }
  return code < 0x10000 ? `\\u${hex(code, 4)}` : `\\U${hex(code, 8)}`;
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}

/** One message, possibly on several lines, without a final newline. `indent` stands before lines after the first. */
export function describeMessage(message: Message, indent = ''): string {
  const fields = fieldsOf(message);
  const name = messageNames[message.kind];
  let out = `${describeMember(message.from)}->${describeMember(message.to)} ${name}`;
  out += ` Term:${message.term} Log:${fields.logTerm ?? 0}/${fields.index ?? 0}`;
  if (fields.reject === true) {
    out += ` Rejected (Hint: ${fields.rejectHint ?? 0})`;
  }
  out += fields.commit ? ` Commit:${fields.commit}` : '';
  out += fields.vote ? ` Vote:${fields.vote}` : '';
  out += describeEntries(fields.entries ?? [], indent);
  if (fields.snapshot !== undefined && fields.snapshot.index > 0) {
    out += `\n${indent}  Snapshot: ${describeSnapshot(fields.snapshot)}`;
  }
  if (fields.responses !== undefined && fields.responses.length > 0) {
    const inner = `${indent}  `;
    const lines = fields.responses.map((response) => `${inner}${describeMessage(response, inner)}\n`);
    out += ` Responses:[\n${lines.join('')}${indent}]`;
  }
  return out;
}

type Fields = {
  readonly kind?: Message['kind'];
  readonly logTerm?: number;
  readonly index?: number;
  readonly reject?: boolean;
  readonly rejectHint?: number;
  readonly commit?: number;
  readonly vote?: number;
  readonly entries?: readonly Entry[];
  readonly snapshot?: SnapshotMeta | undefined;
  readonly responses?: readonly Message[];
};

/** What of a message prints beyond sender, receiver, type and term. */
function fieldsOf(message: Message): Fields {
  switch (message.kind) {
    case 'storage-append': {
      const { hardState, entries, snapshot, responses } = message;
      return { commit: hardState?.commit ?? 0, vote: hardState?.vote ?? 0, entries, snapshot, responses };
    }
    case 'read-index-response':
      return { index: message.index };
    default:
      return message;
  }
}

function describeEntries(entries: readonly Entry[], indent: string): string {
  const [first] = entries;
  if (first === undefined) {
    return '';
  }
  if (entries.length === 1) {
    return ` Entries:[${describeEntry(first)}]`;
  }
  return ` Entries:[\n${entries.map((entry) => `${indent}  ${describeEntry(entry)}\n`).join('')}${indent}]`;
}

function describeMember(member: MemberId): string {
  switch (member) {
    case noMember:
      return 'None';
    case appendThread:
      return 'AppendThread';
    case applyThread:
      return 'ApplyThread';
    default:
      return member.toString(16);
  }
}

export function describeSnapshot({ index, term, confState }: SnapshotMeta): string {
  return `Index:${index} Term:${term} ConfState:${describeConfState(confState)}`;
}

function describeConfState({ voters, votersOutgoing, learners, learnersNext, autoLeave }: ConfState): string {
  const list = (members: readonly MemberId[]): string => `[${members.join(' ')}]`;
  return (
    `Voters:${list(voters)} VotersOutgoing:${list(votersOutgoing)} Learners:${list(learners)} ` +
    `LearnersNext:${list(learnersNext)} AutoLeave:${autoLeave}`
  );
}

/** A configuration as the confchange files show it. */
export function describeConfiguration(config: ConfState): string {
  const list = (members: readonly MemberId[]): string => `(${members.map((id) => id.toString(16)).join(' ')})`;
  const { voters, votersOutgoing, learners, learnersNext, autoLeave } = config;
  return (
    `voters=${list(voters)}${votersOutgoing.length > 0 ? `&&${list(votersOutgoing)}` : ''}` +
    `${learners.length > 0 ? ` learners=${list(learners)}` : ''}` +
    `${learnersNext.length > 0 ? ` learners_next=${list(learnersNext)}` : ''}${autoLeave ? ' autoleave' : ''}`
  );
}

export function describeProgress(peer: RaftPeerStatus): string {
  return (
    `${progressStates[peer.state]} match=${peer.match} next=${peer.next}${peer.learner ? ' learner' : ''}` +
    `${peer.paused ? ' paused' : ''}${peer.pendingSnapshot > 0 ? ` pendingSnap=${peer.pendingSnapshot}` : ''}` +
    `${peer.active ? '' : ' inactive'}` +
    `${peer.inflight > 0 ? ` inflight=${peer.inflight}${peer.inflightFull ? '[full]' : ''}` : ''}`
  );
}

export function describeRole(role: RaftRole): string {
  return roles[role];
}
