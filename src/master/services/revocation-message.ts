/** Revocations as the API has them. */
import type { Ipam } from '#ipam/ipam.js';
import type { Revocation, RevocationCause } from '#ipam/revocation.js';
import { timestamp } from '#master/services/plan-message.js';
import { sublet } from '#proto/sublet.js';
import { formatPrincipal } from '#tls/principal.js';

type Message = sublet.v1.Revocation.$Properties;
type Member = sublet.v1.Member.$Properties;

const causes: Readonly<Record<RevocationCause, sublet.v1.RevocationCause>> = {
  operator: sublet.v1.RevocationCause.REVOCATION_CAUSE_OPERATOR,
  removal: sublet.v1.RevocationCause.REVOCATION_CAUSE_REMOVAL,
};

export function revocationMessage(revocation: Revocation): Message {
  const { identity, cause, since, by, acceptedFrom } = revocation;
  const [role = '', id = ''] = identity.split('/');
  return {
    identity: { role, id },
    cause: causes[cause],
    since: timestamp(since),
    by,
    acceptedFrom: acceptedFrom === undefined ? null : timestamp(acceptedFrom),
  };
}

/** Of an agent or a master; null: its certificates are not revoked. */
export function certificateRevocation(ipam: Ipam, role: 'agent' | 'master', id: string): Message | null {
  const found = ipam.revocation(formatPrincipal({ role, id }));
  return found === undefined ? null : revocationMessage(found);
}

/** The masters, each with how its certificates are revoked. */
export function withRevocations(members: readonly Member[], ipam: Ipam): Member[] {
  return members.map((member) => ({ ...member, revocation: certificateRevocation(ipam, 'master', member.name ?? '') }));
}
