/**
 * A member at work, from the start of its core to its stop: ticks, proposals and reads go to the core through the
 * driver, and what the core decides comes back to who asked. It leads, follows and gives way; being founded, and
 * the life before and after, are the business of `Replica`.
 */
import type { ConfChange } from '#raft/conf-change.js';
import { type Entry, type LogIndex, type MemberId, noMember, type Term } from '#raft/entry.js';
import type { PeerMessage } from '#raft/message.js';
import { Raft } from '#raft/raft.js';
import type { Ready } from '#raft/ready.js';
import type { ActiveReplicaListener } from '#replica/active-replica-listener.js';
import { AppliedState } from '#replica/applied-state.js';
import { ClusterTime } from '#replica/cluster-time.js';
import { DiskWatch, transferTarget } from '#replica/disk-watch.js';
import { withWayOut } from '#replica/fatal-error.js';
import type { LoadedLog } from '#replica/log-store.js';
import { LogTail } from '#replica/log-tail.js';
import { LogUpkeep } from '#replica/log-upkeep.js';
import type { AppliedMeta, MemberInfo, Membership } from '#replica/membership.js';
import { type MembershipChange, removedText } from '#replica/membership-change.js';
import { MembershipChanges } from '#replica/membership-changes.js';
import { type LeadershipNotice, Office } from '#replica/office.js';
import { Proposals } from '#replica/proposals.js';
import { RaftDriver, type RaftDriverHost } from '#replica/raft-driver.js';
import { raftConfig } from '#replica/raft-settings.js';
import { ReadBarriers, startRound } from '#replica/read-barriers.js';
import type { ReplicaLimits, ReplicaOptions, ReplicaTiming } from '#replica/replica-options.js';
import { replicaStatus } from '#replica/replica-status.js';
import {
  type Applied,
  notLeaderError,
  ProposeError,
  type ReplicaStatus,
  stoppedError,
} from '#replica/replicated-log.js';
import type { SendResult, SnapshotReceiver } from '#replica/snapshot-transfers.js';
import { Ticker } from '#replica/ticker.js';
import { TurnWaits } from '#replica/turn-waits.js';

export type ActiveReplicaStart = {
  readonly self: MemberInfo;
  readonly log: Pick<LoadedLog, 'hardState' | 'entries' | 'compacted'>;
  /** The stored state, already restored into the machine. */
  readonly applied: AppliedMeta;
  readonly timing: ReplicaTiming;
  readonly limits: ReplicaLimits;
};

/** Turns of the writer to wait for when something has to be on disk: each takes one write, or an election timeout. */
const savedTriesMax = 20;

export class ActiveReplica<Output> {
  readonly self: MemberInfo;
  readonly #options: ReplicaOptions<Output>;
  readonly #timing: ReplicaTiming;
  readonly #listener: ActiveReplicaListener<Output>;
  readonly #tail: LogTail;
  readonly #raft: Raft;
  readonly #driver: RaftDriver;
  readonly #applied: AppliedState<Output>;
  readonly #proposals: Proposals<Output>;
  readonly #reads: ReadBarriers;
  readonly #office: Office;
  readonly #time: ClusterTime;
  readonly #disk: DiskWatch;
  readonly #ticker: Ticker;
  readonly #changes = new MembershipChanges();
  readonly #waits: TurnWaits;
  readonly #upkeep: LogUpkeep;
  readonly #lastContactMs = new Map<MemberId, number>();
  #handingOver = false;
  #leaving = false;
  #stopped = false;
  #snapshotsSent = 0;
  #snapshotsInstalled = 0;

