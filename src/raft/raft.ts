/**
 * One member's consensus core: the Raft state machine (Ongaro & Ousterhout 2014; Ongaro's dissertation), with
 * pre-vote, quorum checks, learners, joint membership changes, leadership transfer and linearizable reads.
 *
 * It owns no I/O, clock or randomness. Ticks, messages and proposals go in; a `Ready` comes out, and its
 * driver persists, sends and applies what it holds, in the order that `ready.ts` demands:
 *
 * - sync mode: `ready()` → persist `hardState`, `snapshot`, `entries` → apply `committedEntries`
 *   (`applyConfChange` for configuration changes) → send `messages` → `advance()`.
 * - async mode: `ready()` → hand `storage-append` and `storage-apply` in `messages` to the two storage threads,
 *   send the rest at once. A thread works its messages off in order and afterwards passes on their `responses`:
 *   those for this member with `step()`, the others to the peers. No `advance()`.
 *
 * Every method is synchronous. A `RaftError` leaves the state as it was; after an `InvariantError` the node
 * must stop.
 */

import type { ConfChange } from '#raft/conf-change.js';
import type { RaftConfig } from '#raft/config.js';
import type { ConfState, LogIndex, MemberId, Term } from '#raft/entry.js';
import { InvariantError } from '#raft/errors.js';
import type { LogReader } from '#raft/log-reader.js';
import type { Message } from '#raft/message.js';
import type { Ready } from '#raft/ready.js';
import type { RaftStatus } from '#raft/status.js';

/** Where a leader put a proposal: `firstIndex`, `firstIndex` + 1, … in `term`. Committed only if that term is still there when applied. */
export type Position = { readonly term: Term; readonly firstIndex: LogIndex };

export class Raft {
  /**
   * Starts as a follower without a leader, from what `log` says is on stable storage. Throws `invalid-config`;
   * `InvariantError` (`amnesia`) if the hard state's commit, or `config.applied`, is beyond what is in the log.
   */
  constructor(_config: RaftConfig, _log: LogReader) {}

  /** Counts one tick of time: followers may campaign, a leader sends heartbeats and checks its quorum. */
  tick(): void {
    throw unfinished();
  }

  /**
   * Takes a message: from a peer, from a storage thread, or from this member itself. Throws `local-message`,
   * `peer-not-found`, `malformed-message`, `proposal-dropped`: all harmless, the message is dropped.
   */
  step(_message: Message): void {
    throw unfinished();
  }

  /**
   * Proposes entries that hold `data`, as one unit: all are appended, side by side, or none. Returns their
   * position on a leader, undefined on a follower (they were forwarded, their fate is unknown). Throws
   * `proposal-dropped`.
   */
  propose(_data: readonly Uint8Array[]): Position | undefined {
    throw unfinished();
  }

  /**
   * Proposes a change of membership, one at a time. Returns its position on a leader, undefined on a follower
   * (forwarded). Throws `proposal-dropped`, and on a leader `conf-change-refused` if another change is under way
   * or this one can't be made; nothing is appended then.
   */
  proposeConfChange(
    _change: ConfChange,
    _type: 'conf-change' | 'conf-change-v2' = 'conf-change-v2',
  ): Position | undefined {
    throw unfinished();
  }

  /**
   * Asks for a linearizable read, numbered `request` by the caller (a safe integer). Its answer is a `ReadState`
   * in a later Ready: once that index is applied, the read may be served. A read is lost, without notice, when
   * the leader changes or a message is lost: ask again. Throws `no-leader`, `too-many-reads`.
   */
  readIndex(_request: number): void {
    throw unfinished();
  }

  /**
   * Hands leadership to `to` (a follower passes the wish on). The leader drops proposals until it is done or an
   * election timeout has passed. Ignored for strangers and learners; naming the leader itself calls it off.
   */
  transferLeadership(_to: MemberId): void {
    throw unfinished();
  }

  /** Campaigns now, with a pre-vote if configured. Nothing on a leader, a learner, or while a change of membership waits to be applied. */
  campaign(): void {
    throw unfinished();
  }

  /** A follower forgets its leader, so that it may vote before the lease of a leader known to be dead ends. Nothing with lease-based reads. */
  forgetLeader(): void {
    throw unfinished();
  }

  /** The last message to `member` was not delivered: a leader goes back to probing it. */
  reportUnreachable(_member: MemberId): void {
    throw unfinished();
  }

  /** How streaming the snapshot of a `snapshot` message to `member` ended. Must be called for each one, or the peer gets no appends. */
  reportSnapshot(_member: MemberId, _ok: boolean): void {
    throw unfinished();
  }

  /**
   * The driver calls it when it applies a committed configuration change (see `decodeConfChange`); returns the
   * configuration from then on, which belongs into snapshots from that index on. Throws `InvariantError` if the
   * change can't be applied: the members' configurations differ.
   */
  applyConfChange(_change: ConfChange): ConfState {
    throw unfinished();
  }

  /** Whether `ready()` would hold anything. */
  hasReady(): boolean {
    throw unfinished();
  }

  /** Takes what there is to do. In sync mode, `advance()` must follow before the next one. */
  ready(): Ready {
    throw unfinished();
  }

  /** Sync mode: all of the last Ready is persisted and applied. */
  advance(): void {
    throw unfinished();
  }

  /** The state now, for operators and tests. */
  status(): RaftStatus {
    throw unfinished();
  }

  /** Sets the current election timeout, in ticks, until the next change of role or term draws a new one. For tests. */
  setElectionTimeout(_ticks: number): void {
    throw unfinished();
  }
}

function unfinished(): InvariantError {
  return new InvariantError('broken', 'the core is not landed yet');
}
