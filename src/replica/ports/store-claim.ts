/** What members state of their stores, and know of each other's: `StoreFacts` compares them. */

/** One opening of a store, until its close. */
export type StoreSession = {
  /** Counts the openings of the store, from 1; 0: the store does not count. */
  readonly starts: number;
  /**
   * Random values of the newest openings, this one first, 8 hex digits each; as many as are kept. Two copies of a store can
   * come to the same count, but not to the same values.
   */
  readonly nonces: readonly string[];
};

/** Openings whose nonces a store keeps. */
export const sessionNoncesMax = 32;

/** What a member states of its store. Constant during a session. */
export type StoreClaim = {
  readonly storeId: string;
  readonly session: StoreSession;
  /** Term of the hard state when the store was opened. */
  readonly term: number;
  /** Last log index when the store was opened. */
  readonly lastIndex: number;
};

/** Of a store that does not count its starts. */
export function uncountedClaim(storeId: string): StoreClaim {
  return { storeId, session: { starts: 0, nonces: [] }, term: 0, lastIndex: 0 };
}

/** What a member knows of a peer's store: its newest session, and what it has made durable at least. */
export type StoreFact = {
  readonly starts: number;
  readonly nonce: string;
  readonly term: number;
  /** The store has acknowledged the log up to here, and it is committed. */
  readonly index: number;
};
