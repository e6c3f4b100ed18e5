/**
 * A caller as text, for contexts, logs and the history: `HOST:PORT` without TLS, `ROLE/ID@HOST:PORT` with it. It is made at
 * the edge from what the connection has shown, and passes unchanged from a master to the leader.
 */
import { type PrincipalName, roles } from '#tls/principal.js';

export type Caller = {
  /** Undefined: the connection is without TLS. */
  readonly principal: PrincipalName | undefined;
  /** HOST:PORT. */
  readonly address: string;
};

/** Behind TLS, of a connection that has ended since its call began: an identity that no certificate can have. */
export const endedCaller: PrincipalName = { role: 'agent', id: '' };

export function formatCaller({ role, id }: PrincipalName, address: string): string {
  return `${role}/${id}@${address}`;
}

/** Whether nothing may be done for it any more: its identity is not known, so none may be taken for it. */
export function hasEnded(text: string): boolean {
  return text.startsWith(formatCaller(endedCaller, ''));
}

/** Addresses have no `@`, and ids have none either. */
export function parseCaller(text: string): Caller {
  const at = text.indexOf('@');
  if (at < 0) return { principal: undefined, address: text };
  const slash = text.indexOf('/');
  const role = roles.find((each) => each === text.slice(0, slash));
  const address = text.slice(at + 1);
  return { principal: role === undefined ? undefined : { role, id: text.slice(slash + 1, at) }, address };
}
