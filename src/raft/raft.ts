/**
 * One member's consensus core: the Raft state machine (Ongaro & Ousterhout 2014; Ongaro's dissertation), with pre-vote,
 * quorum checks, learners, joint membership changes, leadership transfer and linearizable reads.
 *
 * It owns no I/O, clock or randomness. Ticks, messages and proposals go in; a `Ready` comes out, and its driver
 * persists, sends and applies what it holds, in the order that `ready.ts` demands:
 *
 * - sync mode: `ready()` → persist `hardState`, `snapshot`, `entries` → apply `committedEntries` (`applyConfChange` for
 *   configuration changes) → send `messages` → `advance()`.
 * - async mode: `ready()` → hand `storage-append` and `storage-apply` in `messages` to the two storage threads, send
 *   the rest at once. A storage thread processes its messages in order and afterwards passes on their `responses`:
 *   those for this member with `step()`, the others to the peers. No `advance()`.
 *
 * Every method is synchronous. A `RaftError` leaves the state as it was; after an `InvariantError` the node must stop.
 */

import { type ConfChange, encodeConfChange } from '#raft/confchange/conf-change.js';
import { applyChange } from '#raft/confchange/reconfiguration.js';
import { type Core, createCore } from '#raft/core.js';
import { RaftError } from '#raft/errors.js';
import {
  type ConfState,
  type Entry,
  type LogIndex,
  logIndex,
  type MemberId,
  noIndex,
  noMember,
  noTerm,
  type Term,
} from '#raft/log/entry.js';
import type { LogReader } from '#raft/log/log-reader.js';
import type { Message } from '#raft/message.js';
import { checkRaftConfig, type RaftConfig } from '#raft/raft-config.js';
import { type RaftStatus, raftStatusOf } from '#raft/raft-status.js';
import type { Ready } from '#raft/ready.js';
import { advance, hasReady, takeReady } from '#raft/ready-builder.js';
import { confChangeRefusal } from '#raft/roles/proposal.js';
import { tick } from '#raft/roles/timers.js';
import { step, stepGuarded } from '#raft/step.js';

/** Where a leader put a proposal: `firstIndex`, `firstIndex` + 1, … in `term`. Committed only if that term is still there when applied. */
export type ProposalPosition = { readonly term: Term; readonly firstIndex: LogIndex };

export class Raft {
  readonly #core: Core;

  /**
   * Starts as a follower without a leader, from what `log` says is on stable storage. Throws `invalid-config`;
   * `InvariantError` (`amnesia`) if the hard state's commit, or `config.applied`, is beyond what is in the log.
   */
  constructor(config: RaftConfig, log: LogReader) {
    checkRaftConfig(config);
    this.#core = createCore(config, log);
  }

