/**
 * What must be true of the plan whatever is asked of it. The node must stop rather than go on from a plan that contradicts
 * itself.
 */
import { InvariantError } from '#errors/invariant.js';

/** For messages that cost nothing to make; where one must name values, throw `brokenPlan` instead. */
export function assertInvariant(holds: boolean, what: string): asserts holds {
  if (!holds) throw brokenPlan(what);
}

export function brokenPlan(what: string): InvariantError {
  return new InvariantError('broken', `address plan: ${what}`);
}
