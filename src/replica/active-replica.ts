/**
 * A running raft member, from the start of its core to its stop. Ticks, proposals and reads go to the core through the
 * driver; callers get the outcomes. `Replica` owns bootstrap and shutdown.
 */

import { asError } from '#errors/unknown-error.js';
import { type LogIndex, type MemberId, noMember } from '#raft/log/entry.js';
import type { PeerMessage } from '#raft/message.js';
import type { EmitActiveReplicaEvent } from '#replica/active-replica-event.js';
import { type ActiveReplicaStart, type Assembly, assemble } from '#replica/assembly.js';
import { rejoinRemedy } from '#replica/bootstrap/incarnation.js';
import type { RaftDriver } from '#replica/driver/raft-driver.js';
import { withRemedy } from '#replica/fatal-error.js';
import { type MembershipChange, removedText } from '#replica/members/membership-change.js';
import { movesInForce, withMoves } from '#replica/members/moved-members.js';
import { StoreError } from '#replica/ports/log-store.js';
import type { MemberReport } from '#replica/ports/member-report.js';
import type { MemberInfo, Membership } from '#replica/ports/membership.js';
import { type Applied, ProposeError, type ReplicaStatus, stoppedError } from '#replica/ports/replicated-log.js';
import type { ReplicaOptions, ReplicaTiming } from '#replica/replica-options.js';
import { replicaStatus } from '#replica/replica-status.js';
import { Ticker } from '#replica/ticker.js';

/** Write cycles to wait for durability: each takes one write, or an election timeout. */
const savedTriesMax = 20;
/** Between two looks at what followers have acknowledged, in ms. */
const acknowledgedEveryMs = 1_000;

export class ActiveReplica<Output> {
  readonly self: MemberInfo;
  readonly #options: ReplicaOptions<Output>;
  readonly #timing: ReplicaTiming;
  readonly #emit: EmitActiveReplicaEvent<Output>;
  readonly #parts: Assembly<Output>;
  readonly #ticker: Ticker;
  /** Calls off what is due once, later: a timer that is armed would keep the process from ending. */
  readonly #cancellations: (() => void)[] = [];
  #acknowledgedMs = Number.NEGATIVE_INFINITY;
  #handingOver = false;
  #leaving = false;
  #stopped = false;

