/**
 * Client requests pending on this member: commands, changes of the membership, reads. Each caller gets exactly one
 * answer, also when leadership or the member ends: what concerns several kinds of requests is here.
 */
import type { Entry, Term } from '#raft/log/entry.js';
import type { Raft } from '#raft/raft.js';
import { MembershipChanges } from '#replica/members/membership-changes.js';
import type { Clock } from '#replica/ports/clock.js';
import type { Membership } from '#replica/ports/membership.js';
import { ProposeError } from '#replica/ports/replicated-log.js';
import type { ReplicaLimits } from '#replica/replica-options.js';
import { ClusterTime } from '#replica/requests/cluster-time.js';
import { Proposals } from '#replica/requests/proposals.js';
import { ReadBarriers } from '#replica/requests/read-barriers.js';

export type PendingRequestsParts = {
  readonly raft: Pick<Raft, 'readIndex'>;
  readonly clock: Clock;
  readonly limits: Pick<ReplicaLimits, 'proposals' | 'reads'>;
  /** A whole number in [0, below). */
  readonly random: (below: number) => number;
  /** How long what is in flight may still be committed by the next leader, in ms. */
  readonly electionMs: number;
};

export class PendingRequests<Output> {
  readonly proposals: Proposals<Output>;
  readonly changes = new MembershipChanges();
  readonly reads: ReadBarriers;
  /** Of the commands that this member proposes. */
  readonly time: ClusterTime;
  readonly #clock: Clock;
  readonly #electionMs: number;
  /** Timers that give up on what was in flight when leadership was lost. */
  readonly #lost = new Set<() => void>();

  constructor({ raft, clock, limits, random, electionMs }: PendingRequestsParts) {
    this.#clock = clock;
    this.#electionMs = electionMs;
    this.proposals = new Proposals(limits.proposals);
    this.reads = new ReadBarriers(raft, clock, limits.reads, random);
    this.time = new ClusterTime(clock);
  }

  /** What is queued was never proposed. What is in flight may yet be committed by the next leader: it has a while. */
  leadershipLost(term: Term, notLeader: () => ProposeError): void {
    this.proposals.refuseQueued(notLeader);
    const unknown = 'leadership was lost on the way: the command may or may not come to be applied';
    const cancel = this.#clock.after(this.#electionMs, () => {
      this.#lost.delete(cancel);
      this.abandon(term, unknown);
    });
    this.#lost.add(cancel);
  }

  /** An entry without a command was applied, and this is the membership now. */
  passed(entry: Entry, membership: Membership): void {
    this.proposals.passed(entry);
    this.changes.passed(entry, membership);
  }

  /** Gives up on what was proposed in terms up to `term`: its outcome is unknown here. */
  abandon(term: Term, reason: string): void {
    const error = (): ProposeError => new ProposeError('unknown-outcome', reason);
    this.proposals.abandon(term, error);
    this.changes.abandon(term, error);
  }

  /** The member stops: what was proposed in `term` or before has an unknown outcome, the rest gets `error`. */
  end(term: Term, error: () => ProposeError): void {
    // A timer that is armed would keep the process from ending.
    for (const cancel of this.#lost) cancel();
    this.#lost.clear();
    this.proposals.refuseQueued(error);
    this.abandon(term, 'the member stopped: the command may or may not come to be applied');
    this.reads.stop(error);
  }
}
