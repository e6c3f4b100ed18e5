/**
 * Notes when a situation comes about in which one rule of Raft alone keeps a cluster safe. Without them a run proves
 * little, however long: `marks.ts` names those that a set of runs must have met.
 */
import type { CheckedMember, ConsensusChecks } from '#cluster-test/simulation/checks/consensus-checks.js';
import type { World } from '#cluster-test/simulation/world/world.js';
import type { ConfState } from '#raft/log/entry.js';
import type { PeerMessage, VoteResponseMessage } from '#raft/message.js';

export class RareBranches {
  readonly #world: World;
  readonly #consensus: () => ConsensusChecks;
  /** By candidate and voter: where the candidate's log ended when it asked last, before a campaign or in it. */
  readonly #asked = new Map<string, { readonly index: number; readonly term: number }>();

  /** The newest that any member has led in. */
  #term = 0;

  constructor(world: World, consensus: () => ConsensusChecks) {
    this.#world = world;
    this.#consensus = consensus;
  }

  /** A message leaves the machine `name`, after the checks have seen it. */
  sent(name: string, message: PeerMessage): void {
    const consensus = this.#consensus();
    const member = consensus.member(name);
    if (member === undefined) return;
    switch (message.kind) {
      case 'vote':
      case 'pre-vote':
        this.#asked.set(`${message.from}>${message.to}`, { index: message.index, term: message.logTerm });
        return;
      case 'vote-response':
      case 'pre-vote-response':
        this.#voted(message, member);
        return;
      case 'heartbeat':
        this.#leads(message.term, member);
        if (message.commit < consensus.committedIndex) this.#mark('told of less than is committed, since it lags');
        return;
      case 'append':
        this.#leads(message.term, member);
        this.#jointly(member);
        return;
      default:
    }
  }

  /** A message has come to the machine `name`. */
  arrived(name: string, message: PeerMessage): void {
    const durable = this.#consensus().member(name)?.durable;
    if (durable === undefined) return;
    if (message.kind === 'append') {
      const last = message.entries.at(-1);
      if (last === undefined || last.index >= durable.lastIndex || !durable.holds(last.index, last.term)) return;
      this.#mark('entries came again, and more was there behind them');
    } else if (message.kind === 'snapshot' && message.snapshot.index < (durable.hardState?.commit ?? 0)) {
      this.#mark('a snapshot came that was older than the state');
    }
  }

  /** The first word of a leader: whether it has entries whose fate is open. */
  #leads(term: number, { durable }: CheckedMember): void {
    if (term <= this.#term) return;
    this.#term = term;
    const open = durable.entries.get(this.#consensus().committedIndex + 1);
    if (open !== undefined && open.term < term) this.#mark('elected with entries that are not committed yet');
  }

  /** Where index and term of the two logs disagree about which is newer. */
  #voted({ from, to, reject }: VoteResponseMessage, { durable }: CheckedMember): void {
    const candidate = this.#asked.get(`${to}>${from}`);
    const last = durable.entries.get(durable.lastIndex);
    if (candidate === undefined || last === undefined) return;
    const longer = candidate.index > durable.lastIndex && candidate.term < last.term;
    const shorter = candidate.index < durable.lastIndex && candidate.term > last.term;
    if (reject && longer) this.#mark('a longer log of an older term got no vote');
    if (!reject && shorter) this.#mark('a shorter log of a newer term got a vote');
  }

  #jointly({ durable, confState }: CheckedMember): void {
    const { voters = [], votersOutgoing = [] } = confState() ?? {};
    if (votersOutgoing.length === 0) return;
    const last = durable.entries.get(durable.lastIndex);
    if (last === undefined) return;
    const hold = (ids: ConfState['voters']): boolean =>
      this.#consensus().majorityHolds(ids, durable.lastIndex, last.term);
    if (hold(voters) && !hold(votersOutgoing)) {
      this.#mark('in a joint configuration only the new majority had an entry');
    }
    if (!hold(voters) && hold(votersOutgoing)) {
      this.#mark('in a joint configuration only the old majority had an entry');
    }
  }

  #mark(what: string): void {
    this.#world.count(`mark: ${what}`);
  }
}
