/**
 * Finds a store that was put back to an earlier state: a data directory from a copy, a disk from a snapshot. Such a store
 * is whole, so its own checks pass, but its member has acknowledged entries or votes that it no longer knows. Peers know
 * better. A store counts its starts; each member keeps what it has learned of its peers' stores, on its own disk, and
 * compares a store with it whenever that store begins a new session.
 *
 * A store that went back behind everything that a running peer has seen of it is found. One whose peers saw nothing of what
 * it lost, or went back with it, is not.
 */
import type { PeerMessage } from '#raft/message.js';
import type { StoreClaim, StoreFact, StoreSession } from '#replica/ports/store-claim.js';

/** Messages that leave a member only after its term is stored. Heartbeats' answers and preparatory votes do not wait for that. */
const durableKinds: ReadonlySet<PeerMessage['kind']> = new Set([
  'append',
  'append-response',
  'heartbeat',
  'snapshot',
  'vote',
  'vote-response',
]);

/** Whether the sender of this message has stored the term of it. */
export function makesTermDurable({ kind }: PeerMessage): boolean {
  return durableKinds.has(kind);
}

/** Stores that are remembered: those of the members, and of members that were replaced lately. */
export const storeFactsMax = 16;

export class StoreFacts {
  /** In the order in which they changed. */
  readonly #facts: Map<string, StoreFact>;
  readonly #changed: (facts: ReadonlyMap<string, StoreFact>) => void;

  /** `changed` is called with all facts after each change. */
  constructor(
    known: ReadonlyMap<string, StoreFact>,
    changed: (facts: ReadonlyMap<string, StoreFact>) => void = () => {},
  ) {
    this.#facts = new Map(known);
    this.#changed = changed;
  }

  /**
   * Compares a store with what is known of it, and remembers a session that is new. Returns how the store contradicts what
   * is known; undefined: it does not.
   */
  meet({ storeId, session, term, lastIndex }: StoreClaim): string | undefined {
    const [nonce] = session.nonces;
    if (session.starts === 0 || nonce === undefined) return undefined;
    const fact = this.#facts.get(storeId);
    if (fact !== undefined && fact.starts === session.starts && fact.nonce === nonce) return undefined;
    const contradiction = fact === undefined ? undefined : contradictionOf(fact, session, term, lastIndex);
    if (contradiction !== undefined) return contradiction;
    this.#set(storeId, { starts: session.starts, nonce, term, index: fact?.index ?? 0 });
    return undefined;
  }

  /** The store has made this term durable. */
  reachedTerm(storeId: string, term: number): void {
    const fact = this.#facts.get(storeId);
    if (fact !== undefined && term > fact.term) this.#set(storeId, { ...fact, term });
  }

  /** The store has acknowledged the log up to `index`, and the log is committed up to there. */
  acknowledged(storeId: string, index: number): void {
    const fact = this.#facts.get(storeId);
    if (fact !== undefined && index > fact.index) this.#set(storeId, { ...fact, index });
  }

  #set(storeId: string, fact: StoreFact): void {
    this.#facts.delete(storeId);
    this.#facts.set(storeId, fact);
    for (const [oldest] of this.#facts) {
      if (this.#facts.size <= storeFactsMax) break;
      this.#facts.delete(oldest);
    }
    this.#changed(this.#facts);
  }
}

function contradictionOf(
  fact: StoreFact,
  { starts, nonces }: StoreSession,
  term: number,
  lastIndex: number,
): string | undefined {
  const since = starts - fact.starts;
  if (since < 0) return `it counts ${starts} starts, and had ${fact.starts} before`;
  if (since < nonces.length && nonces[since] !== fact.nonce) {
    return `it counts ${starts} starts, and start ${fact.starts} was another one`;
  }
  if (term < fact.term) return `it was opened in term ${term}, and had stored term ${fact.term} before`;
  if (lastIndex < fact.index) {
    return `its log ended at ${lastIndex}, and it had acknowledged index ${fact.index} before`;
  }
  return undefined;
}

/** For the member whose store contradicts what a peer knows. `peer` names the peer. */
export function rewoundText(name: string, peer: string, contradiction: string): string {
  return (
    `the store of member ${name} was put back to an earlier state, as ${peer} knows: ${contradiction}. It has acknowledged ` +
    'entries or votes that it no longer holds, so it must not vote'
  );
}
