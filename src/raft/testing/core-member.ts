/**
 * One member under test, or a few in a loss-free network: a core with storage in memory, driven step by step by a
 * spec. Not part of the product; it lives here so that every spec of the core drives it in the same, legal way.
 */

import { invariant } from '#errors/invariant.js';
import { type ConfChange, decodeConfChange, isConfChange } from '#raft/confchange/conf-change.js';
import { RaftError } from '#raft/errors.js';
import {
  type ConfState,
  type Entry,
  type EntryType,
  type LogIndex,
  logIndex,
  type MemberId,
  memberId,
  noIndex,
  type SnapshotMeta,
  type Term,
  term,
} from '#raft/log/entry.js';
import { MemoryLog } from '#raft/log/memory-log.js';
import type {
  Message,
  StorageAppendMessage,
  StorageApplyMessage,
  VoteMessage,
  VoteResponseMessage,
} from '#raft/message.js';
import { Raft } from '#raft/raft.js';
import type { RaftConfig } from '#raft/raft-config.js';
import type { RaftStatus } from '#raft/raft-status.js';
import type { ReadState, Ready } from '#raft/ready.js';
import { withHeldVotes } from '#raft/roles/held-votes.js';

/** Rounds of work or delivery before a spec is taken to run in circles. */
const roundsMax = 1_000;

export const defaultConfig: Omit<RaftConfig, 'id'> = {
  electionTicks: 10,
  heartbeatTicks: 1,
  preVote: false,
  checkQuorum: false,
  asyncStorageWrites: false,
  readOnly: 'safe',
  stepDownOnRemoval: false,
  maxAppendBytes: Number.POSITIVE_INFINITY,
  maxInflightAppends: 256,
  maxInflightBytes: Number.POSITIVE_INFINITY,
  maxCommittedBytesPerReady: Number.POSITIVE_INFINITY,
  maxUncommittedBytes: Number.POSITIVE_INFINITY,
  applied: noIndex,
  random: () => 0,
};

export function members(...ids: readonly number[]): readonly MemberId[] {
  return ids.map(memberId);
}

