/** Broken invariants: the state of a member, or of a peer, contradicts itself, and the process must stop. */

/**
 * - `amnesia`: the leader, or the own hard state, knows of committed entries that this log lacks: the store
 *   lost acknowledged writes. The member must rejoin as a new one.
 * - `committed-conflict`: a leader sent an entry that differs from a committed one.
 * - `broken`: any other contradiction, among them a driver that broke the contract of `Ready`.
 */
export type InvariantCode = 'amnesia' | 'committed-conflict' | 'broken';

/** Safety can't be guaranteed any more. Stop the node; the core must not be used after it. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
  readonly code: InvariantCode;

  constructor(code: InvariantCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** Throws an `InvariantError` unless `condition` holds. `message` is built only then. */
export function invariant(
  condition: boolean,
  message: () => string,
  code: InvariantCode = 'broken',
): asserts condition {
  if (!condition) {
    throw new InvariantError(code, message());
  }
}

/** The end of an exhaustive switch. */
export function assertNever(value: never): never {
  throw new InvariantError('broken', `unreachable case ${JSON.stringify(value)}`);
}
