/**
 * The caller of a call: made at the edge from what the connection has shown. A master that hands the call on sends it along,
 * so that the leader judges the caller by the same certificate.
 */
import { formatPrincipal, type Principal, type PrincipalName } from '#tls/principal.js';

/** An identity, and where it comes from a certificate, when that begins to be valid. */
export type CallerPrincipal = PrincipalName & Partial<Pick<Principal, 'beginsMs'>>;

export type Caller = {
  /** Undefined: the connection is without TLS. */
  readonly principal: CallerPrincipal | undefined;
  /** HOST:PORT. */
  readonly address: string;
};

/** Without TLS there is nothing else. @param address HOST:PORT */
export function byAddress(address: string): Caller {
  return { principal: undefined, address };
}

/** Of calls that masters make for themselves. */
export const noCaller: Caller = { principal: undefined, address: '' };

/** Behind TLS, of a connection that has ended since its call began: an identity that no certificate can have. */
export const endedCaller: CallerPrincipal = { role: 'agent', id: '' };

/** Whether nothing may be done for it any more: its identity is not known, so none may be taken for it. */
export function hasEnded({ principal }: Caller): boolean {
  return principal?.id === '';
}

/** `HOST:PORT` without TLS, `ROLE/ID@HOST:PORT` with it: for logs, and as the key of a connection. */
export function formatCaller({ principal, address }: Caller): string {
  return principal === undefined ? address : `${formatPrincipal(principal)}@${address}`;
}
