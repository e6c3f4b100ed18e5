/** How one core is set up. Sizes may be `Infinity`, which means "no limit"; times are in ticks. */

import { RaftError } from '#raft/errors.js';
import type { LogIndex, MemberId } from '#raft/log/entry.js';

export type ReadOnlyMode = 'safe' | 'lease-based';

export type RaftConfig = {
  readonly id: MemberId;
  /**
   * Ticks without a leader before a member campaigns, 2 or more, above `heartbeatTicks`. The actual timeout is
   * drawn from [electionTicks, 2 × electionTicks − 1] at every change of role or term.
   */
  readonly electionTicks: number;
  /** Ticks between two heartbeats of a leader, 1 or more. */
  readonly heartbeatTicks: number;
  /** Ask whether an election could be won before raising the term (dissertation §9.6). */
  readonly preVote: boolean;
  /** A leader that hears no quorum for an election timeout steps down; followers in touch with one refuse to vote. */
  readonly checkQuorum: boolean;
  /**
   * Whether the driver persists and applies on its own time and acknowledges by message (`storage-append`,
   * `storage-apply` in `Ready.messages`), or in step with `ready()` and `advance()`.
   */
  readonly asyncStorageWrites: boolean;
  /**
   * `safe`: a read is confirmed by a heartbeat round. `lease-based`: answered at once; correct only while clocks drift
   * by less than the election timeout and no transfer is in flight; needs `checkQuorum`.
   */
  readonly readOnly: ReadOnlyMode;
  /** A leader that is removed or demoted becomes a follower as soon as it applies that change. */
  readonly stepDownOnRemoval: boolean;
  /** Skip the check of configuration changes when proposed. For tests only: a bad change stops every member. */
  readonly disableConfChangeValidation?: boolean;
  /** A follower drops proposals instead of forwarding them to the leader. */
  readonly disableProposalForwarding?: boolean;
  /** Encoded bytes of entries in one append message; at least one entry is always sent. */
  readonly maxAppendBytes: number;
  /** Append messages under way to one peer, 1 or more. */
  readonly maxInflightAppends: number;
  /** Data bytes under way to one peer; not below `maxAppendBytes`. */
  readonly maxInflightBytes: number;
  /** Encoded bytes of committed entries handed out and not yet acknowledged as applied; at least one entry is. */
  readonly maxCommittedBytesPerReady: number;
  /** Data bytes a leader appends beyond its commit index; over it, proposals are dropped. */
  readonly maxUncommittedBytes: number;
  /** Reads that wait for confirmation on a leader, 1 or more; over it, reads are refused. Default 65,536. */
  readonly maxPendingReads?: number;
  /** Last index that the state machine had applied when the member started; 0 on an empty one. */
  readonly applied: LogIndex;
  /** A uniform integer in [0, below): the only source of chance, used for election timeouts. */
  readonly random: (below: number) => number;
};

export const maxPendingReadsDefault = 65_536;

/** Throws `RaftError{code:'invalid-config'}`, naming the field, its value and the limit. */
export function checkRaftConfig(config: RaftConfig): void {
  integer('id', config.id, 1);
  integer('heartbeatTicks', config.heartbeatTicks, 1);
  integer('electionTicks', config.electionTicks, config.heartbeatTicks + 1);
  integer('maxInflightAppends', config.maxInflightAppends, 1);
  integer('maxPendingReads', config.maxPendingReads ?? maxPendingReadsDefault, 1);
  bytes('maxAppendBytes', config.maxAppendBytes, 0);
  bytes('maxInflightBytes', config.maxInflightBytes, Math.max(1, config.maxAppendBytes));
  bytes('maxCommittedBytesPerReady', config.maxCommittedBytesPerReady, 1);
  bytes('maxUncommittedBytes', config.maxUncommittedBytes, 0);
  if (config.readOnly === 'lease-based' && !config.checkQuorum) {
    throw new RaftError('invalid-config', 'readOnly is lease-based, which needs checkQuorum: true');
  }
}

function integer(field: string, value: number, least: number): void {
  if (!Number.isSafeInteger(value) || value < least) {
    throw new RaftError('invalid-config', `${field} is ${value}, but must be an integer of at least ${least}`);
  }
}

function bytes(field: string, value: number, least: number): void {
  if (Number.isNaN(value) || value < least) {
    throw new RaftError('invalid-config', `${field} is ${value}, but must be at least ${least} bytes, or Infinity`);
  }
}
