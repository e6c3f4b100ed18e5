/**
 * The callers of the API on the HTTP port: named by certificate, token or loopback, and judged by the roles, revocations and
 * rates that hold on the API's own port. Without TLS and without a token every caller may call everything, as there.
 */
import type { IncomingMessage } from 'node:http';
import type { RefusedError } from '#api/refusal.js';
import { type AccessRules, allowedBy } from '#http/access.js';
import { type AuthorizingOptions, refusalOf } from '#master/access/authorizing.js';
import type { Caller } from '#tls/caller.js';
import { callerAddress } from '#tls/handshakes.js';
import { formatPrincipal, type Principal, type PrincipalName } from '#tls/principal.js';

/** The bearer of the token of `http_token_file`. No certificate can have an id with a slash; so below. */
export const tokenBearer: PrincipalName = { role: 'viewer', id: 'http/token' };
/** A caller in clear on loopback, beside `tls`. */
export const loopbackReader: PrincipalName = { role: 'viewer', id: 'http/loopback' };

export type HttpCallersOptions = Pick<AuthorizingOptions, 'rates' | 'revocations'> & {
  readonly rules: AccessRules;
  /** What TLS adds; undefined: the port has none. */
  readonly tls?: HttpTls | undefined;
};

export type HttpTls = Pick<AuthorizingOptions, 'taken' | 'end'> & {
  /** Of the certificate of the connection from HOST:PORT; undefined: it has shown none. */
  readonly principalAt: (from: string) => Principal | undefined;
  /** Called for each call that is refused. */
  readonly refused: (caller: Caller, path: string, refusal: RefusedError) => void;
};

export class HttpCallers {
  readonly #options: HttpCallersOptions;

  constructor(options: HttpCallersOptions) {
    this.#options = options;
  }

  /** The caller of a request that may read, once it may call the method at `path`; counts the call. @throws RefusedError */
  admit(request: IncomingMessage, path: string): Caller {
    const { tls, rates, revocations } = this.#options;
    const address = callerAddress(request.socket);
    const principal = this.#principalOf(request, address);
    const caller = { principal, address };
    if (principal === undefined) return caller;
    const refusal = refusalOf(principal, path, { rates, revocations });
    if (refusal !== undefined) {
      tls?.refused(caller, path, refusal);
      if (!rates.refusal(formatPrincipal(principal))) tls?.end(address);
      throw refusal;
    }
    const shown = tls?.principalAt(address);
    if (shown !== undefined) tls?.taken(shown, address, path);
    return caller;
  }

  /** Undefined: everything is open. */
  #principalOf(request: IncomingMessage, from: string): PrincipalName | undefined {
    const { rules, tls } = this.#options;
    const by = allowedBy(request, rules);
    const shown = by === 'certificate' ? tls?.principalAt(from) : undefined;
    if (shown !== undefined) return shown;
    if (by === 'token') return tokenBearer;
    return rules.open === 'change' ? undefined : loopbackReader;
  }
}
