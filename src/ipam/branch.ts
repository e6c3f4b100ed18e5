/**
 * Branches of the log's history. Raft keeps one history as long as its members' stores are what they wrote last. Stores
 * that were put back from a copy begin another one, which repeats indexes. So each new leader marks where it begins,
 * with a random value: a revision and its branch are of this history if the newest mark at or below that revision is
 * that branch.
 */
import { branchesMax } from '#ipam/limits.js';

/** Epochs of one base are below the next one: a log does not reach this many entries. */
export const epochStep = 2 ** 32;
/** Claims move the base at most so far, so that numbers do not run out by one claim. */
const claimedMax = 16 * epochStep;
/** Bases beyond this one are not begun: an epoch stays a safe integer. */
const epochBaseMax = 2 ** 52;

export type Branch = {
  /** Index of the command that began it. */
  readonly index: number;
  /** The epoch base at that time. */
  readonly epochBase: number;
  /** Random, 12 hex digits. */
  readonly value: string;
};

/** The branches of a plan, in ascending order of index; the newest `branchesMax`. */
export class Branches {
  readonly #all: Branch[] = [];

  get all(): readonly Branch[] {
    return this.#all;
  }

  get newest(): Branch | undefined {
    return this.#all.at(-1);
  }

  /** Takes up the branch that begins now; `dropped` is the one that had to go for it. */
  push(branch: Branch): { readonly dropped: Branch | undefined } {
    this.#all.push(branch);
    return { dropped: this.#all.length > branchesMax ? this.#all.shift() : undefined };
  }

  /** The branch that a revision is of; undefined: it is older than all that are remembered. */
  at(revision: number): Branch | undefined {
    const { newest } = this;
    if (newest === undefined || newest.index <= revision) return newest;
    return this.#all.findLast(({ index }) => index <= revision);
  }
}

/** As clients get it, and send it back. */
export function formatBranch(branch: Branch | undefined): string {
  if (branch === undefined) return '';
  return `${branch.epochBase / epochStep}.${branch.index}.${branch.value}`;
}

/** Undefined for a text that no master of this release has sent. */
export function parseBranch(text: string): Branch | undefined {
  const [, base = '', index = '', value = ''] = /^(\d{1,7})\.(\d{1,16})\.([0-9a-f]{12})$/.exec(text) ?? [];
  if (value === '') return undefined;
  return { index: Number(index), epochBase: Number(base) * epochStep, value };
}

/** The base of epochs after a proof: above every epoch that was granted here or is claimed. */
export function nextEpochBase(epochBase: number, index: number, claimedEpoch: number): number {
  const own = epochBase + index;
  const highest = Math.max(own, Math.min(claimedEpoch, own + claimedMax));
  const next = (Math.floor(highest / epochStep) + 1) * epochStep;
  return next > epochBaseMax ? epochBase : next;
}
