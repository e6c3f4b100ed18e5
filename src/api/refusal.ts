/**
 * How the masters say no: one table from reasons to gRPC status codes. The set of codes is closed; whatever a
 * call meets ends in one of these rows, and the message names the field, the value and the limit. The reason goes with
 * the status (`error-info.ts`), since several share a code.
 */
import { status } from '@grpc/grpc-js';
import { foreignText } from '#text/printable-text.js';

type Row = {
  readonly code: status;
  /** What the caller learns from the code, for the documentation. */
  readonly meaning: string;
};

/** Reason → status code. Reasons that the plan gives are spelled as the plan spells them. */
export const refusals = {
  'invalid-argument': { code: status.INVALID_ARGUMENT, meaning: 'A field is wrong, whatever the state of the plan.' },
  malformed: { code: status.INVALID_ARGUMENT, meaning: 'The bytes are not a message of this method.' },
  'not-found': { code: status.NOT_FOUND, meaning: 'No such agent, overlay or reservation.' },
  'already-exists': { code: status.ALREADY_EXISTS, meaning: 'The name, address or id is in another hand.' },
  'held-elsewhere': {
    code: status.ALREADY_EXISTS,
    meaning:
      'Another process keeps this lease alive; the message names both places. Details: `same_place` is `true` if both are at one.',
  },
  'failed-precondition': {
    code: status.FAILED_PRECONDITION,
    meaning: 'The plan, or one of the masters, must change first; the message says how.',
  },
  'other-incarnation': {
    code: status.FAILED_PRECONDITION,
    meaning:
      'What the caller holds is of another incarnation of this cluster: two clusters have one id. Ask another master.',
  },
  'permission-denied': {
    code: status.PERMISSION_DENIED,
    meaning:
      'The certificate of the caller does not allow it; the message names the role of the caller, and the roles that may.',
  },
  aborted: {
    code: status.ABORTED,
    meaning:
      'Overtaken: a stale epoch, sequence or expected revision. Details: `sequence`, if a higher one is all that lacks.',
  },
  'resource-exhausted': {
    code: status.RESOURCE_EXHAUSTED,
    meaning: 'The plan has no room left for what was asked; the message names the subnet or the limit.',
  },
  overloaded: {
    code: status.RESOURCE_EXHAUSTED,
    meaning:
      'A queue, a limit or a rate of the client is full; nothing happened. Try again later. Details: `retry_ms`, for a rate: when there is room.',
  },
  'too-large': { code: status.RESOURCE_EXHAUSTED, meaning: 'The message is larger than the limit.' },
  'no-space': {
    code: status.RESOURCE_EXHAUSTED,
    meaning: 'The disks of all masters that could lead are nearly full; nothing happened.',
  },
  'too-slow': {
    code: status.RESOURCE_EXHAUSTED,
    meaning: 'A watcher, or a reader of a snapshot, that does not read is disconnected; it may come back.',
  },
  unavailable: {
    code: status.UNAVAILABLE,
    meaning: 'No leader, or this master can not serve now. Try again, or another master.',
  },
  'unknown-outcome': {
    code: status.UNKNOWN,
    meaning: 'Leadership was lost on the way: the change may or may not come about. Look before asking again.',
  },
  deadline: { code: status.DEADLINE_EXCEEDED, meaning: 'Not done within the deadline of the caller.' },
  unimplemented: { code: status.UNIMPLEMENTED, meaning: 'This version has no such method.' },
  'wrong-port': {
    code: status.UNIMPLEMENTED,
    meaning: 'This is the port for the other masters; the message names the one for clients.',
  },
  internal: { code: status.INTERNAL, meaning: 'A bug in the master; its log has the details.' },
} as const satisfies Readonly<Record<string, Row>>;

export type RefusalReason = keyof typeof refusals;

export function isRefusalReason(text: string): text is RefusalReason {
  return Object.hasOwn(refusals, text);
}

export const refusalReasons: readonly RefusalReason[] = Object.keys(refusals).filter(isRefusalReason);

export type RefusalDetails = Readonly<Record<string, string>>;

/**
 * A call is refused, and nothing was changed (but with `unknown-outcome`). `code` is what goes to the caller. The
 * message may quote what another machine sent: it is made printable here.
 */
export class RefusedError extends Error {
  override readonly name = 'RefusedError';
  readonly reason: RefusalReason;
  readonly code: status;
  /** For machines: the `metadata` of the ErrorInfo. */
  readonly details: RefusalDetails;

  constructor(reason: RefusalReason, message: string, details: RefusalDetails = {}) {
    super(foreignText(message));
    this.details = details;
    this.reason = reason;
    this.code = refusals[reason].code;
  }
}