/** A configuration of voters and learners, not joint unless `more` says so. */
export function confState(voters: readonly number[], more: Partial<ConfState> = {}): ConfState {
  const empty = { votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  return { ...empty, voters: members(...voters), ...more };
}

/** `entries([1, 1, 2])` are entries 1 to 3 of these terms; `first` shifts them. */
export function entries(terms: readonly number[], first = 1, type: EntryType = 'normal'): readonly Entry[] {
  return terms.map((value, at) => ({
    term: term(value),
    index: logIndex(first + at),
    type,
    data: bytes(`e${first + at}`),
  }));
}

export function bytes(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

export type Start = Partial<Omit<RaftConfig, 'id'>> & {
  /** Configuration that the log begins with. Default: voters 1, 2, 3. */
  readonly confState?: ConfState;
  /** Where the log begins. Default: at 0. */
  readonly base?: { readonly index: number; readonly term: number };
  /** Stable entries after the base, and hard state. */
  readonly entries?: readonly Entry[];
  readonly hardState?: { readonly term: number; readonly vote?: number; readonly commit: number };
};

export class CoreMember {
  readonly id: MemberId;
  readonly log: MemoryLog;
  raft: Raft;
  /** Messages for others, in order, since the last `take`. */
  outbox: Message[] = [];
  readonly appendQueue: StorageAppendMessage[] = [];
  readonly applyQueue: StorageApplyMessage[] = [];
  readonly applied: Entry[] = [];
  readonly readStates: ReadState[] = [];
  readonly #config: RaftConfig;

  constructor(id: number, start: Start = {}) {
    const { confState: configured = confState([1, 2, 3]), base, entries: stored = [], hardState, ...config } = start;
    this.id = memberId(id);
    const at: SnapshotMeta = { index: logIndex(base?.index ?? 0), term: term(base?.term ?? 0), confState: configured };
    this.log = new MemoryLog(at);
    this.log.append(stored);
    if (hardState !== undefined) {
      const { term: ofTerm, vote = 0, commit } = hardState;
      this.log.setHardState({ term: term(ofTerm), vote: memberId(vote), commit: logIndex(commit) });
    }
    this.#config = { ...defaultConfig, applied: at.index, ...config, id: this.id };
    this.raft = new Raft(this.#config, this.log);
  }

  get status(): RaftStatus {
    return this.raft.status();
  }

  /** Takes Readys until there is none. Async mode: what they hold for the storage threads waits in the queues. */
  work(): Ready[] {
    const taken: Ready[] = [];
    while (this.raft.hasReady()) {
      invariant(taken.length < roundsMax, () => `member ${this.id} is ready without end`);
      taken.push(this.takeReady());
    }
    return taken;
  }

  /** Takes one Ready and does what it asks for. */
  takeReady(): Ready {
    const ready = this.raft.ready();
    this.readStates.push(...ready.readStates);
    if (!this.#config.asyncStorageWrites) {
      this.#store(ready);
      this.#apply(ready.committedEntries);
    }
    const { messages } = ready;
    for (const message of this.#config.asyncStorageWrites ? withHeldVotes(messages) : messages) {
      if (message.kind === 'storage-append') {
        this.appendQueue.push(message);
      } else if (message.kind === 'storage-apply') {
        this.applyQueue.push(message);
      } else {
        this.outbox.push(message);
      }
    }
    if (!this.#config.asyncStorageWrites) {
      this.raft.advance();
    }
    return ready;
  }

  /** The append thread works off its first message. */
  persist(): void {
    const message = this.appendQueue.shift();
    invariant(message !== undefined, () => 'nothing to persist');
    this.#store(message);
    this.#respond(message.responses);
  }

  /** The apply thread works off its first message. */
  apply(): void {
    const message = this.applyQueue.shift();
    invariant(message !== undefined, () => 'nothing to apply');
    this.#apply(message.entries);
    this.#respond(message.responses);
  }

  /** Works, persists and applies until nothing is left to do. */
  run(): void {
    for (let round = 0; round < roundsMax; round += 1) {
      this.work();
      if (this.appendQueue.length > 0) {
        this.persist();
      } else if (this.applyQueue.length > 0) {
        this.apply();
      } else {
        return;
      }
    }
    invariant(false, () => `member ${this.id} does not come to rest`);
  }

  #store(work: Pick<Ready, 'hardState' | 'entries' | 'snapshot'>): void {
    if (work.hardState !== undefined) {
      this.log.setHardState(work.hardState);
    }
    if (work.snapshot !== undefined) {
      this.log.install(work.snapshot);
      this.log.served = work.snapshot;
    }
    this.log.append(work.entries);
  }

  #apply(committed: readonly Entry[]): void {
    for (const entry of committed) {
      const before = this.log.served?.confState ?? confState([]);
      const now = isConfChange(entry.type) ? this.raft.applyConfChange(decodeConfChange(entry)) : before;
      this.log.served = { index: entry.index, term: entry.term, confState: now };
      this.#commitStored(entry.index);
      this.applied.push(entry);
    }
  }

  /** What is applied is stored together with a commit index that covers it, or a restart would find it ahead. */
  #commitStored(index: LogIndex): void {
    const { hardState } = this.log.initialState();
    if (hardState !== undefined && hardState.commit < index) {
      this.log.setHardState({ ...hardState, commit: index });
    }
  }

  #respond(responses: readonly Message[]): void {
    for (const response of responses) {
      if (response.to === this.id) {
        this.stepOrDrop(response);
      } else {
        this.outbox.push(response);
      }
    }
  }

  /** Takes the messages out of the outbox, or those of one kind and leaves the others. */
  take(): Message[];
  take<Kind extends Message['kind']>(kind: Kind): Extract<Message, { readonly kind: Kind }>[];
  take(kind?: Message['kind']): Message[] {
    const taken = this.outbox.filter((message) => kind === undefined || message.kind === kind);
    this.outbox = this.outbox.filter((message) => !taken.includes(message));
    return taken;
  }

  /** Steps a message and does what follows from it. */
  receive(message: Message): void {
    this.raft.step(message);
    this.run();
  }

  /** Steps a message as a driver does: one of a removed member, or a proposal in a bad moment, is dropped. */
  stepOrDrop(message: Message): void {
    try {
      this.raft.step(message);
    } catch (error) {
      if (!(error instanceof RaftError && ['peer-not-found', 'proposal-dropped'].includes(error.code))) {
        throw error;
      }
    }
  }

  ticks(count: number): void {
    for (let done = 0; done < count; done += 1) {
      this.raft.delay();
    }
  }

  /** Loses what is not stable, and starts anew from what is. */
  restart(config: Partial<RaftConfig> = {}): void {
    this.appendQueue.length = 0;
    this.applyQueue.length = 0;
    this.outbox = [];
    const applied = this.log.served?.index ?? noIndex;
    this.raft = new Raft({ ...this.#config, ...config, applied }, this.log);
  }
}

/** Members 1 to n, all voters of one cluster, with a network that loses only the messages that a spec names. */
export class CoreCluster {
  readonly members: ReadonlyMap<MemberId, CoreMember>;
  /** Messages for which it returns true are lost. */
  lose: (message: Message) => boolean = () => false;

  constructor(ids: readonly number[], start: Start = {}, given?: readonly CoreMember[]) {
    const configured = { confState: confState(ids), ...start };
    const made = given ?? ids.map((id) => new CoreMember(id, configured));
    this.members = new Map(made.map((member) => [member.id, member]));
  }

  /** Of members that differ. */
  static of(members: readonly CoreMember[]): CoreCluster {
    return new CoreCluster([], {}, members);
  }

  member(id: number): CoreMember {
    const member = this.members.get(memberId(id));
    invariant(member !== undefined, () => `there is no member ${id}`);
    return member;
  }

  /** Has all members process and delivers messages until nothing happens any more. */
  settle(): void {
    for (let round = 0; round < roundsMax; round += 1) {
      for (const member of this.members.values()) {
        member.run();
      }
      const messages = [...this.members.values()].flatMap((member) => member.take());
      if (messages.length === 0) {
        return;
      }
      for (const message of messages.filter((candidate) => !this.lose(candidate))) {
        this.members.get(message.to)?.stepOrDrop(message);
      }
    }
    invariant(false, () => 'the cluster does not come to rest');
  }

  /** Makes `id` the leader. */
  elect(id: number): CoreMember {
    const member = this.member(id);
    member.raft.campaign();
    this.settle();
    invariant(member.status.role === 'leader', () => `member ${id} was not elected`);
    return member;
  }

  /** Loses everything to and from `id` from now on. */
  isolate(id: number): void {
    this.lose = ({ from, to }) => from === id || to === id;
  }

  heal(): void {
    this.lose = () => false;
  }
}

/** A one-line configuration change: `change('add-voter', 4)`, or several pairs. */
export function confChange(
  operations: readonly (readonly [ConfChange['operations'][number]['kind'], number])[],
  transition: ConfChange['transition'] = 'auto',
): ConfChange {
  return {
    transition,
    operations: operations.map(([kind, member]) => ({ kind, member: memberId(member) })),
    context: bytes(''),
  };
}

/** Messages from one member to another, with the fields that a spec cares about. */
export type Route = { readonly from: number; readonly to: number; readonly term: number };

function envelope({ from, to, term: ofTerm }: Route): { from: MemberId; to: MemberId; term: Term } {
  return { from: memberId(from), to: memberId(to), term: term(ofTerm) };
}

export function append(
  route: Route,
  {
    after = [0, 0],
    commit = 0,
    terms = [],
  }: { after?: readonly [index: number, term: number]; commit?: number; terms?: readonly number[] } = {},
): Message {
  const [index, logTerm] = after;
  return {
    ...envelope(route),
    kind: 'append',
    index: logIndex(index),
    logTerm: term(logTerm),
    commit: logIndex(commit),
    entries: entries(terms, index + 1),
  };
}

export function accepted(route: Route, index: number): Message {
  return {
    ...envelope(route),
    kind: 'append-response',
    index: logIndex(index),
    logTerm: term(0),
    reject: false,
    rejectHint: noIndex,
  };
}

export function rejected(route: Route, index: number, hint: readonly [index: number, term: number]): Message {
  return {
    ...envelope(route),
    kind: 'append-response',
    index: logIndex(index),
    reject: true,
    rejectHint: logIndex(hint[0]),
    logTerm: term(hint[1]),
  };
}

export function heartbeat(route: Route, commit = 0, context = 0): Message {
  return { ...envelope(route), kind: 'heartbeat', commit: logIndex(commit), context };
}

export function heartbeatResponse(route: Route, context = 0): Message {
  return { ...envelope(route), kind: 'heartbeat-response', context };
}

export function voteRequest(
  kind: 'vote' | 'pre-vote',
  route: Route,
  last: readonly [index: number, term: number] = [0, 0],
  transfer = false,
): VoteMessage {
  return { ...envelope(route), kind, index: logIndex(last[0]), logTerm: term(last[1]), transfer };
}

export function voteResponse(
  kind: 'vote-response' | 'pre-vote-response',
  route: Route,
  reject = false,
): VoteResponseMessage {
  return { ...envelope(route), kind, reject };
}

export function snapshotMessage(route: Route, at: readonly [index: number, term: number], conf: ConfState): Message {
  return {
    ...envelope(route),
    kind: 'snapshot',
    snapshot: { index: logIndex(at[0]), term: term(at[1]), confState: conf },
  };
}

export function simply(kind: 'timeout-now' | 'transfer-leader' | 'unreachable', route: Route): Message {
  return { ...envelope(route), kind };
}
