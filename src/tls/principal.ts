/**
 * Identities: a role and an id, as a certificate states them in its one URI subject alternative name,
 * `sublet://ROLE/ID`. Nothing else of a certificate identifies its holder: no common name, no DNS name, no address.
 */

/** `admin` may do all that `operator` may, `operator` all that `viewer` may. */
export const roles = ['master', 'agent', 'admin', 'operator', 'viewer'] as const;
export type Role = (typeof roles)[number];

export type PrincipalName = {
  readonly role: Role;
  /** Of an agent its agent_id, of a master its name, else the name of a person or a program. */
  readonly id: string;
};

/** What a caller has shown. */
export type Principal = PrincipalName & {
  /** Of the certificate, upper-case hex digits. */
  readonly serial: string;
  /** From when to when the certificate is valid, ms since 1970. */
  readonly beginsMs: number;
  readonly endsMs: number;
};

export class PrincipalError extends Error {
  override readonly name = 'PrincipalError';
}

/** Characters of a URI that are read at all: a role, and an agent id of 253 characters at most. */
const uriLengthMax = 280;
const uriPattern = /^sublet:\/\/(master|agent|admin|operator|viewer)\/([A-Za-z0-9._:-]{1,253})$/;

/** @throws PrincipalError for every text but `sublet://ROLE/ID` itself: no escapes, no other case, no further part */
export function parsePrincipal(uri: string): PrincipalName {
  const found = uri.length > uriLengthMax ? null : uriPattern.exec(uri);
  const role = roles.find((each) => each === found?.[1]);
  const id = found?.[2];
  if (role === undefined || id === undefined) {
    throw new PrincipalError(
      `the subject alternative name ${JSON.stringify(uri.slice(0, uriLengthMax))} is not sublet://ROLE/ID, with ROLE one of ${roles.join(', ')}`,
    );
  }
  return { role, id };
}

/** An identity as people write it, ROLE/ID. @throws PrincipalError */
export function parseIdentity(text: string): PrincipalName {
  try {
    return parsePrincipal(`sublet://${text}`);
  } catch (error) {
    if (!(error instanceof PrincipalError)) throw error;
    throw new PrincipalError(
      `${JSON.stringify(text.slice(0, uriLengthMax))} is not an identity: ROLE/ID is needed, such as agent/host-7, with ROLE one of ${roles.join(', ')} and an ID of 1 to 253 characters of [A-Za-z0-9._:-]`,
    );
  }
}

/** `agent/host-7` */
export function formatPrincipal({ role, id }: PrincipalName): string {
  return `${role}/${id}`;
}

/** `sublet://agent/host-7` */
export function principalUri(principal: PrincipalName): string {
  return `sublet://${formatPrincipal(principal)}`;
}