  constructor(options: ReplicaOptions<Output>, start: ActiveReplicaStart, emit: EmitActiveReplicaEvent<Output>) {
    const { clock, defer } = options;
    const { self, timing } = start;
    this.self = self;
    this.#options = options;
    this.#timing = timing;
    this.#emit = emit;
    this.#parts = assemble(options, start, emit);
    this.#ticker = new Ticker(clock, defer, timing.heartbeatMs, (gapMs) =>
      this.#parts.driver.act(() => this.#tick(gapMs)),
    );
  }

  /** With the addresses where members are called. */
  get membership(): Membership {
    return withMoves(this.#recorded, this.#options.moved ?? []);
  }

  get #recorded(): Membership {
    return this.#parts.applied.membership;
  }

  /**
   * Begins to count time, and with it to take part. A sole voter campaigns immediately. So does, once the others are
   * connected, the first founder of a cluster that begins now: there is no leader to wait for.
   */
  start({ bootstrapped }: { readonly bootstrapped: boolean }): void {
    const { network, store } = this.#options;
    network.setMembership(this.self.id, this.membership);
    this.#ticker.start();
    const { voters, votersOutgoing } = this.membership.confState;
    const alone = voters.length === 1 && voters[0] === this.self.id && votersOutgoing.length === 0;
    if (alone) this.#campaign();
    else if (bootstrapped && voters[0] === this.self.id) {
      this.#later(2 * this.#timing.heartbeatMs, () => this.#campaign());
    }
    this.#parts.driver.wake();
    // Not every write is the writer's: a snapshot that comes in is written for its sender, which can't end this member.
    store.poisoned.then((error) => this.#fail(error));
    this.#watch();
  }

  /** @throws ProposeError, as a rejection */
  propose(command: Uint8Array): Promise<Applied<Output>> {
    if (this.#stopped) return Promise.reject(this.#stoppedError());
    if (!this.#parts.leadership.leads || this.#handingOver) return Promise.reject(this.#parts.handler.notLeader);
    const refusal = this.#parts.fitness.proposalRefusal() ?? this.#parts.commandKinds.refusal(command);
    if (refusal !== undefined) return Promise.reject(refusal);
    const answer = this.#parts.requests.proposals.add(command);
    // While a write is in flight its end brings the next turn, and with it one batch of all that came meanwhile.
    if (!this.#parts.writer.busy) this.#parts.driver.wake();
    return answer;
  }

  /** @throws ProposeError, as a rejection */
  readBarrier(): Promise<LogIndex> {
    if (this.#stopped) return Promise.reject(this.#stoppedError());
    if (this.#parts.leadership.leader === noMember) return Promise.reject(this.#parts.handler.notLeader);
    const answer = this.#parts.requests.reads.add();
    this.#parts.driver.wake();
    return answer;
  }

  /** Takes what a peer sent. */
  receive(message: PeerMessage): void {
    if (this.#stopped) return;
    // MsgTransferLeader and MsgReadIndex carry another member's id as `from`; that member may have been removed.
    if (message.kind !== 'transfer-leader' && message.kind !== 'read-index') this.#parts.peers.heard(message.from);
    const refusal = this.#messageRefusal(message);
    if (refusal === undefined) this.#parts.driver.receive(message);
    else this.#options.observe({ kind: 'message-refused', from: message.from, reason: refusal });
  }

  /** Why the core does not hear of it; undefined: it does. */
  #messageRefusal({ kind }: PeerMessage): string | undefined {
    if (kind === 'propose') return 'proposals are not forwarded between members';
    // It comes with the stream that brings the state, when that is complete.
    if (kind === 'snapshot') return 'a snapshot came without its state';
    return kind === 'timeout-now' ? this.#parts.fitness.takeoverRefusal() : undefined;
  }

  /** What a peer says of itself. */
  reported(from: MemberId, report: MemberReport): void {
    this.#parts.peers.reported(from, report);
  }

  receiveSnapshot(...snapshot: Parameters<RaftDriver<Output>['receiveSnapshot']>): Promise<void> {
    if (this.#stopped) return Promise.reject(this.#stoppedError());
    return this.#parts.driver.receiveSnapshot(...snapshot);
  }

  unreachable(member: MemberId): void {
    this.#parts.driver.act(() => this.#parts.raft.reportUnreachable(member));
    this.#parts.driver.wake();
  }

  /**
   * Hands leadership to `to`, or to the voter that is fittest. Returns the member that it asked; undefined if there is
   * none to ask.
   */
  transferLeadership(to?: MemberId): MemberId | undefined {
    const target = to ?? (this.#parts.leadership.leads ? this.#parts.fitness.successors()[0] : undefined);
    if (target === undefined || this.#stopped) return undefined;
    this.#parts.driver.act(() => this.#parts.raft.transferLeadership(target));
    this.#parts.driver.wake();
    return target;
  }

  get appliedIndex(): LogIndex {
    return this.#parts.applied.index;
  }

  /** Resolves when what was applied up to `index` is stored, and all it needs to be known as committed. @throws ProposeError */
  async saved(index: LogIndex): Promise<void> {
    const isSaved = () => this.#parts.tail.persisted.index >= index;
    for (let tries = 1; !isSaved(); tries++) {
      if (this.#stopped) throw this.#stoppedError();
      if (tries > savedTriesMax) throw new ProposeError('timeout', `the disk has not stored index ${index} in time`);
      this.#parts.driver.flush();
      await this.#until(isSaved);
    }
  }

  /** This member was removed, as reported by a peer or by the log. */
  removed(reason: string): void {
    if (this.#leaving || this.#stopped) return;
    this.#leaving = true;
    // Delays the shutdown so that the response to the removal can be sent from here.
    this.#later(this.#timing.electionMs, () => this.#leave(reason));
  }

  /** A peer knows that the store of this member was put back to an earlier state. */
  rewound(reason: string): void {
    this.#fail(new StoreError('amnesia', `${reason}; to rejoin, ${rejoinRemedy(this.self.name)}`));
  }

  /**
   * Another incarnation of this cluster goes on without this member, and holds what it would lease: it ends at once.
   */
  rejectedByIncarnation(reason: string): void {
    this.#leaving = true;
    this.#leave(reason);
  }

  /**
   * Asks for one change of the membership; answers once all its steps are applied and stored here: a member that left
   * may be wiped then. Leader only.
   * @throws ProposeError, MembershipRefusedError, as rejections
   */
  changeMembership(change: MembershipChange): Promise<Membership> {
    if (this.#stopped) return Promise.reject(this.#stoppedError());
    if (!this.#parts.leadership.ready || this.#handingOver) return Promise.reject(this.#parts.handler.notLeader);
    const answers: Promise<Membership>[] = [];
    this.#parts.driver.act(() =>
      answers.push(this.#parts.requests.changes.propose(change, this.#recorded, this.#parts.raft)),
    );
    this.#parts.driver.wake();
    const [answer = Promise.reject(this.#stoppedError())] = answers;
    // A leader that is left alone by the change must know of it after a crash, too: the one that left can't tell it.
    return answer.then(async (membership) => {
      this.#noteNewcomer(change, membership);
      try {
        await this.saved(this.appliedIndex);
      } catch (error) {
        // Not what `saved` says, which would mean that nothing happened.
        const message = `the change is made, but may be forgotten by this member in a crash: ${asError(error).message}`;
        throw new ProposeError('unknown-outcome', message);
      }
      return membership;
    });
  }

  #noteNewcomer(change: MembershipChange, { members }: Membership): void {
    if (change.kind !== 'add-learner' || change.commandKinds === undefined) return;
    const newcomer = members.find(({ storeId }) => storeId === change.storeId);
    if (newcomer !== undefined) this.#parts.commandKinds.answered(newcomer.id, change.commandKinds);
  }

  status(): ReplicaStatus {
    return replicaStatus({
      self: this.self,
      membership: this.membership,
      raft: this.#parts.raft.status(),
      moves: movesInForce(this.#recorded, this.#options.moved ?? []),
      applied: this.appliedIndex,
      ready: this.#parts.leadership.ready,
      writer: this.#parts.writer,
      peers: this.#parts.peers,
      space: this.#options.store.space(),
      serves: this.#options.serves?.(this.self) ?? '',
      refusal: this.#parts.leadership.leads ? this.#parts.fitness.proposalRefusal()?.message : undefined,
      ...this.#parts.handler.snapshots,
    });
  }

  /**
   * Ends this member's part, in order: hands leadership over (if `transfer`), waits for the answers of what is in
   * flight, and stores what is applied by then. Each step waits an election timeout at most.
   */
  async stop({ transfer }: { readonly transfer: boolean }): Promise<void> {
    if (transfer && this.#parts.leadership.leads && !this.#stopped) {
      this.#handingOver = true;
      // Calls that came here are handed on to the next leader, which has to be known for that.
      const handedOver = (): boolean => !this.#parts.leadership.leads && this.#parts.leadership.leader !== noMember;
      if (this.transferLeadership() !== undefined) await this.#until(handedOver);
      await this.#until(() => this.#parts.requests.proposals.inFlight === 0);
    }
    if (this.#stopped) return;
    this.#ticker.stop();
    const { appliedIndex } = this;
    const { driver, writer, upkeep, tail } = this.#parts;
    driver.flush();
    // What is applied after that need not be stored: while a leader sends more, there always is more.
    const isSaved = (): boolean => tail.persisted.index >= appliedIndex;
    await this.#until(() => isSaved() || (!writer.busy && !upkeep.unsaved));
    this.#end();
  }

  #later(delayMs: number, run: () => void): void {
    this.#cancellations.push(this.#options.clock.after(delayMs, run));
  }

  #campaign(): void {
    if (this.#parts.leadership.leader !== noMember) return;
    this.#parts.driver.act(() => this.#parts.raft.campaign());
    this.#parts.driver.wake();
  }

  #tick(gapMs: number): void {
    const paused = gapMs > this.#timing.electionMs;
    if (paused) {
      this.#options.observe({ kind: 'paused', forMs: gapMs });
      if (this.#parts.leadership.leads) this.#emit({ kind: 'leadership', notice: this.#parts.leadership.notice(true) });
    }
    this.#parts.fitness.tick();
    this.#noteAcknowledged();
    this.#parts.requests.reads.tick();
    this.#parts.driver.wake();
  }

  /** On a leader, now and then: how far each follower has stored what is committed. */
  #noteAcknowledged(): void {
    const now = this.#options.clock.now();
    if (!this.#parts.leadership.leads || now - this.#acknowledgedMs < acknowledgedEveryMs) return;
    this.#acknowledgedMs = now;
    const { progress, commit } = this.#parts.raft.status();
    for (const { id, storeId } of this.membership.members) {
      const match = id === this.self.id ? undefined : progress.get(id)?.match;
      if (match !== undefined) this.#emit({ kind: 'acknowledged', storeId, index: Math.min(match, commit) });
    }
  }

  /** Ends the member when its driver can't go on, or the membership no longer has it. */
  #watch(): void {
    const { driver, waits } = this.#parts;
    driver.failure.then((error) => this.#fail(error));
    const isOut = (): boolean => {
      const { members } = this.#recorded;
      return members.length > 0 && !members.some(({ id }) => id === this.self.id);
    };
    waits.until(() => this.#stopped || isOut()).then(() => this.removed(removedText(this.self.name)));
  }

  /** Resolves when `condition` holds after a turn, when the member has stopped, or after an election timeout. */
  #until(condition: () => boolean): Promise<void> {
    return this.#parts.waits.until(() => this.#stopped || condition(), this.#timing.electionMs);
  }

  #leave(reason: string): void {
    if (this.#stopped) return;
    this.#options.observe({ kind: 'removed', message: reason });
    this.ending(reason);
    this.#end();
    this.#emit({ kind: 'ended' });
  }

  /** Tells the peers why this member stops for good: they are asked about it when it is gone. */
  ending(reason: string): void {
    if (!this.#stopped) this.#parts.fitness.end(reason);
  }

  #fail(error: Error): void {
    if (this.#stopped) return;
    const fatal = withRemedy(error, this.self);
    this.ending(fatal.message);
    this.#end();
    this.#options.observe({ kind: 'fatal', error: fatal });
    this.#emit({ kind: 'ended' });
  }

  /** Nothing is sent or written from here on; all pending requests are rejected. */
  #end(): void {
    const { term } = this.#parts.leadership;
    this.#stopped = true;
    for (const cancel of this.#cancellations) cancel();
    this.#ticker.stop();
    this.#parts.driver.stop();
    this.#parts.requests.end(term, () => this.#stoppedError());
    this.#parts.waits.check();
  }

  #stoppedError(): ProposeError {
    return stoppedError(this.self.name);
  }
}
