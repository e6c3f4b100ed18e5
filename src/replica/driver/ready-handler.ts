/**
 * Applies the outputs of the core: leadership, commits, confirmed reads, membership, snapshots. Answers the requests
 * that wait for it, and calls the listeners.
 */
import { type Entry, type LogIndex, type MemberId, noMember, type Term } from '#raft/log/entry.js';
import type { Raft } from '#raft/raft.js';
import type { Ready } from '#raft/ready.js';
import type { ActiveReplicaListener } from '#replica/active-replica-listener.js';
import { AppliedState } from '#replica/driver/applied-state.js';
import type { RaftDriverHost } from '#replica/driver/raft-driver.js';
import type { SendResult } from '#replica/driver/snapshot-transfers.js';
import type { AppliedChanges } from '#replica/driver/storage-writer.js';
import type { LeadershipState } from '#replica/fitness/leadership-state.js';
import { withMoves } from '#replica/members/moved-members.js';
import type { AppliedMeta, MemberInfo, Membership } from '#replica/ports/membership.js';
import { type Applied, notLeaderError, type ProposeError } from '#replica/ports/replicated-log.js';
import type { ReplicaOptions } from '#replica/replica-options.js';
import type { CommandKinds } from '#replica/requests/command-kinds.js';
import type { PendingRequests } from '#replica/requests/pending-requests.js';

export type ReadyHandlerParts<Output> = {
  readonly self: MemberInfo;
  readonly options: ReplicaOptions<Output>;
  readonly raft: Raft;
  readonly requests: PendingRequests<Output>;
  readonly office: LeadershipState;
  readonly commandKinds: CommandKinds;
  readonly listener: ActiveReplicaListener<Output>;
  /** The stored state, already restored into the machine. */
  readonly start: AppliedMeta;
  /** Whether a storage write is in flight. */
  readonly writing: () => boolean;
  readonly turnEnded: () => void;
  readonly failed: (error: Error) => void;
};

export class ReadyHandler<Output> implements RaftDriverHost {
  readonly applied: AppliedState<Output>;
  readonly #parts: ReadyHandlerParts<Output>;
  /** The leader was announced while the membership did not contain it: it joined while this member was away. */
  #leaderUnnamed = false;
  #snapshotsSent = 0;
  #snapshotsInstalled = 0;

  constructor(parts: ReadyHandlerParts<Output>) {
    this.#parts = parts;
    const host = {
      applied: (done: Applied<Output>, entry: Entry) => this.#onApplied(done, entry),
      passed: (entry: Entry) => this.#onPassed(entry),
      reconfigure: parts.raft.applyConfChange.bind(parts.raft),
      membershipChanged: (membership: Membership) => this.#onMembership(membership),
    };
    this.applied = new AppliedState(parts.options.machine, host, parts.start);
  }

  /** Snapshots sent to peers, and taken over from them. */
  get snapshots(): { readonly snapshotsSent: number; readonly snapshotsInstalled: number } {
    return { snapshotsSent: this.#snapshotsSent, snapshotsInstalled: this.#snapshotsInstalled };
  }

  /** Commands that came while a write was in flight are proposed together: one batch, one message per peer. */
  beforeReady(): void {
    const { requests, office, writing } = this.#parts;
    requests.runReads();
    if (office.ready && !writing()) requests.proposeQueued(this.applied.time);
  }

  leadership(ready: Pick<Ready, 'softState' | 'hardState'>): void {
    const { requests, office, listener } = this.#parts;
    const { changed, lost } = office.update(ready);
    if (!changed) return;
    if (lost !== undefined) requests.officeLost(lost, () => this.notLeader());
    requests.leaderChanged();
    this.#leaderUnnamed = this.#leader === undefined && office.leader !== noMember;
    listener.leadership(office.notice());
  }

  apply(entries: readonly Entry[]): void {
    this.applied.apply(entries);
    this.#parts.requests.appliedTo(this.applied.index);
  }

  takeApplied(commit: LogIndex): AppliedChanges | undefined {
    return this.applied.take(commit);
  }

  readConfirmed(request: number, index: LogIndex): void {
    this.#parts.requests.readConfirmed(request, index);
    this.#parts.requests.appliedTo(this.applied.index);
  }

  async restore(meta: AppliedMeta, from: MemberId): Promise<void> {
    const { self, options, requests, office, listener } = this.#parts;
    await this.applied.restore(options.store.records(), meta);
    this.#snapshotsInstalled += 1;
    requests.abandon(office.term, 'a snapshot replaced the log: the command may or may not have been applied');
    options.network.setMembership(self.id, withMoves(meta.membership, options.moved ?? []));
    options.observe({ kind: 'snapshot-installed', index: meta.index, from });
    listener.restored(meta.index);
    this.#nameLeader();
    requests.appliedTo(meta.index);
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

  turnEnded(): void {
    this.#parts.turnEnded();
  }

  refused(from: MemberId, reason: string): void {
    this.#parts.options.observe({ kind: 'message-refused', from, reason });
  }

  failed(error: Error): void {
    this.#parts.failed(error);
  }

  notLeader(): ProposeError {
    return notLeaderError(this.#parts.self.name, this.#leader);
  }

  get #leader(): MemberInfo | undefined {
    return this.applied.membership.members.find(({ id }) => id === this.#parts.office.leader);
  }

  #onApplied(applied: Applied<Output>, entry: Entry): void {
    this.#parts.commandKinds.applied(entry);
    this.#checkReady(entry.term);
    this.#parts.listener.applied(applied);
    this.#parts.requests.applied(applied, entry);
  }

  #onPassed(entry: Entry): void {
    this.#checkReady(entry.term);
    this.#parts.requests.passed(entry, this.applied.membership);
  }

  #checkReady(term: Term): void {
    const { requests, office, listener } = this.#parts;
    if (!office.applied(term)) return;
    requests.officeBegins(this.applied.time);
    listener.leadership(office.notice());
  }

  #onMembership(membership: Membership): void {
    const { self, options } = this.#parts;
    options.network.setMembership(self.id, withMoves(membership, options.moved ?? []));
    options.observe({ kind: 'membership', membership });
    this.#nameLeader();
  }

  /** The membership has changed: callers that ask for the leader can now get its name. */
  #nameLeader(): void {
    const { office, listener } = this.#parts;
    if (!this.#leaderUnnamed || this.#leader === undefined) return;
    this.#leaderUnnamed = false;
    listener.leadership(office.notice());
  }
}