  /**
   * Counts one tick of time: followers may campaign, a leader sends heartbeats and checks its quorum. With `patience` a
   * follower leaves so many election timeouts, beyond its own, for others to campaign first; it votes as ever.
   */
  delay(patience = 0): void {
    tick(this.#core, patience);
  }

  /**
   * Takes a message: from a peer, from a storage thread, or from this member itself. Throws `local-message`,
   * `peer-not-found`, `malformed-message`, `proposal-dropped`: all harmless, the message is dropped.
   */
  step(message: Message): void {
    stepGuarded(this.#core, message);
  }

  /**
   * Proposes entries that hold `data`, as one unit: all are appended, side by side, or none. Returns their
   * position on a leader, undefined on a follower (they were forwarded, their fate is unknown). Throws
   * `proposal-dropped`.
   */
  propose(data: readonly Uint8Array[]): ProposalPosition | undefined {
    return this.#propose(data.map((bytes) => ({ term: noTerm, index: noIndex, type: 'normal', data: bytes })));
  }

  /**
   * Proposes a change of membership, one at a time. Returns its position on a leader, undefined on a follower
   * (forwarded). Throws `proposal-dropped`, and on a leader `conf-change-refused` if another change is under way
   * or this one can't be made; nothing is appended then.
   */
  proposeConfChange(
    change: ConfChange,
    type: 'conf-change' | 'conf-change-v2' = 'conf-change-v2',
  ): ProposalPosition | undefined {
    const data = encodeConfChange(change, type);
    const refusal = this.#core.role === 'leader' ? confChangeRefusal(this.#core, change) : undefined;
    if (refusal !== undefined) {
      throw new RaftError('conf-change-refused', `the configuration change is refused: ${refusal}`);
    }
    return this.#propose([{ term: noTerm, index: noIndex, type, data }]);
  }

  /**
   * Asks for a linearizable read, numbered `request` by the caller (a safe integer). Its answer is a `ReadState`
   * in a later Ready: once that index is applied, the read may be served. A read is lost, without notice, when
   * the leader changes or a message is lost: ask again. Throws `no-leader`, `too-many-reads`.
   */
  readIndex(request: number): void {
    if (this.#core.leader === noMember) {
      throw new RaftError('no-leader', `read ${request} can't be confirmed: no leader is known`);
    }
    this.#local({ kind: 'read-index', request });
  }

  /**
   * Hands leadership to `to` (a follower passes the wish on). The leader drops proposals until it is done or an
   * election timeout has passed. Ignored for strangers and learners; naming the leader itself calls it off.
   */
  transferLeadership(to: MemberId): void {
    step(this.#core, { kind: 'transfer-leader', from: to, to: this.#core.id, term: noTerm });
  }

  /** Campaigns now, with a pre-vote if configured. Nothing on a leader, a learner, or while a change of membership waits to be applied. */
  campaign(): void {
    this.#local({ kind: 'hup' });
  }

  /** A follower forgets its leader, so that it may vote before the lease of a leader known to be dead ends. Nothing with lease-based reads. */
  forgetLeader(): void {
    this.#local({ kind: 'forget-leader' });
  }

  /** The last message to `member` was not delivered: a leader goes back to probing it. */
  reportUnreachable(member: MemberId): void {
    step(this.#core, { kind: 'unreachable', from: member, to: this.#core.id, term: noTerm });
  }

  /** How streaming the snapshot of a `snapshot` message to `member` ended. Must be called for each one, or the peer gets no appends. */
  reportSnapshot(member: MemberId, ok: boolean): void {
    step(this.#core, { kind: 'snapshot-status', from: member, to: this.#core.id, term: noTerm, reject: !ok });
  }

  /**
   * The driver calls it when it applies a committed configuration change (see `decodeConfChange`); returns the
   * configuration from then on, which belongs into snapshots from that index on. Throws `InvariantError` if the
   * change can't be applied: the members' configurations differ.
   */
  applyConfChange(change: ConfChange): ConfState {
    return applyChange(this.#core, change);
  }

  /** Whether `ready()` would hold anything. */
  hasReady(): boolean {
    return hasReady(this.#core);
  }

  /** Takes what there is to do. In sync mode, `advance()` must follow before the next one. */
  ready(): Ready {
    return takeReady(this.#core);
  }

  /** Sync mode: all of the last Ready is persisted and applied. */
  advance(): void {
    advance(this.#core);
  }

  /** The state now, for operators and tests. */
  status(): RaftStatus {
    return raftStatusOf(this.#core);
  }

  /** Sets the current election timeout, in ticks, until the next change of role or term draws a new one. For tests. */
  setElectionTimeout(ticks: number): void {
    this.#core.electionTimeout = ticks;
  }

  #propose(entries: readonly Entry[]): ProposalPosition | undefined {
    const core = this.#core;
    const leads = core.role === 'leader';
    const firstIndex = logIndex(core.log.lastIndex + 1);
    this.#local({ kind: 'propose', entries });
    return leads ? { term: core.term, firstIndex } : undefined;
  }

  /** A message of this member to itself, past the guards. */
  #local(body: LocalBody): void {
    const { id } = this.#core;
    step(this.#core, { from: id, to: id, term: noTerm, ...body });
  }
}

type LocalBody =
  | { readonly kind: 'hup' | 'forget-leader' }
  | { readonly kind: 'read-index'; readonly request: number }
  | { readonly kind: 'propose'; readonly entries: readonly Entry[] };
