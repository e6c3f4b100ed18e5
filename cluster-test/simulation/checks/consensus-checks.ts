/**
 * The invariants of Raft (paper, figure 3), held against what lies on the disks and what leaves the machines: one leader
 * per term, log matching, leader completeness, state machine safety, nothing that goes back, and no word before the
 * fsync that it promises.
 */
import type {
  DurableEntry,
  DurableListener,
  DurableState,
  Promised,
} from '#cluster-test/simulation/checks/durable-state.js';
import type { World } from '#cluster-test/simulation/world/world.js';
import type { ConfState } from '#raft/log/entry.js';
import type { PeerMessage } from '#raft/message.js';
import type { Head } from '#storage/records/head-record.js';

/** What the checks know of a member that runs. */
export type CheckedMember = {
  readonly durable: DurableState;
  /** In force as far as the member has applied; undefined before it takes part. */
  readonly confState: () => ConfState | undefined;
  /** What its process says of itself, while there is one. */
  readonly memory: () => Memory | undefined;
};

export type Memory = {
  /** The same as long as the same process tells. */
  readonly process: object;
  readonly term: number;
  readonly commitIndex: number;
  readonly appliedIndex: number;
};

type Committed = { readonly term: number; readonly sum: number; readonly inTerm: number };
type Known = { readonly sum: number; readonly previousTerm: number | undefined };

/** Entry types as stored: 0 is a normal entry. */
const normalType = 0;

export class ConsensusChecks implements DurableListener {
  readonly #world: World;
  readonly #members = new Map<string, CheckedMember>();
  readonly #leaders = new Map<number, string>();
  /** By term: what its leader knew to be committed when it began. */
  readonly #commitAtElection = new Map<number, number>();
  /** By index, then term. */
  readonly #entries = new Map<number, Map<number, Known>>();
  readonly #committed = new Map<number, Committed>();
  /** The configurations that a member had lately, newest first. */
  readonly #configurations = new Map<string, ConfState[]>();
  /** By candidate, voter and term: where the candidate's log ended. */
  readonly #asked = new Map<string, { readonly index: number; readonly term: number }>();
  /** What each member's process said last. */
  readonly #remembered = new Map<string, Memory>();
  #announced = 0;
  committedIndex = 0;
  /** Hears of each leader when it first says that it leads. */
  onLeader: (name: string) => void = () => {};

  constructor(world: World) {
    this.#world = world;
  }

