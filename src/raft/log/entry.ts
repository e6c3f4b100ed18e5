/**
 * The values every part of the consensus engine speaks of: members, terms, indexes, log entries,
 * configurations and snapshots. Numbers are branded, so that a term can't be passed for an index;
 * each brand has one constructor, which checks.
 */

declare const brand: unique symbol;
type Brand<Base, Name extends string> = Base & { readonly [brand]: Name };

/** A member of the cluster: 1 … 2^53 − 1. 0 (`noMember`) stands for no member. */
export type MemberId = Brand<number, 'MemberId'>;

/** A Raft term (Raft paper §5.1): 0 … 2^53 − 1. */
export type Term = Brand<number, 'Term'>;

/** A position in the replicated log: 0 … 2^53 − 1; the first entry ever is 1. */
export type LogIndex = Brand<number, 'LogIndex'>;

export const noMember = memberId(0);
/** Sentinel address of the storage thread that persists entries and hard state. */
export const appendThread = -1 as MemberId; // Brand constructor: negative, so no member can have it.
/** Sentinel address of the storage thread that applies committed entries. */
export const applyThread = -2 as MemberId; // Brand constructor: negative, so no member can have it.

/** The term of nothing: of a local message, and of the position before the first entry. */
export const noTerm = term(0);
/** The position before the first entry. */
export const noIndex = logIndex(0);

export function memberId(value: number): MemberId {
  return safe(value, 'member id') as MemberId; // Brand constructor: checked.
}

export function term(value: number): Term {
  return safe(value, 'term') as Term; // Brand constructor: checked.
}

export function logIndex(value: number): LogIndex {
  return safe(value, 'log index') as LogIndex; // Brand constructor: checked.
}

function safe(value: number, what: string): number {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`${what} ${value} is not an integer from 0 to ${Number.MAX_SAFE_INTEGER}`);
  }
  return value;
}

/**
 * What an entry carries. `conf-change` is the single-operation form of the Raft dissertation §4.3,
 * `conf-change-v2` the general one (joint consensus, Raft paper §6). Both carry an encoded `ConfChange`.
 */
export type EntryType = 'normal' | 'conf-change' | 'conf-change-v2';

/** One entry of the replicated log. `data` is opaque to the core and never changed after creation. */
export type Entry = {
  readonly term: Term;
  readonly index: LogIndex;
  readonly type: EntryType;
  readonly data: Uint8Array;
  /** For the host, which may keep its encoding of the entry with it; the core carries it along and never looks. */
  encoded?: Uint8Array;
};

/** What must be on stable storage before a message that depends on it leaves (Raft paper, figure 2). */
export type HardState = {
  readonly term: Term;
  /** The candidate voted for in `term`, or `noMember`. */
  readonly vote: MemberId;
  readonly commit: LogIndex;
};

/**
 * The voters and the learners of a configuration. Lists hold no duplicates; `votersOutgoing` is non-empty only while
 * joint.
 */
export type ConfState = {
  readonly voters: readonly MemberId[];
  readonly votersOutgoing: readonly MemberId[];
  readonly learners: readonly MemberId[];
  readonly learnersNext: readonly MemberId[];
  readonly autoLeave: boolean;
};

/**
 * A snapshot as the core sees it: the position and the configuration it stands for. Its content travels
 * and is stored outside the core.
 */
export type SnapshotMeta = {
  readonly index: LogIndex;
  readonly term: Term;
  readonly confState: ConfState;
};
