/**
 * Certificate signing requests (PKCS #10): a host's own, and what a master takes of one, which is its key. The module takes
 * long to load: a host loads it when it joins or renews, a master when it signs first.
 */
import 'reflect-metadata';
import { createPrivateKey, createPublicKey, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

export class CertificateRequestError extends Error {
  override readonly name = 'CertificateRequestError';
}

/** A request with a P-384 key has some 500 bytes. */
export const certificateRequestBytesMax = 4_096;

/** By the names of OpenSSL: what is at least as strong as P-256, and verified quickly. */
const curves: Readonly<Record<string, { readonly namedCurve: string; readonly hash: string }>> = {
  prime256v1: { namedCurve: 'P-256', hash: 'SHA-256' },
  secp384r1: { namedCurve: 'P-384', hash: 'SHA-384' },
};

/** A request for the key in `keyPem` (PKCS #8, ECDSA), signed with it, in DER. It names nothing else. */
export async function makeCertificateRequest(keyPem: string): Promise<Buffer> {
  const key = createPrivateKey(keyPem);
  const curve = curves[key.asymmetricKeyDetails?.namedCurve ?? ''];
  if (curve === undefined) throw new CertificateRequestError('the key is none on P-256 or P-384');
  const algorithm = { name: 'ECDSA', ...curve };
  const { subtle } = webcrypto;
  const [privateKey, publicKey] = await Promise.all([
    subtle.importKey('pkcs8', key.export({ type: 'pkcs8', format: 'der' }), algorithm, false, ['sign']),
    subtle.importKey('spki', createPublicKey(key).export({ type: 'spki', format: 'der' }), algorithm, true, ['verify']),
  ]);
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    keys: { privateKey, publicKey },
    signingAlgorithm: algorithm,
  });
  return Buffer.from(request.rawData);
}

/**
 * The key of a request whose sender has proved to have it: SubjectPublicKeyInfo in DER. Names, extensions and attributes of
 * the request are not looked at.
 * @throws CertificateRequestError
 */
export async function keyOfRequest(der: Uint8Array): Promise<Buffer<ArrayBuffer>> {
  if (der.length === 0 || der.length > certificateRequestBytesMax) {
    throw new CertificateRequestError(`it has ${der.length} bytes: 1 to ${certificateRequestBytesMax} are allowed`);
  }
  const request = readable(() => new x509.Pkcs10CertificateRequest(Uint8Array.from(der)));
  const spki = Buffer.from(readable(() => request.publicKey.rawData));
  checkKey(spki);
  const proven = await request.verify().catch(() => false);
  if (!proven) throw new CertificateRequestError('its signature is not of its key');
  return spki;
}

/** @throws CertificateRequestError for a key that is not on one of the curves, and for one that is weak */
function checkKey(spki: Buffer): void {
  const { asymmetricKeyType = 'unknown', asymmetricKeyDetails } = readable(() =>
    createPublicKey({ key: spki, type: 'spki', format: 'der' }),
  );
  const curve = asymmetricKeyDetails?.namedCurve;
  if (asymmetricKeyType === 'ec' && curve !== undefined && curves[curve] !== undefined) return;
  const size = curve ?? asymmetricKeyDetails?.modulusLength ?? '';
  throw new CertificateRequestError(
    `its key is ${[asymmetricKeyType, size].join(' ').trim()}: ECDSA on P-256 or P-384 is allowed`,
  );
}

function readable<T>(read: () => T): T {
  try {
    return read();
  } catch {
    // Each parser has errors of its own: whatever it is, the bytes are no request.
    throw new CertificateRequestError('its bytes are not a certificate signing request (PKCS #10, DER)');
  }
}
