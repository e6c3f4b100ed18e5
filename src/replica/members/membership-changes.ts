/**
 * Membership changes in flight: the callers that wait, by the index of the configuration entry. A change in joint steps
 * is over when the joint configuration is left.
 */

import { RaftError } from '#raft/errors.js';
import type { Entry, Term } from '#raft/log/entry.js';
import type { ProposalPosition, Raft } from '#raft/raft.js';
import {
  type MembershipChange,
  MembershipRefusedError,
  membershipRefusal,
  toConfChange,
} from '#replica/members/membership-change.js';
import type { Membership } from '#replica/ports/membership.js';
import { ProposeError } from '#replica/ports/replicated-log.js';

type Waiting = {
  readonly term: Term;
  readonly resolve: (membership: Membership) => void;
  readonly reject: (error: ProposeError) => void;
};

export class MembershipChanges {
  /** By log index. The core allows one change at a time, so this stays small. */
  readonly #waiting = new Map<number, Waiting>();
  /** Applied, but in a joint configuration still: a member that leaves may not go before that ends. */
  #joint: readonly Waiting[] = [];

  /** Has a leader's core propose `change`. @throws ProposeError, MembershipRefusedError, as rejections */
  propose(change: MembershipChange, membership: Membership, raft: Raft): Promise<Membership> {
    const refusal = membershipRefusal(change, membership, raft.status());
    if (refusal !== undefined) return Promise.reject(new MembershipRefusedError(refusal));
    try {
      const position = raft.proposeConfChange(toConfChange(change, membership));
      if (position !== undefined) return this.#wait(position);
      return Promise.reject(new ProposeError('not-leader', 'leadership was lost; nothing was changed'));
    } catch (error) {
      if (!(error instanceof RaftError)) throw error;
      const { code, message } = error;
      // Leadership is passing on, which will be over soon: that says nothing about the change.
      const passing = code === 'proposal-dropped';
      return Promise.reject(passing ? new ProposeError('not-leader', message) : new MembershipRefusedError(message));
    }
  }

  #wait({ term, firstIndex }: ProposalPosition): Promise<Membership> {
    return new Promise((resolve, reject) => this.#waiting.set(firstIndex, { term, resolve, reject }));
  }

  /** `entry` was applied, and this is the membership now. */
  passed(entry: Entry, membership: Membership): void {
    this.#rejectReplaced(entry);
    if (membership.confState.votersOutgoing.length === 0) {
      for (const { resolve } of this.#joint) resolve(membership);
      this.#joint = [];
    }
    const waiting = this.#waiting.get(entry.index);
    if (waiting === undefined) return;
    this.#waiting.delete(entry.index);
    if (waiting.term !== entry.term) waiting.reject(replaced(entry));
    else if (membership.confState.votersOutgoing.length > 0) this.#joint = [...this.#joint, waiting];
    else waiting.resolve(membership);
  }

  /** Terms never fall along a log: a change that waits in an earlier term, here or further on, waits in vain. */
  #rejectReplaced(entry: Entry): void {
    for (const [index, waiting] of this.#waiting) {
      if (waiting.term >= entry.term) continue;
      this.#waiting.delete(index);
      waiting.reject(replaced(entry));
    }
  }

  /** Gives up on changes of terms up to `term`: their outcome is unknown here. */
  abandon(term: Term, error: () => ProposeError): void {
    for (const [index, waiting] of this.#waiting) {
      if (waiting.term > term) continue;
      this.#waiting.delete(index);
      waiting.reject(error());
    }
    const given = this.#joint.filter((waiting) => waiting.term <= term);
    this.#joint = this.#joint.filter((waiting) => waiting.term > term);
    for (const { reject } of given) reject(error());
  }
}

function replaced({ term }: Entry): ProposeError {
  return new ProposeError('not-leader', `the change was replaced by the leader of term ${term}`);
}
