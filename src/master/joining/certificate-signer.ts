/** The authority's key on a master that signs: read once from its file, checked, and kept in memory alone. */

import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { errorText } from '#errors/unknown-error.js';
import { certificatesIn } from '#tls/certificate/certificate.js';
import { TlsFileError } from '#tls/certificate/tls-files.js';
import type { PrincipalName } from '#tls/principal.js';

export type CertificateSignerOptions = {
  /** The setting `tls.ca_key`: PEM, ECDSA on P-256. */
  readonly file: string;
  /** Of `tls.ca`, PEM: the authority's certificate is among them. */
  readonly authorities: string;
  readonly lifetimeMs: number;
  /** Ms since 1970: certificates begin and end by it. */
  readonly wallClock: () => number;
};

export class CertificateSigner {
  readonly #options: CertificateSignerOptions;
  readonly #authority: { readonly cert: string; readonly key: string };

  /** @throws TlsFileError */
  constructor(options: CertificateSignerOptions) {
    this.#options = options;
    const { file, authorities } = options;
    const { key, text } = readKey(file);
    const spki = createPublicKey(key).export({ type: 'spki', format: 'der' });
    const certificate = certificatesIn(Buffer.from(authorities)).find((each) =>
      each.publicKey.export({ type: 'spki', format: 'der' }).equals(spki),
    );
    if (certificate === undefined) {
      throw new TlsFileError(`tls.ca_key: ${file} is not the key of a certificate in tls.ca`);
    }
    if (!certificate.ca) throw new TlsFileError(`tls.ca_key: ${file} is not the key of an authority`);
    this.#authority = { cert: certificate.toString(), key: text };
  }

  /** Loads what signs, so that the first caller does not wait for it. */
  async prepare(): Promise<void> {
    await Promise.all([import('#tls/certificate/authority.js'), import('#tls/certificate/certificate-request.js')]);
  }

  /** The certificate, PEM. @param publicKey SubjectPublicKeyInfo in DER, of a host that has proved to have the key */
  async sign(publicKey: Uint8Array<ArrayBuffer>, principal: PrincipalName): Promise<string> {
    const { certifyKey } = await import('#tls/certificate/authority.js');
    const { lifetimeMs, wallClock } = this.#options;
    return certifyKey(this.#authority, publicKey, principal, lifetimeMs, wallClock());
  }
}

function readKey(file: string): { readonly key: KeyObject; readonly text: string } {
  try {
    const mode = statSync(file).mode & 0o777;
    if ((mode & 0o077) !== 0) {
      const shown = mode.toString(8).padStart(4, '0');
      throw new TlsFileError(`tls.ca_key: ${file} can be read or written by others (mode ${shown}); chmod 600 ${file}`);
    }
    const key = createPrivateKey(readFileSync(file));
    if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
      throw new TlsFileError(
        `tls.ca_key: ${file} is not an ECDSA key on P-256, as \`sublet ca init\` makes them: a master signs with no other`,
      );
    }
    return { key, text: key.export({ type: 'pkcs8', format: 'pem' }).toString() };
  } catch (error) {
    if (error instanceof TlsFileError) throw error;
    const why = errorText(error);
    throw new TlsFileError(`tls.ca_key: ${file} can't be read as a key: ${why}`);
  }
}
