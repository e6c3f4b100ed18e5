/**
 * Tokens for joining as text: `sj1.PIN.ID.SECRET`. The pin is the SHA-256 of the authority's public key, by which a host that
 * trusts nothing yet knows a master of the right cluster. Its parts are in base64url without padding, so that the whole is
 * one word in a shell.
 */
import { createHash, randomBytes, type X509Certificate } from 'node:crypto';
import { certificatesIn } from '#tls/certificate/certificate.js';

export type JoinTokenText = {
  /** SHA-256 of the authority's SubjectPublicKeyInfo, 32 bytes. */
  readonly pin: Uint8Array;
  /** 16 bytes. */
  readonly id: Uint8Array;
  /** 32 bytes. */
  readonly secret: Uint8Array;
};

export class JoinTokenError extends Error {
  override readonly name = 'JoinTokenError';
}

const version = 'sj1';
const pinBytes = 32;
const idBytes = 16;
const secretBytes = 32;

export function drawJoinToken(pin: Uint8Array): JoinTokenText {
  return { pin, id: randomBytes(idBytes), secret: randomBytes(secretBytes) };
}

export function formatJoinToken({ pin, id, secret }: JoinTokenText): string {
  return [version, ...[pin, id, secret].map((part) => Buffer.from(part).toString('base64url'))].join('.');
}

/** The message has nothing of the token's text, which is secret. @throws JoinTokenError */
export function parseJoinToken(text: string): JoinTokenText {
  const [first, pin = '', id = '', secret = '', ...more] = text.split('.');
  if (first !== version || more.length > 0) {
    throw new JoinTokenError(`a token is ${version}.PIN.ID.SECRET, as \`sublet token create\` prints it`);
  }
  return {
    pin: part('pin', pin, pinBytes),
    id: part('id', id, idBytes),
    secret: part('secret', secret, secretBytes),
  };
}

/** What the plan has of a secret, 32 bytes. */
export function secretHashOf(secret: Uint8Array): Buffer {
  return createHash('sha256').update(secret).digest();
}

/** SHA-256 of the public key of a certificate, 32 bytes. */
export function pinOf(certificate: X509Certificate): Buffer {
  return createHash('sha256')
    .update(certificate.publicKey.export({ type: 'spki', format: 'der' }))
    .digest();
}

/** The certificate among those of a PEM file that signed `certificate`; undefined: none did. */
export function issuerIn(authorities: Buffer, certificate: X509Certificate): X509Certificate | undefined {
  return certificatesIn(authorities).find(
    (authority) => certificate.checkIssued(authority) && certificate.verify(authority.publicKey),
  );
}

function part(name: string, text: string, length: number): Uint8Array {
  const bytes = Buffer.from(text, 'base64url');
  // Another spelling of the same bytes is a slip.
  if (bytes.length === length && bytes.toString('base64url') === text) return bytes;
  throw new JoinTokenError(`the ${name} of the token is not ${length} bytes in base64url: it is cut off or mistyped`);
}
