/** Why the certificate of another process is not accepted, in words: its dates, or its authority. */
import type { X509Certificate } from 'node:crypto';
import { fingerprintOf, isIssuedBy } from '#tls/certificate/certificate.js';
import { timeText } from '#tls/certificate/tls-files.js';

/** Certificates that are looked through for the authority. */
const chainMax = 8;

/**
 * What is wrong with a certificate; undefined: neither its dates nor its authority.
 * @param authorities those that are trusted here
 * @param nowMs ms since 1970
 */
export function faultOf(
  certificate: X509Certificate,
  authorities: readonly X509Certificate[],
  nowMs: number,
): string | undefined {
  const [beginsMs, endsMs] = [certificate.validFromDate.getTime(), certificate.validToDate.getTime()];
  if (nowMs < beginsMs || nowMs > endsMs) {
    return `it is valid from ${timeText(beginsMs)} to ${timeText(endsMs)}, and the clock of this machine says ${timeText(nowMs)}`;
  }
  const chain = issuersOf(certificate);
  if (isIssuedBy(certificate, authorities, chain)) return undefined;
  const shown = chain.at(-1);
  const whose = shown === undefined ? `the certificate is ${fingerprintOf(certificate)}` : fingerprintOf(shown);
  return `it is of another authority (${whose}; expected ${authorities.map(fingerprintOf).join(' or ')})`;
}

/**
 * The chain above a certificate, as far as the other process has sent it. Node.js also names a certificate that is trusted
 * here and has the issuer's name; one that has not signed the certificate below it is left out.
 */
export function issuersOf(certificate: X509Certificate): readonly X509Certificate[] {
  const chain: X509Certificate[] = [];
  let below = certificate;
  let at = certificate.issuerCertificate;
  while (
    at !== undefined &&
    below.verify(at.publicKey) &&
    chain.length < chainMax &&
    !chain.some((each) => each.fingerprint256 === at?.fingerprint256)
  ) {
    chain.push(at);
    below = at;
    at = at.issuerCertificate;
  }
  return chain;
}
