/** The three files of `tls`: the authority's certificates, and this process's own certificate and key, in PEM. */

import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { createSecureContext, type SecureContext } from 'node:tls';
import { errorCode, errorText } from '#errors/unknown-error.js';
import { certificatesIn, fingerprintOf, isIssuedBy, principalOf } from '#tls/certificate/certificate.js';
import { type Principal, PrincipalError, type Role } from '#tls/principal.js';

export type TlsFiles = { readonly ca: string; readonly cert: string; readonly key: string };

export type TlsMaterial = {
  readonly context: SecureContext;
  readonly ca: Buffer;
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Of `ca`: all that are trusted. */
  readonly authorities: readonly X509Certificate[];
  readonly principal: Principal;
  /** The last moment of the authority that ends first, ms since 1970. */
  readonly authorityEndsMs: number;
  /** Accepted, and to be corrected all the same. */
  readonly warnings: readonly string[];
};

/** Names the setting, the file and what is wrong. */
export class TlsFileError extends Error {
  override readonly name = 'TlsFileError';
}

/** Every connection: no older version, and groups with at least 128 bits of strength. */
export const tlsVersion = 'TLSv1.3';
export const tlsGroups = 'X25519:P-256:P-384';

/**
 * Reads and checks all three together.
 * @param allowed the roles that this process may have
 * @param nowMs of the wall clock, by which certificates begin and end
 * @throws TlsFileError
 */
export function readTlsFiles(files: TlsFiles, allowed: readonly Role[], nowMs = Date.now()): TlsMaterial {
  const ca = readPem('tls.ca', files.ca);
  const cert = readPem('tls.cert', files.cert);
  const key = readPem('tls.key', files.key);
  const certificate = parsed('tls.cert', files.cert, () => new X509Certificate(cert));
  const privateKey = parsed('tls.key', files.key, () => createPrivateKey(key));
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new TlsFileError(`tls.key: ${files.key} is not the key of the certificate in ${files.cert}`);
  }
  const authorities = parsed('tls.ca', files.ca, () => certificatesIn(ca));
  const chain = parsed('tls.cert', files.cert, () => certificatesIn(cert));
  if (!isIssuedBy(certificate, authorities, chain)) {
    throw new TlsFileError(
      `tls.cert: ${files.cert} is not issued by an authority in ${files.ca} (${authorities.map(fingerprintOf).join(', ')})`,
    );
  }
  const double = authorities.find((each) => certificate.checkIssued(each) && !certificate.verify(each.publicKey));
  if (double !== undefined) {
    throw new TlsFileError(
      `tls.ca: ${files.ca} has two authorities of the name ${double.subject}, and their certificates do not say by a key identifier which one has issued them: TLS takes one for the other. Make the new authority with another name (sublet ca init --ca DIR --name NAME)`,
    );
  }
  const principal = principalIn(certificate, files.cert);
  if (!allowed.includes(principal.role)) {
    throw new TlsFileError(
      `tls.cert: ${files.cert} is of the role ${principal.role}; ${allowed.join(' or ')} is needed here`,
    );
  }
  const { beginsMs, endsMs } = principal;
  if (nowMs < beginsMs || nowMs > endsMs) {
    throw new TlsFileError(
      `tls.cert: ${files.cert} is valid from ${timeText(beginsMs)} to ${timeText(endsMs)}, and this host's clock says ${timeText(nowMs)}: ${datesRemedy(principal, nowMs)}`,
    );
  }
  const context = parsed('tls', files.cert, () =>
    createSecureContext({ ca: authorities.map(String), cert, key, minVersion: tlsVersion, ecdhCurve: tlsGroups }),
  );
  const authorityEndsMs = Math.min(...authorities.map((authority) => authority.validToDate.getTime()));
  return { context, ca, cert, key, authorities, principal, authorityEndsMs, warnings: keyWarnings(files.key) };
}

function datesRemedy({ role, id, beginsMs }: Principal, nowMs: number): string {
  if (nowMs < beginsMs) return 'set the clock of this host or of the one that issued it';
  const issue = `sublet ca issue ${role} ${id}`;
  if (role !== 'agent') return `issue another one (${issue})`;
  return `make a token (sublet token create --role agent --id ${id}) and start the agent with --join TOKEN, or issue another one (${issue})`;
}

function principalIn(certificate: X509Certificate, file: string): Principal {
  try {
    return principalOf(certificate.raw);
  } catch (error) {
    if (error instanceof PrincipalError) throw new TlsFileError(`tls.cert: ${file}: ${error.message}`);
    throw error;
  }
}

function readPem(setting: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new TlsFileError(`${setting}: ${file} can't be read: ${unreadableText(error)}`);
  }
}

function unreadableText(error: unknown): string {
  const code = errorCode(error);
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'there is no such file';
  return code === 'EACCES' ? 'this user may not read it' : errorText(error);
}

function parsed<T>(setting: string, file: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new TlsFileError(`${setting}: ${file} has no PEM that can be read: ${errorText(error)}`);
  }
}

/** By the mode of the file that a link leads to. @throws TlsFileError for a key that others may write */
function keyWarnings(file: string): readonly string[] {
  const mode = statSync(file).mode & 0o777;
  const text = mode.toString(8).padStart(4, '0');
  if ((mode & 0o022) !== 0) {
    throw new TlsFileError(`tls.key: ${file} can be written by others (mode ${text}); chmod 600 ${file}`);
  }
  return (mode & 0o044) === 0 ? [] : [`tls.key: ${file} can be read by others (mode ${text}); chmod 600 ${file}`];
}

/** In UTC, to the second. */
export function timeText(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}
