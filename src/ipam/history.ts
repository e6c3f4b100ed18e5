/**
 * The last changes, for people: what happened when, to whom, with which subnets. Bounded: the oldest entry goes when one
 * more would be too many. What agents report of their own state is not a change of the plan and is not in it.
 */
import type { AgentId } from '#ipam/identity.js';
import { assertInvariant } from '#ipam/invariant.js';
import { historyMax } from '#ipam/limits.js';

/** One line of the history. */
export type HistoryEntry = {
  readonly revision: number;
  /** Time of day when it was proposed, ms since 1970. */
  readonly wallTime: number;
  /** The kind of the command, or a word of its own where that would not say what happened. */
  readonly what: string;
  /** The agent concerned, or the operator who asked. */
  readonly who: string;
  /** Subnets, addresses and names that were let, freed or changed. */
  readonly subjects: readonly string[];
  readonly detail: string;
};

export type HistoryQuery = {
  /** Only entries after this revision. */
  readonly after: number;
  /** Only entries before this revision. */
  readonly before?: number | undefined;
  /** At most so many, the newest; of one revision all that are asked for, or none. */
  readonly limit: number;
  readonly agentId?: AgentId | undefined;
  /** Only entries that say one of these; absent: all. */
  readonly what?: ReadonlySet<string> | undefined;
};

/** What an entry says that tells of a change of the masters. */
export const masterEntry = {
  add: 'add-member',
  promote: 'promote-member',
  remove: 'remove-member',
  replace: 'replace-member',
} as const;
const masterEntries: ReadonlySet<string> = new Set(Object.values(masterEntry));

/** Everything that an entry can say of what happened. */
export const historyWords = [
  'configure-network',
  'update-network',
  'add-overlay',
  'update-overlay',
  'remove-overlay',
  'register',
  'lose-node-ip',
  'leave',
  'release',
  'expire',
  'reserve',
  'unreserve',
  'exclude',
  'unexclude',
  'begin-adoption',
  'end-adoption',
  ...Object.values(masterEntry),
] as const;
export type HistoryWord = (typeof historyWords)[number];

type Numbered = { readonly number: number; readonly entry: HistoryEntry };

export class History {
  /** Entry n is at n modulo `historyMax`. */
  private readonly ring: HistoryEntry[] = [];
  /** Numbers of the oldest entry and of the next one. */
  private oldest = 1;
  private next = 1;

  get size(): number {
    return this.next - this.oldest;
  }

  /** Takes up the entry; `dropped` is the one that had to go for it. */
  push(entry: HistoryEntry): { readonly added: Numbered; readonly dropped: Numbered | undefined } {
    const slot = this.next % historyMax;
    const full = this.size === historyMax ? this.ring[slot] : undefined;
    const dropped = full === undefined ? undefined : { number: this.oldest, entry: full };
    if (dropped !== undefined) this.oldest += 1;
    this.ring[slot] = entry;
    this.next += 1;
    return { added: { number: this.next - 1, entry }, dropped };
  }

  /** Takes up stored entries, in any order. @throws InvariantError unless their numbers follow one another. */
  load(entries: readonly Numbered[]): void {
    const sorted = entries.toSorted((a, b) => a.number - b.number);
    this.oldest = sorted[0]?.number ?? 1;
    this.next = this.oldest;
    for (const { number, entry } of sorted) {
      assertInvariant(number === this.next && this.size < historyMax, `history entry ${number} is out of order`);
      this.ring[number % historyMax] = entry;
      this.next += 1;
    }
  }

  /** Every entry with its number, oldest first. */
  *entries(): Generator<Numbered, void, undefined> {
    for (let number = this.oldest; number < this.next; number++) {
      const entry = this.ring[number % historyMax];
      if (entry !== undefined) yield { number, entry };
    }
  }

  /** Oldest first. */
  find({ after, before, limit, agentId, what }: HistoryQuery): readonly HistoryEntry[] {
    const found: HistoryEntry[] = [];
    for (let number = this.next - 1; number >= this.oldest; number--) {
      const entry = this.ring[number % historyMax];
      if (entry === undefined || entry.revision <= after) break;
      // Who goes on before the oldest that was found would miss the rest of its revision.
      if (found.length >= limit && entry.revision !== found.at(-1)?.revision) break;
      if (before !== undefined && entry.revision >= before) continue;
      if (what !== undefined && !what.has(entry.what)) continue;
      if (agentId === undefined || concerns(entry, agentId)) found.push(entry);
    }
    return found.reverse();
  }
}

/** A master may have the name of an agent, as both may be that of their host. */
function concerns({ what, who, subjects }: HistoryEntry, agentId: AgentId): boolean {
  return !masterEntries.has(what) && (who === agentId || subjects.includes(agentId));
}
