/**
 * How the core refuses. A `RaftError` refuses one call and leaves the state untouched;
 * an `InvariantError` (`#errors`) means that the member's own state, or a peer's, can't be trusted any more: the
 * driver must stop the node.
 */

/**
 * - `proposal-dropped`: no leader is known, a leadership transfer is under way, this leader was removed, the
 *   limit of uncommitted bytes is reached, or forwarding is disabled. Nothing was appended; try again later.
 * - `conf-change-refused`: the change can't be made in the present configuration, or another is under way.
 * - `local-message`: a peer sent a message that may not travel. Drop it.
 * - `peer-not-found`: a response from a member outside the configuration. Drop it.
 * - `malformed-message`, `malformed-conf-change`: a peer or the driver sent what no correct core sends.
 * - `no-leader`: a read was asked of a member that knows no leader.
 * - `too-many-reads`: `maxPendingReads` are waiting already.
 * - `invalid-config`: `RaftConfig` holds a value outside its range.
 */
export type RaftErrorCode =
  | 'proposal-dropped'
  | 'conf-change-refused'
  | 'local-message'
  | 'peer-not-found'
  | 'malformed-message'
  | 'malformed-conf-change'
  | 'no-leader'
  | 'too-many-reads'
  | 'invalid-config';

/** One call was refused; the core's state is as before. */
export class RaftError extends Error {
  override readonly name = 'RaftError';
  readonly code: RaftErrorCode;

  constructor(code: RaftErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
