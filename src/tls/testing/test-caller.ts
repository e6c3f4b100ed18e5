/** Callers as specs write them. */
import type { Caller } from '#tls/caller.js';
import { parseIdentity } from '#tls/principal.js';

/** @param text `HOST:PORT`, or `ROLE/ID@HOST:PORT` of a caller behind TLS */
export function callerNamed(text: string): Caller {
  const at = text.indexOf('@');
  return { principal: at < 0 ? undefined : parseIdentity(text.slice(0, at)), address: text.slice(at + 1) };
}
