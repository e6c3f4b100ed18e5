/** Revocations of identities as commands and records hold them. */

import { optional, present, RecordError } from '#ipam/codec/wire.js';
import type { Action } from '#ipam/commands/command.js';
import type { Revocation, RevocationCause } from '#ipam/revocation.js';
import { sublet } from '#proto/sublet.js';

type Stored = sublet.store.v1.Command;

const { RevocationCause: Cause } = sublet.store.v1;
const causes = { operator: Cause.REVOCATION_CAUSE_OPERATOR, removal: Cause.REVOCATION_CAUSE_REMOVAL } as const;

export function toRevocationAction(
  action: Extract<Action, { readonly kind: 'revoke-identity' | 'unrevoke-identity' }>,
): sublet.store.v1.Command.$Properties {
  const { identity } = action;
  const cause = causes[action.cause];
  return action.kind === 'revoke-identity'
    ? { revokeIdentity: { identity, cause, release: action.release } }
    : { unrevokeIdentity: { identity, cause, acceptedFromMs: action.acceptedFrom ?? null } };
}

export function revocationActionOf(stored: Stored, kind: 'revokeIdentity' | 'unrevokeIdentity'): Action {
  if (kind === 'revokeIdentity') {
    const { identity, cause, release } = present(stored.revokeIdentity, kind);
    return { kind: 'revoke-identity', identity: identity ?? '', cause: causeOf(cause), release: release ?? false };
  }
  const { identity, cause, acceptedFromMs } = present(stored.unrevokeIdentity, kind);
  const acceptedFrom = optional(acceptedFromMs);
  return { kind: 'unrevoke-identity', identity: identity ?? '', cause: causeOf(cause), acceptedFrom };
}

export function toRevocation({
  identity,
  cause,
  since,
  by,
  acceptedFrom,
}: Revocation): sublet.store.v1.Revocation.$Properties {
  return { identity, cause: causes[cause], sinceMs: since, by, acceptedFromMs: acceptedFrom ?? null };
}

/** @throws RecordError */
export function revocationOf(stored: sublet.store.v1.Revocation.$Properties): Revocation {
  return {
    identity: stored.identity ?? '',
    cause: causeOf(stored.cause),
    since: stored.sinceMs ?? 0,
    by: stored.by ?? '',
    acceptedFrom: optional(stored.acceptedFromMs),
  };
}

function causeOf(stored: sublet.store.v1.RevocationCause | null | undefined): RevocationCause {
  if (stored === causes.operator) return 'operator';
  if (stored === causes.removal) return 'removal';
  throw new RecordError('the cause of a revocation is one that this version does not know');
}
