/** Turns whatever stops a call into the one refusal that its caller sees. */
import { AddressError } from '#address/brand.js';
import { overlayNameAllowed, overlayNameForm } from '#address/overlay-name.js';
import { RefusedError } from '#api/refusal.js';
import type { Refusal } from '#ipam/commands/result.js';
import { IdentityError } from '#ipam/identity.js';
import { branchLengthMax } from '#ipam/limits.js';
import { FieldError } from '#ipam/registration-fields.js';
import { ProposeError, type ProposeErrorCode } from '#replica/ports/replicated-log.js';
import { clusterIdForm } from '#text/name-form.js';

const reasonOf = {
  'not-leader': 'unavailable',
  'unknown-outcome': 'unknown-outcome',
  overloaded: 'overloaded',
  'too-large': 'too-large',
  'no-space': 'no-space',
  'not-known-by-all': 'failed-precondition',
  stopped: 'unavailable',
  timeout: 'unavailable',
} as const satisfies Record<ProposeErrorCode, string>;

/** `report` receives unexpected errors: bugs. */
export function toRefusedError(error: unknown, report: (error: unknown) => void): RefusedError {
  if (error instanceof RefusedError) return error;
  if (error instanceof ProposeError) return new RefusedError(reasonOf[error.code], error.message);
  report(error);
  return new RefusedError('internal', 'the master met an error that it did not expect; its log has the details');
}

/** What the plan refused; `field` among the details is the one at fault, if it is about one. */
export function refusedByPlan({ code, message, field }: Refusal): RefusedError {
  return new RefusedError(code, message, field === '' ? {} : { field });
}

/** Reads one field of a request; what the parser throws becomes an `invalid-argument` that names the field. */
export function parseField<Raw, Value>(field: string, raw: Raw, parse: (raw: Raw) => Value): Value {
  try {
    return parse(raw);
  } catch (error) {
    if (error instanceof AddressError) throw new RefusedError('invalid-argument', `${field}: ${error.message}`);
    if (error instanceof FieldError) throw new RefusedError('invalid-argument', error.message, { field: error.field });
    if (error instanceof IdentityError) {
      // It names agent_id or instance_id itself, which need not be the field that the caller wrote it in.
      const named = error.message.startsWith(`${field} `);
      throw new RefusedError('invalid-argument', named ? error.message : `${field}: ${error.message}`);
    }
    throw error;
  }
}

/** A branch of the history that a master sent, as it comes back. @throws RefusedError */
export function parseBranchText(branch: string): string {
  if (branch.length <= branchLengthMax) return branch;
  throw new RefusedError(
    'invalid-argument',
    `branch has ${branch.length} characters: ${branchLengthMax} at most are allowed`,
  );
}

/** The name of an overlay that an agent holds: it goes into the log before the plan is asked for it. @throws RefusedError */
export function parseOverlayName(field: string, name: string): string {
  if (overlayNameForm.test(name)) return name;
  const shown = JSON.stringify(name.length > shownMax ? `${name.slice(0, shownMax)}…` : name);
  throw new RefusedError('invalid-argument', `${field}: ${shown}: ${overlayNameAllowed} are allowed`);
}

/** Characters of a name that are shown. */
const shownMax = 64;

/**
 * The cluster id that a caller names, which may be of another cluster. It is handed on with others' messages, which must not
 * become too long by it. @throws RefusedError
 */
export function parseClusterIdText(clusterId: string): string {
  const { lengthMax } = clusterIdForm;
  if (clusterId.length <= lengthMax) return clusterId;
  throw new RefusedError(
    'invalid-argument',
    `cluster_id has ${clusterId.length} characters: ${lengthMax} at most are allowed`,
  );
}

/** A 64-bit number of a request, which must be a safe integer. @throws RefusedError */
export function safeInteger(field: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new RefusedError(
    'invalid-argument',
    `${field} is beyond ${Number.MAX_SAFE_INTEGER}, the largest number allowed`,
  );
}
