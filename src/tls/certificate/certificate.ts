/** What a certificate says of its holder. */
import { createHash, X509Certificate } from 'node:crypto';
import { uriNamesOf } from '#tls/certificate/subject-alternative-names.js';
import { type Principal, PrincipalError, parsePrincipal } from '#tls/principal.js';

/** The principal of a certificate whose chain, dates and usage TLS has verified. @throws PrincipalError */
export function principalOf(certificate: Uint8Array): Principal {
  const uris = uriNamesOf(certificate);
  const [uri, ...others] = uris;
  if (uri === undefined) {
    throw new PrincipalError('the certificate has no sublet:// name among its subject alternative names');
  }
  if (others.length > 0) {
    throw new PrincipalError(
      `the certificate has ${uris.length} URIs in its subject alternative names; exactly one is allowed`,
    );
  }
  const { serialNumber: serial, validFromDate, validToDate } = new X509Certificate(certificate);
  return { ...parsePrincipal(uri), serial, beginsMs: validFromDate.getTime(), endsMs: validToDate.getTime() };
}

/** Intermediate authorities between a certificate and one that is trusted. */
const chainMax = 8;
const pemPattern = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

const beginPattern = /-----BEGIN CERTIFICATE-----/g;

/** All certificates of a PEM file, in order. @throws Error for a file with none, and for one that can't be read or is cut */
export function certificatesIn(pem: Buffer): readonly [X509Certificate, ...X509Certificate[]] {
  const text = pem.toString('latin1');
  const found = text.match(pemPattern) ?? [];
  // A file that is being written: its authorities so far are not all of them.
  if (found.length !== (text.match(beginPattern) ?? []).length) throw new Error('a certificate in it is cut off');
  const [first, ...others] = found.map((each) => new X509Certificate(each));
  if (first === undefined) throw new Error('it has no certificate');
  return [first, ...others];
}

/** Whether signatures lead from the certificate to one of `authorities`, directly or through certificates of `chain`. */
export function isIssuedBy(
  certificate: X509Certificate,
  authorities: readonly X509Certificate[],
  chain: readonly X509Certificate[] = [],
): boolean {
  let at = certificate;
  for (let steps = 0; steps <= chainMax; steps++) {
    const signs = (issuer: X509Certificate): boolean => at.checkIssued(issuer) && at.verify(issuer.publicKey);
    if (authorities.some(signs)) return true;
    const next = chain.find((each) => each.fingerprint256 !== at.fingerprint256 && signs(each));
    if (next === undefined) return false;
    at = next;
  }
  return false;
}

/** `sha256:…`, of the public key of a certificate: what people compare. */
export function fingerprintOf({ publicKey }: X509Certificate): string {
  const der = publicKey.export({ type: 'spki', format: 'der' });
  return `sha256:${createHash('sha256').update(der).digest('hex')}`;
}
