/**
 * `sublet/raft`: a replicated log for Node, with no knowledge of address plans. The consensus core, a replica that
 * drives it, a store on LevelDB and peers over gRPC; each part can be replaced by another of the same interface.
 * Its page, with an example, is docs/raft-package.md.
 */

/** Of the copy of grpc-js that `GrpcPeerNetwork` uses: it takes no credentials of another one. */
export { ChannelCredentials, ServerCredentials } from '@grpc/grpc-js';
export { type InvariantCode, InvariantError } from '#errors/invariant.js';
export {
  type ConfChange,
  type ConfChangeOperation,
  type ConfChangeTransition,
  decodeConfChange,
  encodeConfChange,
  isConfChange,
  leaveJointChange,
} from '#raft/confchange/conf-change.js';
export { RaftError, type RaftErrorCode } from '#raft/errors.js';
export {
  type ConfState,
  type Entry,
  type EntryType,
  type HardState,
  type LogIndex,
  logIndex,
  type MemberId,
  memberId,
  noIndex,
  noMember,
  noTerm,
  type SnapshotMeta,
  type Term,
  term,
} from '#raft/log/entry.js';
export type { LogReader } from '#raft/log/log-reader.js';
export type { LocalMessage, Message, PeerMessage, SnapshotMessage } from '#raft/message.js';
export { type ProposalPosition, Raft } from '#raft/raft.js';
export type { RaftConfig, ReadOnlyMode } from '#raft/raft-config.js';
export type { RaftStatus } from '#raft/raft-status.js';
export type { RaftRole, ReadState, Ready, SoftState } from '#raft/ready.js';
export { withHeldVotes } from '#raft/roles/held-votes.js';
export type { ProgressState, RaftPeerStatus } from '#raft/tracker/progress.js';
export type { BootstrapProblem, BootstrapProblemCode } from '#replica/bootstrap/bootstrap-problem.js';
export { incarnationsDiffer } from '#replica/bootstrap/incarnation.js';
export type { CompactionLimits } from '#replica/compaction.js';
export type { StorageWriterLimits } from '#replica/driver/storage-writer.js';
export type { LeadershipNotice } from '#replica/fitness/leadership-state.js';
export { type MembershipChange, MembershipRefusedError } from '#replica/members/membership-change.js';
export { UnknownPeers } from '#replica/members/unknown-peers.js';
export type { Clock, Defer } from '#replica/ports/clock.js';
export {
  type LoadedLog,
  type LogStore,
  type LogWrite,
  type SnapshotSink,
  type SnapshotSource,
  type StagedSnapshot,
  StoreError,
  type StoreErrorCode,
  type StoreIdentity,
  type StoreSpace,
} from '#replica/ports/log-store.js';
export type { MemberReport, ReportedSpace } from '#replica/ports/member-report.js';
export type { AppliedMeta, MemberInfo, Membership } from '#replica/ports/membership.js';
export type {
  Founder,
  MemberHello,
  PeerClaim,
  PeerEvent,
  PeerHandler,
  PeerNetwork,
} from '#replica/ports/peer-network.js';
export {
  type Applied,
  type LeadershipChange,
  type PeerStatus,
  ProposeError,
  type ProposeErrorCode,
  type ReplicaStatus,
  type ReplicatedLog,
} from '#replica/ports/replicated-log.js';
export type {
  ApplyPosition,
  RecordChange,
  StateMachine,
  StateRecord,
} from '#replica/ports/state-machine.js';
export { systemClock, systemDefer } from '#replica/ports/system-clock.js';
export { Replica } from '#replica/replica.js';
export type { ReplicaEvent } from '#replica/replica-event.js';
export {
  defaultReplicaLimits,
  defaultReplicaTiming,
  type ReplicaLimits,
  type ReplicaOptions,
  type ReplicaTiming,
} from '#replica/replica-options.js';
export type { LaterCommands } from '#replica/requests/command-kinds.js';
export type { ProposalLimits } from '#replica/requests/proposals.js';
export type { ReadBarrierLimits } from '#replica/requests/read-barriers.js';
export { type LevelStoreOptions, openLevelStore } from '#storage/level-store.js';
export { GrpcPeerNetwork, type GrpcPeerNetworkOptions } from '#transport/grpc-peer-network.js';
