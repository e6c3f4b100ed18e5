/** AccessService: the identity of a caller, and the identities that are revoked. */

import { formatCidr } from '#address/ip.js';
import { RefusedError } from '#api/refusal.js';
import { accessService } from '#api/services.js';
import { methodsFor } from '#master/access/authorization.js';
import { RevokedReaders } from '#master/access/revoked-readers.js';
import { type Endpoint, endpoint } from '#master/server/endpoint.js';
import { origin } from '#master/services/operator-parse.js';
import type { PlanClient } from '#master/services/plan-client.js';
import { timestamp } from '#master/services/plan-message.js';
import { revocationMessage } from '#master/services/revocation-message.js';
import type { sublet } from '#proto/sublet.js';
import type { ReplicatedLog } from '#replica/ports/replicated-log.js';
import type { Caller } from '#tls/caller.js';
import { formatPrincipal, type Principal, PrincipalError, type PrincipalName, parseIdentity } from '#tls/principal.js';

export type AccessServiceOptions = {
  readonly plan: PlanClient;
  readonly log: Pick<ReplicatedLog<unknown>, 'status'>;
  /** Of this master. */
  readonly name: string;
  /** Ms since 1970. */
  readonly wallClock: () => number;
  /** Of the open connection from HOST:PORT; absent: the masters run without TLS. */
  readonly principalAt: ((from: string) => Principal | undefined) | undefined;
};

/** Certificates begin this much before they are issued, ms: clocks differ. */
const backdatedMs = 60_000;

export function accessEndpoints(options: AccessServiceOptions): readonly Endpoint[] {
  const { plan, wallClock } = options;
  const revokedReaders = new RevokedReaders();
  return [
    endpoint(
      accessService.whoAmI,
      { place: 'here', idempotent: true, needsPlan: false },
      (_, { caller }): sublet.v1.WhoAmIResponse.$Properties => whoAmI(options, caller),
    ),
    endpoint(accessService.revokeIdentity, { place: 'leader', idempotent: true }, async (request, { caller }) => {
      const principal = identityOf(request.identity);
      const identity = formatPrincipal(principal);
      checkRevocable(options, principal);
      const by = origin(caller, request.expectedRevision, wallClock());
      const { release } = request;
      const answer = await plan.change({ ...by, kind: 'revoke-identity', identity, cause: 'operator', release });
      if (answer.kind !== 'released') throw new RangeError(`revoke identity was answered with "${answer.kind}"`);
      return { revision: answer.revision, released: answer.released.map(formatCidr) };
    }),
    endpoint(accessService.unrevokeIdentity, { place: 'leader', idempotent: false }, async (request, { caller }) => {
      const identity = formatPrincipal(identityOf(request.identity));
      const now = wallClock();
      const acceptedFrom = request.laterCertificatesOnly ? now - backdatedMs : undefined;
      const by = origin(caller, request.expectedRevision, now);
      const { revision } = await plan.change({
        ...by,
        kind: 'unrevoke-identity',
        identity,
        cause: 'operator',
        acceptedFrom,
      });
      return { revision };
    }),
    endpoint(accessService.listRevocations, { place: 'here', idempotent: true }, async ({ stale }) => {
      const ipam = await plan.read(stale);
      return { revocations: ipam.revocations().map(revocationMessage), revision: ipam.revision };
    }),
    endpoint(accessService.listRevokedReaders, { place: 'here', idempotent: true }, async ({ version }) =>
      revokedReaders.of(await plan.read(false), version),
    ),
  ];
}

function whoAmI(
  { name, principalAt }: AccessServiceOptions,
  { principal, address }: Caller,
): sublet.v1.WhoAmIResponse.$Properties {
  const shown = principalAt?.(address);
  // On the admin socket there is an identity without a certificate.
  const methods = [...methodsFor(principal?.role)];
  if (principal === undefined) return { address, methods, master: name };
  const { role, id } = principal;
  const known = { identity: { role, id }, address, methods, master: name };
  // An address is one connection's at the API; a caller over HTTP may have the same one.
  if (shown === undefined || formatPrincipal(shown) !== formatPrincipal(principal)) return known;
  const { serial, beginsMs, endsMs } = shown;
  return { ...known, serial, begins: timestamp(beginsMs), ends: timestamp(endsMs) };
}

/** @throws RefusedError */
function checkRevocable({ log, principalAt }: AccessServiceOptions, principal: PrincipalName): void {
  const action = `revoke ${formatPrincipal(principal)}`;
  if (principalAt === undefined) {
    throw new RefusedError(
      'failed-precondition',
      `${action}: this master runs without TLS, where no certificate is checked: set tls first`,
    );
  }
  const isMember =
    principal.role === 'master' && log.status().membership.members.some(({ name }) => name === principal.id);
  if (!isMember) return;
  throw new RefusedError(
    'failed-precondition',
    `${action}: it is a member; \`sublet members remove ${principal.id}\` removes it and revokes its identity`,
  );
}

/** @throws RefusedError */
function identityOf(identity: sublet.v1.Identity.$Properties | null | undefined): PrincipalName {
  const { role = '', id = '' } = identity ?? {};
  try {
    return parseIdentity(`${role}/${id}`);
  } catch (error) {
    if (!(error instanceof PrincipalError)) throw error;
    throw new RefusedError('invalid-argument', `identity: ${error.message}`);
  }
}
