/** Why a member can't begin, or can't take part: a closed set, each with the way out in its message. */

/**
 * - `unreachable`: a founder does not answer yet.
 * - `not-ready`: a founder has not seen all the others yet.
 * - `other-cluster`: a peer belongs to another cluster.
 * - `name-mismatch`: a peer answers by another name than configured, or by this member's own.
 * - `founders-differ`: a peer was configured with other founders.
 * - `wiped`: the cluster knows this name with another store: this member has lost its disk.
 * - `not-a-member`: the cluster exists and does not know this name.
 */
export type BootstrapProblemCode =
  | 'unreachable'
  | 'not-ready'
  | 'other-cluster'
  | 'name-mismatch'
  | 'founders-differ'
  | 'wiped'
  | 'not-a-member';

export type BootstrapProblem = {
  readonly code: BootstrapProblemCode;
  /** HOST:PORT of the peer it was found with. */
  readonly peer: string;
  /** What was found, with both values, and what to do. */
  readonly message: string;
};
