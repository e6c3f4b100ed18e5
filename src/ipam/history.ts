/** One line of the history: what changed the plan, for people. */
export type HistoryEntry = {
  readonly revision: number;
  /** Time of day when it was proposed, ms since 1970. */
  readonly wallTime: number;
  /** The kind of the command. */
  readonly what: string;
  /** The agent concerned, or the operator who asked. */
  readonly who: string;
  /** Subnets, addresses and names that were let, freed or changed. */
  readonly subjects: readonly string[];
  readonly detail: string;
};
