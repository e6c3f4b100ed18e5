/**
 * The target when a leader has to hand over: a voter that answers, preferably one whose disk has room, then one that
 * has more of the log. One that does not take over within an election timeout is followed by the next.
 */
import type { MemberId } from '#raft/log/entry.js';
import type { RaftStatus } from '#raft/raft-status.js';

/** What is known of members beside the log. */
export type Standing = {
  /** It was heard of within an election timeout. */
  readonly answers: (member: MemberId) => boolean;
  /** Its disk has no room. */
  readonly scarce: (member: MemberId) => boolean;
};

/**
 * The voters besides the leader that answer, best first. Whether they do is not the core's `active` to tell: that is
 * forgotten for all at once whenever the core has counted its quorum, and true again only with their next answer.
 */
export function successors({ id, progress }: RaftStatus, { answers, scarce }: Standing): readonly MemberId[] {
  return [...progress]
    .filter(([member, peer]) => member !== id && !peer.learner && answers(member))
    .map(([member, { match }]) => ({ member, match, scarce: scarce(member) }))
    .sort((one, other) => Number(one.scarce) - Number(other.scarce) || other.match - one.match)
    .map(({ member }) => member);
}

export class Handover {
  readonly #electionMs: number;
  /** Asked already, without success. */
  readonly #tried = new Set<MemberId>();
  #lastTryMs: number | undefined;

  constructor(electionMs: number) {
    this.#electionMs = electionMs;
  }

  /**
   * The member of `able`, best first, to hand over to now; undefined: there is none, or one was asked and may still
   * take over.
   */
  next(now: number, able: readonly MemberId[]): MemberId | undefined {
    if (this.#lastTryMs !== undefined && now - this.#lastTryMs < this.#electionMs) return undefined;
    if (able.every((member) => this.#tried.has(member))) this.#tried.clear();
    const target = able.find((member) => !this.#tried.has(member));
    if (target === undefined) return undefined;
    this.#tried.add(target);
    this.#lastTryMs = now;
    return target;
  }

  /** There is no reason any more: the next one starts afresh. */
  reset(): void {
    this.#tried.clear();
    this.#lastTryMs = undefined;
  }
}
