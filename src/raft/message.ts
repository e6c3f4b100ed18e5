/**
 * The messages that cores exchange with each other, with their own storage threads, and with
 * themselves. Term 0 marks a local message. The comment on each kind names the field's usual name
 * for it, which the conformance runner prints.
 */
import type { Entry, HardState, LogIndex, MemberId, SnapshotMeta, Term } from '#raft/log/entry.js';
import type { LogPosition } from '#raft/log/raft-log.js';

type Envelope = {
  readonly from: MemberId;
  readonly to: MemberId;
  readonly term: Term;
};

/** MsgHup: campaign now. Local. */
export type HupMessage = Envelope & { readonly kind: 'hup' };
/** MsgBeat: send heartbeats now. Local. */
export type BeatMessage = Envelope & { readonly kind: 'beat' };
/** MsgProp: entries to append; their term and index are not yet set (0). */
export type ProposeMessage = Envelope & { readonly kind: 'propose'; readonly entries: readonly Entry[] };
/** MsgApp (AppendEntries, Raft paper §5.3). */
export type AppendMessage = Envelope & {
  readonly kind: 'append';
  /** Index and term of the entry before `entries[0]`. */
  readonly index: LogIndex;
  readonly logTerm: Term;
  readonly commit: LogIndex;
  readonly entries: readonly Entry[];
};
/** MsgAppResp. Accepted: `index` is acknowledged. Rejected: `index` is the rejected one, the hint where to try next. */
export type AppendResponseMessage = Envelope & {
  readonly kind: 'append-response';
  readonly index: LogIndex;
  readonly logTerm: Term;
  readonly reject: boolean;
  readonly rejectHint: LogIndex;
};
/** MsgVote (RequestVote) and MsgPreVote; `index`, `logTerm` are the candidate's last entry. */
export type VoteMessage = Envelope & {
  readonly kind: 'vote' | 'pre-vote';
  readonly index: LogIndex;
  readonly logTerm: Term;
  /** The campaign was asked for by the leader (leadership transfer): leases do not protect against it. */
  readonly transfer: boolean;
  /** What the sender knows to be committed: see `learnCommit`. */
  readonly committed?: LogPosition;
};
/** MsgVoteResp and MsgPreVoteResp. */
export type VoteResponseMessage = Envelope & {
  readonly kind: 'vote-response' | 'pre-vote-response';
  readonly reject: boolean;
  /** What the sender knows to be committed: see `learnCommit`. */
  readonly committed?: LogPosition;
};
/** MsgSnap (InstallSnapshot, Raft paper §7). */
export type SnapshotMessage = Envelope & { readonly kind: 'snapshot'; readonly snapshot: SnapshotMeta };
/** MsgHeartbeat; `context` echoes back and confirms reads (0: no read waits). */
export type HeartbeatMessage = Envelope & {
  readonly kind: 'heartbeat';
  readonly commit: LogIndex;
  readonly context: number;
};
/** MsgHeartbeatResp. */
export type HeartbeatResponseMessage = Envelope & { readonly kind: 'heartbeat-response'; readonly context: number };
/** MsgUnreachable: the last message to `from` was not delivered. Local. */
export type UnreachableMessage = Envelope & { readonly kind: 'unreachable' };
/** MsgSnapStatus: how sending a snapshot to `from` ended. Local. */
export type SnapshotStatusMessage = Envelope & { readonly kind: 'snapshot-status'; readonly reject: boolean };
/** MsgCheckQuorum: the leader looks whether it still hears a quorum. Local. */
export type CheckQuorumMessage = Envelope & { readonly kind: 'check-quorum' };
/** MsgTransferLeader: hand leadership to `from`. */
export type TransferLeaderMessage = Envelope & { readonly kind: 'transfer-leader' };
/** MsgTimeoutNow: campaign at once (leadership transfer, dissertation §3.10). */
export type TimeoutNowMessage = Envelope & { readonly kind: 'timeout-now' };
/** MsgForgetLeader: a follower forgets its leader. Local. */
export type ForgetLeaderMessage = Envelope & { readonly kind: 'forget-leader' };
/** MsgReadIndex; `request` is the asker's own number for the read (dissertation §6.4). */
export type ReadIndexMessage = Envelope & { readonly kind: 'read-index'; readonly request: number };
/** MsgReadIndexResp. */
export type ReadIndexResponseMessage = Envelope & {
  readonly kind: 'read-index-response';
  readonly request: number;
  readonly index: LogIndex;
};
/** MsgStorageAppend: persist this; when it is stable, step or send `responses` in order. */
export type StorageAppendMessage = Envelope & {
  readonly kind: 'storage-append';
  readonly hardState: HardState | undefined;
  readonly entries: readonly Entry[];
  readonly snapshot: SnapshotMeta | undefined;
  readonly responses: readonly Message[];
};
/** MsgStorageAppendResp: everything up to (`index`, `logTerm`), and `snapshot`, is stable. */
export type StorageAppendResponseMessage = Envelope & {
  readonly kind: 'storage-append-response';
  readonly index: LogIndex;
  readonly logTerm: Term;
  readonly snapshot: SnapshotMeta | undefined;
};
/** MsgStorageApply: apply these committed entries; afterwards step `responses`. */
export type StorageApplyMessage = Envelope & {
  readonly kind: 'storage-apply';
  readonly entries: readonly Entry[];
  readonly responses: readonly Message[];
};
/** MsgStorageApplyResp. */
export type StorageApplyResponseMessage = Envelope & {
  readonly kind: 'storage-apply-response';
  readonly entries: readonly Entry[];
};

/** What travels between members. */
export type PeerMessage =
  | ProposeMessage
  | AppendMessage
  | AppendResponseMessage
  | VoteMessage
  | VoteResponseMessage
  | SnapshotMessage
  | HeartbeatMessage
  | HeartbeatResponseMessage
  | TransferLeaderMessage
  | TimeoutNowMessage
  | ReadIndexMessage
  | ReadIndexResponseMessage;

/** What never leaves its member. */
export type LocalMessage =
  | HupMessage
  | BeatMessage
  | UnreachableMessage
  | SnapshotStatusMessage
  | CheckQuorumMessage
  | ForgetLeaderMessage
  | StorageAppendMessage
  | StorageAppendResponseMessage
  | StorageApplyMessage
  | StorageApplyResponseMessage;

export type Message = PeerMessage | LocalMessage;
