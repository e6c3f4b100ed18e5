/** What a certificate says of its holder. */
import { X509Certificate } from 'node:crypto';
import { type Principal, PrincipalError, parsePrincipal } from '#tls/principal.js';
import { uriNamesOf } from '#tls/subject-alternative-names.js';

/** The principal of a certificate whose chain, dates and usage TLS has verified. @throws PrincipalError */
export function principalOf(certificate: Uint8Array): Principal {
  const uris = uriNamesOf(certificate);
  const [uri, ...others] = uris;
  if (uri === undefined)
    throw new PrincipalError('the certificate has no sublet:// name among its subject alternative names');
  if (others.length > 0) {
    throw new PrincipalError(
      `the certificate has ${uris.length} URIs in its subject alternative names; exactly one is allowed`,
    );
  }
  return { ...parsePrincipal(uri), serial: new X509Certificate(certificate).serialNumber };
}

/** When a certificate begins and ends to be valid, ms since 1970. */
export function validityOf(certificate: X509Certificate): { readonly fromMs: number; readonly toMs: number } {
  return { fromMs: certificate.validFromDate.getTime(), toMs: certificate.validToDate.getTime() };
}
