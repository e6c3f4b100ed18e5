/** Which requests of an HTTP port are answered: by a certificate of the connection, by a bearer token, or without either. */

import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { ExpectedError } from '#errors/expected-error.js';
import { errorText } from '#errors/unknown-error.js';
import { type HttpAnswer, text } from '#http/bounded-server.js';

/** `read` has no effect, `change` does. */
export type Access = 'nothing' | 'read' | 'change';

export type AccessRules = {
  /** What needs neither certificate nor token. */
  readonly open: Access;
  /** What the token allows is `read`. Undefined: there is no token. */
  readonly token?: Token | undefined;
  /** What the certificate of the connection allows; undefined: it has shown none. */
  readonly byCertificate?: (socket: Socket) => Access | undefined;
  /** What else a caller may do to be answered, for messages. */
  readonly advice: string;
  /** Called for each request that is refused with another token than `token`. */
  readonly wrongToken?: (socket: Socket) => void;
};

/** 32 hexadecimal digits have 128 bits. */
const tokenLengthMin = 16;
const tokenLengthMax = 4096;

/** The message names the setting, the file and what is wrong. */
export class TokenFileError extends ExpectedError {
  override readonly name = 'TokenFileError';
}

/** A secret that is compared in constant time. */
export class Token {
  readonly #digest: Buffer;

  constructor(secret: string) {
    this.#digest = digestOf(secret);
  }

  /** @throws TokenFileError */
  static read(setting: string, file: string): Token {
    const secret = contentOf(setting, file).trim();
    if (secret.length < tokenLengthMin || secret.length > tokenLengthMax || /\s/.test(secret)) {
      throw new TokenFileError(
        `${setting}: ${file} has to hold one word of ${tokenLengthMin} to ${tokenLengthMax} characters: make one with openssl rand -hex 32`,
      );
    }
    return new Token(secret);
  }

  equals(secret: string): boolean {
    return timingSafeEqual(digestOf(secret), this.#digest);
  }
}

/** Why a request that needs `needed` is not answered; undefined: it is. */
export function accessRefusal(request: IncomingMessage, needed: Access, rules: AccessRules): HttpAnswer | undefined {
  const { open, token, byCertificate, advice, wrongToken } = rules;
  if (allows(open, needed)) return undefined;
  const shown = byCertificate?.(request.socket);
  if (shown !== undefined && allows(shown, needed)) return undefined;
  const secret = secretOf(request.headers.authorization ?? '');
  const isToken = secret !== undefined && token?.equals(secret) === true;
  if (isToken && allows('read', needed)) return undefined;
  if (isToken) return text(403, `the token is for reading alone: ${advice}`);
  if (shown !== undefined) return text(403, `the certificate of this connection does not allow it: ${advice}`);
  if (secret !== undefined && token !== undefined) wrongToken?.(request.socket);
  return {
    ...text(401, `this needs to be authenticated: ${advice}`),
    // A browser asks for the token as a password.
    headers: {
      'www-authenticate': token === undefined ? 'Bearer' : ['Bearer', 'Basic realm="sublet", charset="UTF-8"'],
    },
  };
}

/** What a request that may read is allowed by; undefined: by nothing. */
export function allowedBy(request: IncomingMessage, rules: AccessRules): 'open' | 'certificate' | 'token' | undefined {
  const { open, byCertificate } = rules;
  if (accessRefusal(request, 'read', rules) !== undefined) return undefined;
  if (allows(open, 'read')) return 'open';
  const shown = byCertificate?.(request.socket);
  return shown !== undefined && allows(shown, 'read') ? 'certificate' : 'token';
}

/** The token of `Bearer TOKEN`, or the password of `Basic`, under any user name: browsers can send that alone. */
function secretOf(authorization: string): string | undefined {
  const [, bearer] = /^Bearer +(\S+) *$/i.exec(authorization) ?? [];
  if (bearer !== undefined) return bearer;
  const [, basic] = /^Basic +([A-Za-z0-9+/]+=*) *$/i.exec(authorization) ?? [];
  if (basic === undefined) return undefined;
  const pair = Buffer.from(basic, 'base64').toString('utf8');
  const colon = pair.indexOf(':');
  return colon < 0 ? undefined : pair.slice(colon + 1);
}

const order: readonly Access[] = ['nothing', 'read', 'change'];

function allows(given: Access, needed: Access): boolean {
  return order.indexOf(given) >= order.indexOf(needed);
}

function digestOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

function contentOf(setting: string, file: string): string {
  try {
    const { mode } = statSync(file);
    const others = mode & 0o077;
    if (others !== 0) {
      throw new Error(`others may read or write it (mode 0${(mode & 0o777).toString(8)}): chmod 600 ${file}`);
    }
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new TokenFileError(`${setting}: ${file}: ${errorText(error)}`, { cause: error });
  }
}
