/**
 * Applies the outputs of the core: leadership, committed entries, confirmed reads, snapshots. Answers the requests that
 * wait for them, and emits what the rest of the process learns.
 */
import { isConfChange } from '#raft/confchange/conf-change.js';
import { type Entry, type LogIndex, type MemberId, noMember, type Term } from '#raft/log/entry.js';
import type { Ready } from '#raft/ready.js';
import type { EmitActiveReplicaEvent } from '#replica/active-replica-event.js';
import type { AppliedState } from '#replica/driver/applied-state.js';
import type { SendResult } from '#replica/driver/snapshot-transfers.js';
import type { LeadershipState } from '#replica/fitness/leadership-state.js';
import { withMoves } from '#replica/members/moved-members.js';
import type { AppliedMeta, MemberInfo } from '#replica/ports/membership.js';
import { notLeaderError, type ProposeError } from '#replica/ports/replicated-log.js';
import type { ReplicaOptions } from '#replica/replica-options.js';
import type { CommandKinds } from '#replica/requests/command-kinds.js';
import type { PendingRequests } from '#replica/requests/pending-requests.js';

export type ReadyHandlerParts<Output> = {
  readonly self: MemberInfo;
  readonly options: Pick<ReplicaOptions<Output>, 'network' | 'moved' | 'observe'>;
  readonly leadership: LeadershipState;
  readonly applied: AppliedState<Output>;
  readonly commandKinds: CommandKinds;
  readonly requests: PendingRequests<Output>;
  readonly emit: EmitActiveReplicaEvent<Output>;
};

export class ReadyHandler<Output> {
  readonly #parts: ReadyHandlerParts<Output>;
  /** The leader was announced while the membership did not contain it: it joined while this member was away. */
  #leaderUnnamed = false;
  #snapshotsSent = 0;
  #snapshotsInstalled = 0;

  constructor(parts: ReadyHandlerParts<Output>) {
    this.#parts = parts;
  }

  /** Snapshots sent to peers, and taken over from them. */
  get snapshots(): { readonly snapshotsSent: number; readonly snapshotsInstalled: number } {
    return { snapshotsSent: this.#snapshotsSent, snapshotsInstalled: this.#snapshotsInstalled };
  }

  /** The error for callers that ask this member for what only a leader does. */
  get notLeader(): ProposeError {
    return notLeaderError(this.#parts.self.name, this.#leader);
  }

  /** The first part of a Ready: the leader and its term. */
  lead(ready: Pick<Ready, 'softState' | 'hardState'>): void {
    const { requests, leadership, emit } = this.#parts;
    const { changed, lost } = leadership.update(ready);
    if (!changed) return;
    if (lost !== undefined) requests.leadershipLost(lost, () => this.notLeader);
    // A read that is in flight may never be answered.
    requests.reads.restart();
    this.#leaderUnnamed = this.#leader === undefined && leadership.leader !== noMember;
    emit({ kind: 'leadership', notice: leadership.notice() });
  }

  apply(entries: readonly Entry[]): void {
    const { applied, requests } = this.#parts;
    for (const entry of entries) this.#apply(entry);
    requests.reads.applied(applied.index);
  }

  confirmRead(request: number, index: LogIndex): void {
    const { applied, requests } = this.#parts;
    requests.reads.confirmed(request, index);
    requests.reads.applied(applied.index);
  }

  /** The state of the machine is now that of a snapshot, which came from `from`. */
  restored({ index, membership }: AppliedMeta, from: MemberId): void {
    const { self, options, requests, leadership, emit } = this.#parts;
    this.#snapshotsInstalled += 1;
    requests.abandon(leadership.term, 'a snapshot replaced the log: the command may or may not have been applied');
    options.network.setMembership(self.id, withMoves(membership, options.moved ?? []));
    options.observe({ kind: 'snapshot-installed', index, from });
    emit({ kind: 'restored', index });
    this.#nameLeader();
    requests.reads.applied(index);
  }

  snapshotEnded(result: SendResult): void {
    const { observe } = this.#parts.options;
    const { kind, to, index } = result;
    switch (kind) {
      case 'sent':
        this.#snapshotsSent += 1;
        observe({ kind: 'snapshot-sent', to, index });
        return;
      case 'failed':
        observe({ kind: 'snapshot-failed', to, error: result.error });
        return;
      case 'waits':
        if (!result.again) observe({ kind: 'snapshot-waits', to });
    }
  }

  get #leader(): MemberInfo | undefined {
    const { applied, leadership } = this.#parts;
    return applied.membership.members.find(({ id }) => id === leadership.leader);
  }

  #apply(entry: Entry): void {
    const { applied: state, commandKinds, requests, emit } = this.#parts;
    const applied = state.apply(entry);
    if (applied === undefined) {
      if (isConfChange(entry.type)) this.#membershipChanged();
      this.#checkReady(entry.term);
      requests.passed(entry, state.membership);
      return;
    }
    commandKinds.applied(entry);
    this.#checkReady(entry.term);
    emit({ kind: 'applied', applied });
    requests.proposals.applied(applied, entry);
  }

  #checkReady(term: Term): void {
    const { requests, leadership, applied, emit } = this.#parts;
    if (!leadership.applied(term)) return;
    requests.time.beginOffice(applied.time);
    emit({ kind: 'leadership', notice: leadership.notice() });
  }

  #membershipChanged(): void {
    const { self, options, applied } = this.#parts;
    const { membership } = applied;
    options.network.setMembership(self.id, withMoves(membership, options.moved ?? []));
    options.observe({ kind: 'membership', membership });
    this.#nameLeader();
  }

  /** The membership has changed: callers that ask for the leader can now get its name. */
  #nameLeader(): void {
    const { leadership, emit } = this.#parts;
    if (!this.#leaderUnnamed || this.#leader === undefined) return;
    this.#leaderUnnamed = false;
    emit({ kind: 'leadership', notice: leadership.notice() });
  }
}