  /** What is known now, for a cluster whose disks are all put back to this moment. Its members have to be added anew. */
  fork(): ConsensusChecks {
    const fork = new ConsensusChecks(this.#world);
    fork.onLeader = this.onLeader;
    fork.committedIndex = this.committedIndex;
    // What a disk has as committed may be said only later, in another configuration than it was committed in.
    fork.#announced = Math.max(this.#announced, this.committedIndex);
    for (const [term, name] of this.#leaders) fork.#leaders.set(term, name);
    for (const [term, commit] of this.#commitAtElection) fork.#commitAtElection.set(term, commit);
    for (const [index, terms] of this.#entries) fork.#entries.set(index, new Map(terms));
    for (const [index, committed] of this.#committed) fork.#committed.set(index, committed);
    return fork;
  }

  add(name: string, member: CheckedMember): void {
    this.#members.set(name, member);
  }

  member(name: string): CheckedMember | undefined {
    return this.#members.get(name);
  }

  leaderOf(term: number): string | undefined {
    return this.#leaders.get(term);
  }

  /** A machine's disk was replaced, or has lied: it begins anew. */
  forget(name: string): void {
    this.#configurations.delete(name);
  }

  entry(state: DurableState, index: number, { term, sum, type }: DurableEntry): void {
    const previous = state.termAt(index - 1);
    const terms = this.#entries.get(index) ?? new Map<number, Known>();
    this.#entries.set(index, terms);
    const known = terms.get(term);
    if (known === undefined) {
      terms.set(term, { sum, previousTerm: previous });
      return;
    }
    const same = known.sum === sum && (previous ?? known.previousTerm) === (known.previousTerm ?? previous);
    const what = () => `${state.name} holds another entry ${index}/${term} (type ${type}), or another one before it`;
    this.#world.check(same, 'log matching', what);
  }

  head(state: DurableState, before: Head | undefined): void {
    const { head, name } = state;
    if (head === undefined) return;
    if (before !== undefined && before.storeId === head.storeId) this.#checkForward(name, before, head);
    const from = Math.max(before?.storeId === head.storeId ? (before.hardState?.commit ?? 0) : 0, head.compacted.index);
    const commit = head.hardState?.commit ?? 0;
    for (let index = from + 1; index <= commit; index += 1) {
      const entry = state.entries.get(index);
      if (entry === undefined) {
        this.#world.fail('committed entries are stored', `${name} committed ${index}, which is not on its disk`);
        return;
      }
      this.#commit(name, index, entry, head.hardState?.term ?? 0);
    }
    this.#checkOneChange(state, head);
  }

  /** What a start would come up with, after a step of the disk. A vote that was given is given for the whole term. */
  promised({ name, promise }: DurableState, before: Promised): void {
    const kept =
      promise.term > before.term ||
      (promise.term === before.term && (before.vote === 0 || promise.vote === before.vote));
    const what = () => `${name} went from ${JSON.stringify(before)} to ${JSON.stringify(promise)}`;
    this.#world.check(kept, 'term, vote and commit never go back', what);
  }

  /** A message leaves the machine `name`. */
  sent(name: string, message: PeerMessage): void {
    const member = this.#members.get(name);
    if (member === undefined) return;
    if (message.kind === 'vote' || message.kind === 'vote-response') this.#checkMemory(name, member);
    const { promise } = member.durable;
    switch (message.kind) {
      case 'append':
        this.#leads(name, message.term, member);
        this.#checkOwnTerm(name, message.commit, message.term, member);
        this.#announce(name, message.commit, message.term);
        return;
      case 'heartbeat':
        this.#leads(name, message.term, member);
        this.#announce(name, message.commit, message.term);
        return;
      case 'vote':
        this.#world.check(
          promise.term >= message.term,
          'campaign before fsync',
          () => `${name} asks for votes in ${message.term}, its disk is in ${promise.term}`,
        );
        this.#asked.set(`${message.from}>${message.to} ${message.term}`, {
          index: message.index,
          term: message.logTerm,
        });
        return;
      case 'vote-response': {
        if (message.reject || promise.term > message.term) return;
        const kept = promise.term === message.term && promise.vote === message.to;
        const has = () => `its disk has term ${promise.term}, vote ${promise.vote}`;
        this.#world.check(
          kept,
          'vote before fsync',
          () => `${name} votes for ${message.to} in ${message.term}, ${has()}`,
        );
        this.#checkUpToDate(name, message, member);
        return;
      }
      case 'append-response': {
        if (message.reject || message.index === 0 || promise.term > message.term) return;
        const last = member.durable.lastIndex;
        const kept = promise.term === message.term && last >= message.index;
        const what = () =>
          `${name} acknowledges ${message.index} in ${message.term}; its disk has ${last} in ${promise.term}`;
        this.#world.check(kept, 'acknowledgement before fsync', what);
        return;
      }
      default:
    }
  }

  /** A member has applied the entry at `index`. */
  applied(name: string, index: number, term: number): void {
    this.#noteConfiguration(name);
    const known = this.#committed.get(index);
    if (known !== undefined) {
      const what = () => `${name} applies ${index}/${term}, committed was ${index}/${known.term}`;
      this.#world.check(known.term === term, 'committed never changes', what);
    }
    this.#announce(name, index, term);
  }

  /** What one process has applied, or loaded, one after the other. */
  appliedAfter(name: string, before: number, index: number): void {
    const forward = index > before || (index === 0 && before === 0);
    const what = () => `${name} applies or loads ${index} after ${before}`;
    this.#world.check(forward, 'what a process knows never goes back', what);
  }

  /** Everything committed is on a quorum of disks, and the same on all. */
  full(): void {
    for (const [name, member] of this.#members) {
      this.#checkMemory(name, member);
      const { durable } = member;
      const commit = durable.hardState?.commit ?? 0;
      for (const [index, entry] of durable.entries) {
        const committed = this.#committed.get(index);
        // What lies before the log's beginning waits to be swept, whatever it says.
        const swept = index <= (durable.head?.compacted.index ?? 0);
        if (committed === undefined || index > commit || swept) continue;
        const same = committed.term === entry.term && committed.sum === entry.sum;
        this.#world.check(same, 'committed never changes', () => `${name} holds another entry at ${index}`);
      }
    }
  }

  /** Within one process; what a start comes up with is judged by the disk. */
  #checkMemory(name: string, { memory }: CheckedMember): void {
    const now = memory();
    const before = this.#remembered.get(name);
    if (now === undefined) return;
    this.#remembered.set(name, now);
    if (before?.process !== now.process) return;
    const { term, commitIndex, appliedIndex } = now;
    const forward = term >= before.term && commitIndex >= before.commitIndex && appliedIndex >= before.appliedIndex;
    const told = (one: Memory): string => `term ${one.term}, commit ${one.commitIndex}, applied ${one.appliedIndex}`;
    this.#world.check(
      forward,
      'what a process knows never goes back',
      () => `${name} went from ${told(before)} to ${told(now)}`,
    );
  }

  #checkForward(name: string, before: Head, head: Head): void {
    const was = before.hardState;
    const is = head.hardState;
    const forward =
      was === undefined ||
      (is !== undefined &&
        is.term >= was.term &&
        is.commit >= was.commit &&
        (is.term > was.term || was.vote === 0 || is.vote === was.vote));
    const what = () => `${name} went from ${JSON.stringify(was)} to ${JSON.stringify(is)}`;
    this.#world.check(forward, 'term, vote and commit never go back', what);
    const applied = head.applied.index >= before.applied.index && head.compacted.index >= before.compacted.index;
    this.#world.check(
      applied,
      'applied never goes back',
      () => `${name}: ${before.applied.index} to ${head.applied.index}`,
    );
    const covered = head.compacted.index <= head.applied.index;
    this.#world.check(
      covered,
      'compaction behind the state',
      () => `${name}: ${head.compacted.index} > ${head.applied.index}`,
    );
  }

  #commit(name: string, index: number, { term, sum }: DurableEntry, inTerm: number): void {
    this.committedIndex = Math.max(this.committedIndex, index);
    const known = this.#committed.get(index);
    if (known === undefined) {
      this.#committed.set(index, { term, sum, inTerm });
      return;
    }
    if (inTerm < known.inTerm) this.#committed.set(index, { ...known, inTerm });
    const same = known.term === term && known.sum === sum;
    const what = () => `${name} commits ${index}/${term}, committed was ${index}/${known.term}`;
    this.#world.check(same, 'committed never changes', what);
  }

  #leads(name: string, term: number, { durable, memory }: CheckedMember): void {
    const known = this.#leaders.get(term);
    if (known !== undefined) {
      this.#world.check(known === name, 'one leader per term', () => `${known} and ${name} lead in term ${term}`);
      return;
    }
    this.#leaders.set(term, name);
    this.#commitAtElection.set(term, memory()?.commitIndex ?? 0);
    this.#world.count('elections');
    this.#world.trace('leads', term, () => name);
    this.onLeader(name);
    const campaigned = durable.promise.term >= term;
    this.#world.check(
      campaigned,
      'campaign before fsync',
      () => `${name} leads in ${term}, which its disk does not know`,
    );
    for (let index = (durable.head?.compacted.index ?? 0) + 1; index <= this.committedIndex; index += 1) {
      const committed = this.#committed.get(index);
      if (committed === undefined || committed.inTerm >= term) continue;
      if (durable.holds(index, committed.term)) continue;
      this.#world.fail('leader completeness', `${name} leads in ${term} without ${index}/${committed.term}`);
      return;
    }
  }

  /** Only entries of the leader's own term are committed by counting (paper §5.4.2). */
  #checkOwnTerm(name: string, commit: number, term: number, { durable }: CheckedMember): void {
    if (commit <= this.#announced || commit <= (this.#commitAtElection.get(term) ?? 0)) return;
    const entry = durable.entries.get(commit);
    const what = () =>
      `${name} commits ${commit}/${entry?.term} in term ${term}, with nothing of its own term behind it`;
    this.#world.check(entry === undefined || entry.term === term, 'old terms are not committed by counting', what);
  }

  /** No member votes for a candidate whose log is behind its own (paper §5.4.1). */
  #checkUpToDate(name: string, { from, to, term }: PeerMessage, { durable }: CheckedMember): void {
    const candidate = this.#asked.get(`${to}>${from} ${term}`);
    const last = durable.entries.get(durable.lastIndex);
    // What came after the vote, from the one voted for, says nothing.
    if (candidate === undefined || last === undefined || last.term >= term) return;
    const upToDate =
      candidate.term > last.term || (candidate.term === last.term && candidate.index >= durable.lastIndex);
    const what = () =>
      `${name} has ${durable.lastIndex}/${last.term}, candidate ${to} ${candidate.index}/${candidate.term}`;
    this.#world.check(upToDate, 'election restriction', what);
  }

  /** The first word of a commit index: a quorum of disks must hold it. */
  #announce(name: string, commit: number, inTerm: number): void {
    if (commit <= this.#announced) return;
    this.#noteConfiguration(name);
    const configurations = this.#configurations.get(name) ?? [];
    if (configurations.length === 0) return;
    this.#announced = commit;
    const held = configurations.some((configuration) => this.#quorumHolds(configuration, commit));
    const what = () => `${name} says in term ${inTerm} that ${commit} is committed; no quorum of disks holds it`;
    this.#world.check(held, 'commit before a quorum has it', what);
  }

  #quorumHolds({ voters, votersOutgoing }: ConfState, index: number): boolean {
    const terms = new Set<number>();
    for (const { durable } of this.#members.values()) {
      const term = durable.entries.get(index)?.term;
      if (term !== undefined) terms.add(term);
    }
    if (terms.size === 0) terms.add(-1);
    const majority = (ids: readonly number[], term: number): boolean => this.majorityHolds(ids, index, term);
    return [...terms].some((term) => majority(voters, term) && majority(votersOutgoing, term));
  }

  /** Whether the disks of most of these members hold the entry; true for no members. */
  majorityHolds(ids: readonly number[], index: number, term: number): boolean {
    if (ids.length === 0) return true;
    let held = 0;
    for (const { durable } of this.#members.values()) {
      const { head } = durable;
      if (head?.memberId !== undefined && ids.includes(head.memberId) && durable.holds(index, term)) held += 1;
    }
    return held > ids.length / 2;
  }

  #noteConfiguration(name: string): void {
    const now = this.#members.get(name)?.confState();
    if (now === undefined) return;
    const known = this.#configurations.get(name) ?? [];
    if (known[0] === now) return;
    this.#configurations.set(name, [now, ...known].slice(0, 3));
  }

  /** A leader has one change of membership under way at most. */
  #checkOneChange(state: DurableState, head: Head): void {
    const commit = head.hardState?.commit ?? 0;
    let changes = 0;
    for (let index = commit + 1; index <= head.lastIndex; index += 1) {
      const entry = state.entries.get(index);
      if (entry === undefined || entry.type === normalType || this.#leaders.get(entry.term) !== state.name) continue;
      changes += 1;
    }
    const what = () => `${state.name} has ${changes} changes of membership under way after ${commit}`;
    this.#world.check(changes <= 1, 'one change at a time', what);
  }
}
