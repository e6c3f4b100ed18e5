/** A revoked identity, as the plan keeps it. */

/** `operator`: an admin asked for it. `removal`: its master was removed; it is lifted when the master is added again. */
export type RevocationCause = 'operator' | 'removal';

export type Revocation = {
  /** ROLE/ID */
  readonly identity: string;
  readonly cause: RevocationCause;
  /** Time of day when it was proposed, ms since 1970. */
  readonly since: number;
  readonly by: string;
  /** Certificates that begin then or later are accepted, ms since 1970; undefined: none are. */
  readonly acceptedFrom: number | undefined;
};
