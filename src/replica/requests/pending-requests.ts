/**
 * Client requests pending on this member: commands, changes of the membership, reads. What is asked goes to the core in
 * batches, and each caller gets exactly one answer, also when leadership or the member ends.
 */
import type { Entry, LogIndex, Term } from '#raft/log/entry.js';
import type { Raft } from '#raft/raft.js';
import type { MembershipChange } from '#replica/members/membership-change.js';
import { MembershipChanges } from '#replica/members/membership-changes.js';
import type { Clock } from '#replica/ports/clock.js';
import type { Membership } from '#replica/ports/membership.js';
import { type Applied, ProposeError } from '#replica/ports/replicated-log.js';
import type { ReplicaLimits } from '#replica/replica-options.js';
import { ClusterTime } from '#replica/requests/cluster-time.js';
import { Proposals } from '#replica/requests/proposals.js';
import { ReadBarriers, startRound } from '#replica/requests/read-barriers.js';

export type PendingRequestsParts = {
  readonly raft: Raft;
  readonly clock: Clock;
  readonly limits: Pick<ReplicaLimits, 'proposals' | 'reads'>;
  /** A whole number in [0, below). */
  readonly random: (below: number) => number;
  /** How long what is under way may still be committed by the next leader, in ms. */
  readonly electionMs: number;
};

export class PendingRequests<Output> {
  readonly #raft: Raft;
  readonly #clock: Clock;
  readonly #electionMs: number;
  readonly #proposals: Proposals<Output>;
  readonly #changes = new MembershipChanges();
  readonly #reads: ReadBarriers;
  readonly #time: ClusterTime;
  /** Timers that give up on what a lost office left under way. */
  readonly #lost = new Set<() => void>();

  constructor({ raft, clock, limits, random, electionMs }: PendingRequestsParts) {
    this.#raft = raft;
    this.#clock = clock;
    this.#electionMs = electionMs;
    this.#proposals = new Proposals(limits.proposals);
    this.#reads = new ReadBarriers(clock, limits.reads, random, (request) => startRound(raft, request));
    this.#time = new ClusterTime(clock);
  }

  /** Commands proposed and not yet answered. */
  get inFlight(): number {
    return this.#proposals.inFlight;
  }

  /** @throws ProposeError, as a rejection */
  command(command: Uint8Array): Promise<Applied<Output>> {
    return this.#proposals.add(command);
  }

  /** @throws ProposeError, as a rejection */
  read(): Promise<LogIndex> {
    return this.#reads.add();
  }

  /** @throws ProposeError, MembershipRefusedError, as rejections */
  change(change: MembershipChange, membership: Membership): Promise<Membership> {
    return this.#changes.propose(change, membership, this.#raft);
  }

  /** Has the core take reads that wait. */
  runReads(): void {
    this.#reads.run();
  }

  /** Has a leader's core take the next batch of commands; `appliedTime` is the cluster time of the last one applied. */
  proposeQueued(appliedTime: number): void {
    if (this.#proposals.queued === 0) return;
    this.#proposals.proposeTo(this.#raft, Math.max(appliedTime, this.#time.now()));
  }

  tick(): void {
    this.#reads.tick();
  }

  /** This leader may serve from now on; `appliedTime` is the cluster time of what is applied. */
  officeBegins(appliedTime: number): void {
    this.#time.beginOffice(appliedTime);
  }

  /** What is queued was never proposed. What is under way may yet be committed by the next leader: it has a while. */
  officeLost(term: Term, notLeader: () => ProposeError): void {
    this.#proposals.refuseQueued(notLeader);
    const unknown = 'leadership was lost on the way: the command may or may not come to be applied';
    const cancel = this.#clock.after(this.#electionMs, () => {
      this.#lost.delete(cancel);
      this.abandon(term, unknown);
    });
    this.#lost.add(cancel);
  }

  /** Another leader, or none: a read that is under way may never be answered. */
  leaderChanged(): void {
    this.#reads.restart();
  }

  /** A command was applied. */
  applied(applied: Applied<Output>, entry: Entry): void {
    this.#proposals.applied(applied, entry);
  }

  /** An entry without a command was applied, and this is the membership now. */
  passed(entry: Entry, membership: Membership): void {
    this.#proposals.passed(entry);
    this.#changes.passed(entry, membership);
  }

  /** The core's answer: the read may be served once `index` is applied. */
  readConfirmed(request: number, index: LogIndex): void {
    this.#reads.confirmed(request, index);
  }

  /** Everything up to `index` is applied. */
  appliedTo(index: LogIndex): void {
    this.#reads.applied(index);
  }

  /** Gives up on what was proposed in terms up to `term`: its outcome is unknown here. */
  abandon(term: Term, reason: string): void {
    const error = (): ProposeError => new ProposeError('unknown-outcome', reason);
    this.#proposals.abandon(term, error);
    this.#changes.abandon(term, error);
  }

  /** The member stops: what was proposed in `term` or before has an unknown outcome, the rest gets `error`. */
  end(term: Term, error: () => ProposeError): void {
    // A timer that is armed would keep the process from ending.
    for (const cancel of this.#lost) cancel();
    this.#lost.clear();
    this.#proposals.refuseQueued(error);
    this.abandon(term, 'the member stopped: the command may or may not come to be applied');
    this.#reads.stop(error);
  }
}
