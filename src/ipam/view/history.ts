/**
 * The last changes, for people: time, action, agent or operator, and subnets. Two rings, each of `historyMax` entries:
 * one for what agents do by themselves, one for what operators and masters do, so that no number of registrations
 * pushes out what an operator did. Entries are numbered across both. What agents report of their own state is not a
 * change of the plan and is not in it.
 */
import type { AgentId } from '#ipam/identity.js';
import { historyMax } from '#ipam/limits.js';
import { assertInvariant } from '#ipam/plan-invariant.js';

/** One line of the history. */
export type HistoryEntry = {
  readonly revision: number;
  /** Time of day when it was proposed, ms since 1970. */
  readonly wallTime: number;
  /** The kind of the command, or a word of its own where that would not say what happened. */
  readonly what: string;
  /** The agent concerned, or the operator. */
  readonly who: string;
  /** Subnets, addresses and names that were granted, freed or changed. */
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
  /** Only entries of this time of day or later, ms since 1970. */
  readonly since?: number | undefined;
  /** Only entries before this time of day, ms since 1970. */
  readonly until?: number | undefined;
  /** Only entries of this agent or operator; without an `@`, at any address. */
  readonly who?: string | undefined;
};

/** What agents do by themselves, and what becomes of a lease that ends by itself. */
const agentsEntries: ReadonlySet<string> = new Set(['register', 'lose-node-ip', 'leave', 'return-overlays', 'expire']);

/** What an entry says that tells of a change of the masters. */
export const masterEntry = {
  add: 'add-member',
  promote: 'promote-member',
  remove: 'remove-member',
  replace: 'replace-member',
} as const;
const masterEntries: ReadonlySet<string> = new Set(Object.values(masterEntry));

/** Changes of masters, tokens and revocations, and reads of the whole plan. */
export const securityWords = [
  ...Object.values(masterEntry),
  'create-token',
  'use-token',
  'revoke-token',
  'revoke-identity',
  'unrevoke-identity',
  'save-snapshot',
] as const;
/** Everything that an entry can say of what happened. */
export const historyWords = [
  'configure-network',
  'update-network',
  'add-overlay',
  'update-overlay',
  'drain-overlay',
  'remove-overlay',
  'register',
  'lose-node-ip',
  'leave',
  'return-overlays',
  'release',
  'replace-agent',
  'expire',
  'reserve',
  'unreserve',
  'exclude',
  'unexclude',
  'begin-adoption',
  'end-adoption',
  ...securityWords,
] as const;
export type HistoryWord = (typeof historyWords)[number];

type Numbered = { readonly number: number; readonly entry: HistoryEntry };

/** Entries in ascending order of number, at most `historyMax`. */
class Ring {
  readonly #slots: Numbered[] = [];
  /** Place of the oldest entry. */
  #first = 0;

  get size(): number {
    return this.#slots.length;
  }

  /** Takes up an entry with a higher number than all before; returns the one that had to go for it. */
  push(added: Numbered): Numbered | undefined {
    if (this.#slots.length < historyMax) {
      this.#slots.push(added);
      return undefined;
    }
    const dropped = this.#slots[this.#first];
    this.#slots[this.#first] = added;
    this.#first = (this.#first + 1) % historyMax;
    return dropped;
  }

  /** The entry that is `back` before the newest one. */
  newest(back: number): Numbered | undefined {
    if (back >= this.#slots.length) return undefined;
    return this.#slots[(this.#first + this.#slots.length - 1 - back) % this.#slots.length];
  }
}

export class History {
  readonly #agents = new Ring();
  readonly #others = new Ring();
  /** Number of the next entry. */
  #next = 1;

  get size(): number {
    return this.#agents.size + this.#others.size;
  }

  /** From this revision on no entry had to go. */
  get wholeSince(): number {
    const since = [this.#agents, this.#others].map((ring) =>
      ring.size < historyMax ? 0 : (ring.newest(ring.size - 1)?.entry.revision ?? 0),
    );
    return Math.max(...since);
  }

  /** Takes up the entry; `dropped` is the one that had to go for it. */
  push(entry: HistoryEntry): { readonly added: Numbered; readonly dropped: Numbered | undefined } {
    const added = { number: this.#next, entry };
    this.#next += 1;
    return { added, dropped: this.#ringOf(entry).push(added) };
  }

  /** Takes up stored entries, in any order. @throws InvariantError for a number that is there twice, and for too many */
  load(entries: readonly Numbered[]): void {
    for (const { number, entry } of entries.toSorted((a, b) => a.number - b.number)) {
      const full = this.#ringOf(entry).size >= historyMax;
      assertInvariant(number >= this.#next && !full, `history entry ${number} is out of order`);
      this.#ringOf(entry).push({ number, entry });
      this.#next = number + 1;
    }
  }

  /** Every entry with its number, oldest first. */
  entries(): readonly Numbered[] {
    return [...this.#newestFirst()].reverse();
  }

  /** Oldest first. */
  find(query: HistoryQuery): readonly HistoryEntry[] {
    const { after, before, limit } = query;
    const found: HistoryEntry[] = [];
    for (const { entry } of this.#newestFirst()) {
      if (entry.revision <= after) break;
      // A reader that goes on before the oldest that was found would miss the rest of its revision.
      if (found.length >= limit && entry.revision !== found.at(-1)?.revision) break;
      if (before !== undefined && entry.revision >= before) continue;
      if (matches(entry, query)) found.push(entry);
    }
    return found.reverse();
  }

  #ringOf({ what }: HistoryEntry): Ring {
    return agentsEntries.has(what) ? this.#agents : this.#others;
  }

  /** Both rings as one, by descending number. */
  *#newestFirst(): Generator<Numbered, void, undefined> {
    let [ofAgents, ofOthers] = [0, 0];
    for (;;) {
      const agents = this.#agents.newest(ofAgents);
      const others = this.#others.newest(ofOthers);
      if (agents !== undefined && (others === undefined || agents.number > others.number)) {
        ofAgents += 1;
        yield agents;
      } else if (others !== undefined) {
        ofOthers += 1;
        yield others;
      } else return;
    }
  }
}

/** Times of day may go back from one entry to the next, so each entry is looked at. */
function matches(entry: HistoryEntry, { agentId, what, since, until, who }: HistoryQuery): boolean {
  if (what !== undefined && !what.has(entry.what)) return false;
  if (since !== undefined && entry.wallTime < since) return false;
  if (until !== undefined && entry.wallTime >= until) return false;
  if (who !== undefined && entry.who !== who && !entry.who.startsWith(`${who}@`)) return false;
  return agentId === undefined || concerns(entry, agentId);
}

/** A master may have the name of an agent, as both may be that of their host. */
function concerns({ what, who, subjects }: HistoryEntry, agentId: AgentId): boolean {
  return !masterEntries.has(what) && (who === agentId || subjects.includes(agentId));
}