  constructor(options: ReplicaOptions<Output>, start: ActiveReplicaStart, listener: ActiveReplicaListener<Output>) {
    const { store, network, clock, defer, random, observe } = options;
    const { self, applied, timing, limits } = start;
    this.self = self;
    this.#options = options;
    this.#timing = timing;
    this.#listener = listener;
    const { hardState, entries, compacted } = start.log;
    this.#tail = new LogTail({ hardState, entries, compacted, applied });
    this.#raft = new Raft(raftConfig({ id: self.id, applied: applied.index, timing, limits, random }), this.#tail);
    this.#applied = new AppliedState(
      options.machine,
      {
        applied: (done, entry) => this.#onApplied(done, entry),
        passed: (entry) => this.#onPassed(entry),
        reconfigure: (change: ConfChange) => this.#raft.applyConfChange(change),
        membershipChanged: (membership) => this.#onMembership(membership),
      },
      applied,
    );
    this.#proposals = new Proposals(limits.proposals);
    this.#reads = new ReadBarriers(clock, limits.reads, (request) => startRound(this.#raft, request));
    this.#office = new Office(self.id, hardState?.term);
    this.#time = new ClusterTime(clock);
    this.#disk = new DiskWatch(timing.electionMs, observe);
    this.#ticker = new Ticker(clock, defer, timing.heartbeatMs, (gapMs) => this.#driver.act(() => this.#tick(gapMs)));
    this.#driver = new RaftDriver({
      ...{ self: self.id, raft: this.#raft, tail: this.#tail, store, network, clock, defer },
      ...{ writes: limits.writes, snapshotSendsMax: limits.snapshotSendsMax, host: this.#driverHost() },
    });
    this.#upkeep = new LogUpkeep({
      ...{ clock, limits, tail: this.#tail, writer: this.#driver.writer, applied: this.#applied },
      pinned: () => this.#driver.sender.pinned,
      activeMatches: () => this.#activeMatches(),
      stopped: () => this.#stopped,
    });
    this.#waits = new TurnWaits(clock);
  }

  get membership(): Membership {
    return this.#applied.membership;
  }

  get office(): LeadershipNotice {
    return this.#office.notice();
  }

  /**
   * Begins to count time, and with it to take part. Who is alone campaigns at once; so does, when the others are
   * connected, the first of the founders of a cluster that begins now: there is no leader to wait for.
   */
  start({ founded }: { readonly founded: boolean }): void {
    const { network, clock } = this.#options;
    network.setMembership(this.self.id, this.membership);
    this.#ticker.start();
    const { voters, votersOutgoing } = this.membership.confState;
    const alone = voters.length === 1 && voters[0] === this.self.id && votersOutgoing.length === 0;
    if (alone) this.#campaign();
    else if (founded && voters[0] === this.self.id) clock.after(2 * this.#timing.heartbeatMs, () => this.#campaign());
    this.#driver.wake();
  }

  /** @throws ProposeError, as a rejection */
  propose(command: Uint8Array): Promise<Applied<Output>> {
    if (this.#stopped) return Promise.reject(this.#stoppedError());
    if (!this.#office.leads || this.#handingOver) return Promise.reject(this.#notLeader());
    const problem = this.#options.store.spaceProblem();
    if (problem !== undefined) return Promise.reject(new ProposeError('no-space', problem));
    const answer = this.#proposals.add(command);
    // While a write is in flight its end brings the next turn, and with it one batch of all that came meanwhile.
    if (!this.#driver.writer.busy) this.#driver.wake();
    return answer;
  }

  /** @throws ProposeError, as a rejection */
  readBarrier(): Promise<LogIndex> {
    if (this.#stopped) return Promise.reject(this.#stoppedError());
    if (this.#office.leader === noMember) return Promise.reject(this.#notLeader());
    const answer = this.#reads.add();
    this.#driver.wake();
    return answer;
  }

  /** Takes what a peer sent. */
  receive(message: PeerMessage): void {
    if (this.#stopped) return;
    this.#lastContactMs.set(message.from, this.#options.clock.now());
    if (message.kind === 'propose') {
      this.#refused(message.from, 'proposals are not forwarded between members');
    } else if (message.kind === 'timeout-now' && this.#disk.hangs) {
      this.#refused(message.from, 'this member does not take over while its disk hangs');
    } else {
      this.#driver.receive(message);
    }
  }

  receiveSnapshot(...[message, meta, chunks]: Parameters<SnapshotReceiver['receive']>): Promise<void> {
    if (this.#stopped) return Promise.reject(this.#stoppedError());
    return this.#driver.receiver.receive(message, meta, chunks);
  }

  unreachable(member: MemberId): void {
    this.#driver.act(() => this.#raft.reportUnreachable(member));
    this.#driver.wake();
  }

  /** Hands leadership to `to`, or to the voter that is furthest. Returns whom it asked; undefined if there is nobody to ask. */
  transferLeadership(to?: MemberId): MemberId | undefined {
    const target = to ?? (this.#office.leads ? transferTarget(this.#raft.status(), new Set()) : undefined);
    if (target === undefined || this.#stopped) return undefined;
    this.#driver.act(() => this.#raft.transferLeadership(target));
    this.#driver.wake();
    return target;
  }

  get appliedIndex(): LogIndex {
    return this.#applied.index;
  }

  /** Resolves when what was applied up to `index` is stored, and all it needs to be known as committed. @throws ProposeError */
  async saved(index: LogIndex): Promise<void> {
    const isSaved = () => this.#tail.persisted.index >= index;
    for (let tries = 1; !isSaved(); tries++) {
      if (this.#stopped) throw this.#stoppedError();
      if (tries > savedTriesMax) throw new ProposeError('timeout', `the disk has not stored index ${index} in time`);
      this.#driver.writer.flush();
      await this.#until(isSaved);
    }
  }

  /** The cluster has this member no more, by a peer's word or the log's. */
  expelled(reason: string): void {
    if (this.#leaving) return;
    this.#leaving = true;
    // Who asked for the removal may have asked here: the answer is on its way.
    this.#options.clock.after(this.#timing.electionMs, () => this.#leave(reason));
  }

  /**
   * Asks for one change of the membership; answers once it is applied and stored here. Leader only.
   * @throws ProposeError, MembershipRefusedError, as rejections
   */
  changeMembership(change: MembershipChange): Promise<Membership> {
    if (this.#stopped) return Promise.reject(this.#stoppedError());
    if (!this.#office.ready || this.#handingOver) return Promise.reject(this.#notLeader());
    const answers: Promise<Membership>[] = [];
    this.#driver.act(() => answers.push(this.#changes.propose(change, this.membership, this.#raft)));
    this.#driver.wake();
    const [answer = Promise.reject(this.#stoppedError())] = answers;
    // A leader that is left alone by the change must know of it after a crash, too: the one that left can't tell it.
    return answer.then(async (membership) => {
      await this.saved(this.#applied.index);
      return membership;
    });
  }

  status(): ReplicaStatus {
    return replicaStatus({
      ...{ self: this.self, membership: this.membership, raft: this.#raft.status() },
      ...{ applied: this.#applied.index, ready: this.#office.ready, writer: this.#driver.writer },
      ...{ lastContactMs: this.#lastContactMs, spaceProblem: this.#options.store.spaceProblem() },
      ...{ snapshotsSent: this.#snapshotsSent, snapshotsInstalled: this.#snapshotsInstalled },
    });
  }

  /**
   * Ends this member's part, in order: hands leadership over (if `transfer`), lets what is under way come to its
   * answer, and stores what is applied. Each step waits an election timeout at most.
   */
  async stop({ transfer }: { readonly transfer: boolean }): Promise<void> {
    if (transfer && this.#office.leads && !this.#stopped) {
      this.#handingOver = true;
      // Calls that came here are handed on to the next leader, which has to be known for that.
      const handedOver = (): boolean => !this.#office.leads && this.#office.leader !== noMember;
      if (this.transferLeadership() !== undefined) await this.#until(handedOver);
      await this.#until(() => this.#proposals.underWay === 0);
    }
    if (this.#stopped) return;
    this.#ticker.stop();
    this.#driver.writer.flush();
    await this.#until(() => !this.#driver.writer.busy && !this.#upkeep.unsaved);
    this.#end(() => this.#stoppedError());
  }

  #campaign(): void {
    if (this.#office.leader !== noMember) return;
    this.#driver.act(() => this.#raft.campaign());
    this.#driver.wake();
  }

  #driverHost(): RaftDriverHost {
    return {
      beforeReady: () => this.#beforeReady(),
      leadership: (ready) => this.#onLeadership(ready),
      apply: (entries) => this.#apply(entries),
      readConfirmed: (request, index) => this.#onReadConfirmed(request, index),
      takeApplied: (commit) => this.#applied.take(commit),
      restore: (meta, from) => this.#restore(meta, from),
      snapshotEnded: (result) => this.#onSnapshotEnded(result),
      turnEnded: () => this.#onTurnEnded(),
      refused: (from, reason) => this.#refused(from, reason),
      failed: (error) => this.#fail(error),
    };
  }

  #tick(gapMs: number): void {
    const paused = gapMs > this.#timing.electionMs;
    if (paused) {
      this.#options.observe({ kind: 'paused', forMs: gapMs });
      if (this.#office.leads) this.#listener.leadership(this.#office.notice(true));
    }
    const leads = this.#office.leads;
    const { busySinceMs } = this.#driver.writer;
    const now = this.#options.clock.now();
    const target = this.#disk.check(now, busySinceMs, leads ? this.#raft.status() : undefined);
    if (target !== undefined) this.#raft.transferLeadership(target);
    // With a disk that hangs nobody campaigns: it could neither vote nor lead.
    if (leads || !this.#disk.hangs) this.#raft.tick();
    this.#reads.tick();
    this.#driver.wake();
  }

  /** Commands that came while a write was in flight are proposed together: one batch, one message per peer. */
  #beforeReady(): void {
    this.#reads.run();
    if (!this.#office.ready || this.#proposals.queued === 0 || this.#driver.writer.busy) return;
    this.#proposals.proposeTo(this.#raft, Math.max(this.#applied.time, this.#time.now()));
  }

  #onLeadership(ready: Pick<Ready, 'softState' | 'hardState'>): void {
    const { changed, lost } = this.#office.update(ready);
    if (!changed) return;
    if (lost !== undefined) this.#onOfficeLost(lost);
    this.#reads.restart();
    this.#listener.leadership(this.#office.notice());
  }

  /** What is queued was never proposed. What is under way may yet be committed by the next leader: it has a while. */
  #onOfficeLost(term: Term): void {
    this.#proposals.refuseQueued(() => this.#notLeader());
    const unknown = 'leadership was lost on the way: the command may or may not come to be applied';
    this.#options.clock.after(this.#timing.electionMs, () => this.#abandon(term, unknown));
  }

  #abandon(term: Term, reason: string): void {
    this.#proposals.abandon(term, () => new ProposeError('unknown-outcome', reason));
    this.#changes.abandon(term, () => new ProposeError('unknown-outcome', reason));
  }

  #apply(entries: readonly Entry[]): void {
    this.#applied.apply(entries);
    this.#reads.applied(this.#applied.index);
  }

  #onApplied(applied: Applied<Output>, entry: Entry): void {
    this.#checkReady(entry.term);
    this.#listener.applied(applied);
    this.#proposals.applied(applied, entry);
  }

  #onPassed(entry: Entry): void {
    this.#checkReady(entry.term);
    this.#proposals.passed(entry);
    this.#changes.passed(entry, this.membership);
  }

  #checkReady(term: Term): void {
    if (!this.#office.applied(term)) return;
    this.#time.beginOffice(this.#applied.time);
    this.#listener.leadership(this.#office.notice());
  }

  #onMembership(membership: Membership): void {
    this.#options.network.setMembership(this.self.id, membership);
    this.#options.observe({ kind: 'membership', membership });
  }

  #onReadConfirmed(request: number, index: LogIndex): void {
    this.#reads.confirmed(request, index);
    this.#reads.applied(this.#applied.index);
  }

  async #restore(meta: AppliedMeta, from: MemberId): Promise<void> {
    await this.#applied.restore(this.#options.store.records(), meta);
    this.#snapshotsInstalled += 1;
    const unknown = 'a snapshot replaced the log: the command may or may not have been applied';
    this.#abandon(this.#office.term, unknown);
    this.#options.network.setMembership(this.self.id, meta.membership);
    this.#options.observe({ kind: 'snapshot-installed', index: meta.index, from });
    this.#listener.restored(meta.index);
    this.#reads.applied(meta.index);
  }

  #onSnapshotEnded({ to, index, error }: SendResult): void {
    if (error === undefined) {
      this.#snapshotsSent += 1;
      this.#options.observe({ kind: 'snapshot-sent', to, index });
    } else {
      this.#options.observe({ kind: 'snapshot-failed', to, error });
    }
  }

  #onTurnEnded(): void {
    this.#upkeep.run();
    this.#waits.check();
    const { members } = this.membership;
    if (members.length > 0 && !members.some(({ id }) => id === this.self.id))
      this.expelled(removedText(this.self.name));
  }

  /** On a leader: how far the members are that answer. */
  #activeMatches(): readonly LogIndex[] {
    if (!this.#office.leads) return [];
    return [...this.#raft.status().progress.values()].filter(({ active }) => active).map(({ match }) => match);
  }

  /** Resolves when `condition` holds after a turn, when the member has stopped, or after an election timeout. */
  #until(condition: () => boolean): Promise<void> {
    return this.#waits.until(() => this.#stopped || condition(), this.#timing.electionMs);
  }

  #leave(reason: string): void {
    if (this.#stopped) return;
    this.#options.observe({ kind: 'removed', message: reason });
    this.#end(() => this.#stoppedError());
    this.#listener.ended();
  }

  #fail(error: Error): void {
    if (this.#stopped) return;
    this.#end(() => this.#stoppedError());
    this.#options.observe({ kind: 'fatal', error: withWayOut(error, this.self) });
    this.#listener.ended();
  }

  /** Nothing leaves and nothing is written from here on; everyone who waits is told. */
  #end(error: () => ProposeError): void {
    const { term } = this.#office;
    this.#stopped = true;
    this.#ticker.stop();
    this.#driver.stop();
    this.#proposals.refuseQueued(error);
    const unknown = 'the member stopped: the command may or may not come to be applied';
    this.#abandon(term, unknown);
    this.#reads.stop(error);
    this.#waits.check();
  }

  #refused(from: MemberId, reason: string): void {
    this.#options.observe({ kind: 'message-refused', from, reason });
  }

  #notLeader(): ProposeError {
    const leader = this.membership.members.find(({ id }) => id === this.#office.leader);
    return notLeaderError(this.self.name, leader);
  }

  #stoppedError(): ProposeError {
    return stoppedError(this.self.name);
  }
}
