/**
 * The current leader and term, and whether this member is a leader that may serve: the core's soft state, joined with
 * its term.
 */
import { type MemberId, noMember, type Term, term } from '#raft/log/entry.js';
import type { RaftRole, Ready } from '#raft/ready.js';
import type { LeadershipChange } from '#replica/ports/replicated-log.js';

export type LeadershipNotice = LeadershipChange & { readonly ready: boolean; readonly paused: boolean };

export class LeadershipState {
  readonly #self: MemberId;
  #term: Term;
  #role: RaftRole = 'follower';
  #leader: MemberId = noMember;
  #ready = false;

  constructor(self: MemberId, initial: Term | undefined) {
    this.#self = self;
    this.#term = initial ?? term(0);
  }

  get term(): Term {
    return this.#term;
  }

  get role(): RaftRole {
    return this.#role;
  }

  /** `noMember` if unknown. */
  get leader(): MemberId {
    return this.#leader;
  }

  get leads(): boolean {
    return this.#role === 'leader';
  }

  /** Leads, and an entry of this term is applied: everything committed before it is known here. */
  get ready(): boolean {
    return this.#ready;
  }

  /** Takes in what a Ready says. Returns the term in which this member led until now, if it no longer does. */
  update({ softState, hardState }: Pick<Ready, 'softState' | 'hardState'>): {
    readonly changed: boolean;
    readonly lost: Term | undefined;
  } {
    const before = { term: this.#term, role: this.#role, leader: this.#leader };
    this.#term = hardState?.term ?? this.#term;
    this.#role = softState?.role ?? this.#role;
    this.#leader = softState?.leader ?? this.#leader;
    const sameTerm = before.term === this.#term;
    const lost = before.role === 'leader' && !(this.leads && sameTerm) ? before.term : undefined;
    if (lost !== undefined) this.#ready = false;
    const changed = before.leader !== this.#leader || lost !== undefined || (this.leads && before.role !== 'leader');
    return { changed: changed || !sameTerm, lost };
  }

  /** An entry of `entryTerm` was applied. True if that makes this leader ready. */
  applied(entryTerm: Term): boolean {
    if (this.#ready || !this.leads || entryTerm !== this.#term) return false;
    this.#ready = true;
    return true;
  }

  notice(paused = false): LeadershipNotice {
    const leader = this.#leader === noMember ? undefined : this.#leader;
    return { leader, term: this.#term, isSelf: leader === this.#self, ready: this.#ready, paused };
  }
}
