/** A document signed with the key of a master's certificate, and verified later, also when the certificate has ended. */
import { createPrivateKey, sign, verify, type X509Certificate } from 'node:crypto';
import { errorText } from '#errors/unknown-error.js';
import { certificatesIn, fingerprintOf, isIssuedBy, principalOf } from '#tls/certificate/certificate.js';
import { type TlsMaterial, timeText } from '#tls/certificate/tls-files.js';
import { formatPrincipal, type Principal, PrincipalError } from '#tls/principal.js';

export type DocumentSignature = {
  /** PEM: the signer's, then those between it and its authority. */
  readonly certificates: string;
  /** Base64. */
  readonly signature: string;
};

/** A signature that is not accepted. The message says why. */
export class SignatureError extends Error {
  override readonly name = 'SignatureError';
}

/** Extended key usage of servers: no certificate but a master's has it. */
const serverAuth = '1.3.6.1.5.5.7.3.1';

/** @param statement what is signed: it names its kind, so that it is good for nothing else */
export function signDocument({ cert, key }: Pick<TlsMaterial, 'cert' | 'key'>, statement: string): DocumentSignature {
  const privateKey = createPrivateKey(key);
  const signature = sign(digestOf(privateKey.asymmetricKeyType), Buffer.from(statement), privateKey);
  return { certificates: cert.toString(), signature: signature.toString('base64') };
}

/**
 * The master that has signed.
 * @param authorities those that are trusted
 * @param atMs when it was signed, ms since 1970: its certificate was valid then
 * @throws SignatureError
 */
export function verifyDocument(
  { certificates, signature }: DocumentSignature,
  statement: string,
  authorities: readonly X509Certificate[],
  atMs: number,
): Principal {
  const [certificate, ...others] = readable(certificates);
  const valid = ({ validFromDate, validToDate }: X509Certificate): boolean =>
    validFromDate.getTime() <= atMs && atMs <= validToDate.getTime();
  // The certificate of a host signs none of another host.
  const chain = others.filter((each) => each.ca && valid(each));
  if (!isIssuedBy(certificate, authorities, chain)) {
    const expected = authorities.map(fingerprintOf).join(' or ');
    throw new SignatureError(
      `it is signed with a certificate of another authority than ${expected}: ${certificate.issuer.replaceAll('\n', ', ')}`,
    );
  }
  const { publicKey } = certificate;
  const bytes = Buffer.from(signature, 'base64');
  if (!verify(digestOf(publicKey.asymmetricKeyType), Buffer.from(statement), publicKey, bytes)) {
    throw new SignatureError('its signature is wrong: it was changed after it was signed');
  }
  const principal = signerOf(certificate);
  if (principal.role !== 'master' || !certificate.keyUsage?.includes(serverAuth)) {
    throw new SignatureError(`it is signed by ${formatPrincipal(principal)}, which is not a master`);
  }
  if (!valid(certificate)) {
    const { beginsMs, endsMs } = principal;
    throw new SignatureError(
      `it is signed at ${timeText(atMs)} with a certificate that was valid from ${timeText(beginsMs)} to ${timeText(endsMs)}`,
    );
  }
  return principal;
}

function readable(pem: string): readonly [X509Certificate, ...X509Certificate[]] {
  try {
    return certificatesIn(Buffer.from(pem));
  } catch (error) {
    throw new SignatureError(`the certificates of its signature can't be read: ${errorText(error)}`);
  }
}

function signerOf(certificate: X509Certificate): Principal {
  try {
    return principalOf(certificate.raw);
  } catch (error) {
    if (!(error instanceof PrincipalError)) throw error;
    throw new SignatureError(`its signer is not known: ${error.message}`);
  }
}

/** Keys of EdDSA hash by themselves. */
function digestOf(keyType: string | undefined): 'sha256' | null {
  return keyType === 'ed25519' || keyType === 'ed448' ? null : 'sha256';
}
