/**
 * What a change of the masters does to their identities: the removal of a master revokes its identity, and adding it again
 * takes it back. The steps are entries of the log of their own, made after the change; each can be repeated by hand.
 */

import { RefusedError } from '#api/refusal.js';
import type { Action } from '#ipam/commands/command.js';
import { revokedText } from '#master/access/revocations.js';
import type { MembershipServiceOptions } from '#master/members/membership-step.js';
import { origin } from '#master/services/operator-parse.js';
import { ProposeError } from '#replica/ports/replicated-log.js';
import type { Caller } from '#tls/caller.js';
import { formatPrincipal } from '#tls/principal.js';

function identityOf(name: string): string {
  return formatPrincipal({ role: 'master', id: name });
}

/** @throws RefusedError when an admin has revoked the identity of a master that is to be added */
export function checkMayJoin({ plan }: MembershipServiceOptions, name: string): void {
  const found = plan.ipam.revocation(identityOf(name));
  if (found === undefined || found.cause === 'removal' || found.acceptedFrom !== undefined) return;
  throw new RefusedError('failed-precondition', `add member ${name}: ${revokedText(found)}`);
}

/** The removal is made. @throws RefusedError when it is not known that the identity is revoked */
export async function revokeRemoved(options: MembershipServiceOptions, name: string, caller: Caller): Promise<void> {
  if (!options.checksIdentities) return;
  const identity = identityOf(name);
  const action = { kind: 'revoke-identity', identity, cause: 'removal', release: false } as const;
  await make(
    options,
    action,
    caller,
    `${name} is removed, but not known to be revoked`,
    `sublet certs revoke ${identity}`,
  );
}

/** The master is added. @throws RefusedError when it is not known that the identity is not revoked any more */
export async function takeBack(options: MembershipServiceOptions, name: string, caller: Caller): Promise<void> {
  const identity = identityOf(name);
  if (options.plan.ipam.revocation(identity)?.cause !== 'removal') return;
  const action = { kind: 'unrevoke-identity', identity, cause: 'removal', acceptedFrom: undefined } as const;
  await make(
    options,
    action,
    caller,
    `${name} is added, but may be revoked still`,
    `sublet certs unrevoke ${identity}`,
  );
}

async function make(
  { plan, wallClock }: MembershipServiceOptions,
  action: Action,
  caller: Caller,
  outcome: string,
  remedy: string,
): Promise<void> {
  try {
    await plan.change({ ...origin(caller, 0, wallClock()), ...action });
  } catch (error) {
    if (!(error instanceof ProposeError || error instanceof RefusedError)) throw error;
    throw new RefusedError('unknown-outcome', `${outcome} (${error.message}): ${remedy}`);
  }
}
