/** What must be true of the plan whatever is asked of it. */

/** The plan contradicts itself: a defect. The node must stop rather than go on from it. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';

  constructor(what: string) {
    super(`address plan: ${what}`);
  }
}

/** For messages that cost nothing to make; where one must name values, throw the error instead. */
export function assertInvariant(holds: boolean, what: string): asserts holds {
  if (!holds) throw new InvariantError(what);
}

/** Ends a `switch` over a closed union. */
export function assertNever(value: never): never {
  throw new InvariantError(`unexpected ${String(value)}`);
}
