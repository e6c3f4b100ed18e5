/** A certificate authority for tests: makes the certificates that a test asks for, right ones and wrong ones. */
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';
import type { TlsFiles } from '#tls/tls-files.js';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const hourMs = 3_600_000;

export type CertificateRequest = {
  /** Subject alternative names, in order; default: the one URI. */
  readonly names?: readonly { readonly type: 'url' | 'dns' | 'ip' | 'email'; readonly value: string }[];
  readonly commonName?: string;
  /** Default: server and client. */
  readonly usages?: readonly ('server' | 'client')[];
  readonly fromMs?: number;
  readonly toMs?: number;
};

export type IssuedCertificate = { readonly cert: string; readonly key: string; readonly raw: Uint8Array };

export class TestAuthority {
  readonly #keys: KeyPair;
  readonly #certificate: x509.X509Certificate;
  #serial = 1;

  private constructor(keys: KeyPair, certificate: x509.X509Certificate) {
    this.#keys = keys;
    this.#certificate = certificate;
  }

  static async make(name = 'test'): Promise<TestAuthority> {
    const keys = await keyPair();
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      serialNumber: '01',
      name: `CN=${name}`,
      notBefore: new Date(Date.now() - hourMs),
      notAfter: new Date(Date.now() + 24 * hourMs),
      signingAlgorithm: algorithm,
      keys,
      extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
    });
    return new TestAuthority(keys, certificate);
  }

  get pem(): string {
    return this.#certificate.toString('pem');
  }

  /** A certificate for `sublet://ROLE/ID`, or for what `request` says. */
  async issue(uri: string, request: CertificateRequest = {}): Promise<IssuedCertificate> {
    const {
      names = [{ type: 'url', value: uri }],
      commonName = 'nobody in particular',
      usages = ['server', 'client'],
    } = request;
    const keys = await keyPair();
    this.#serial += 1;
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: this.#serial.toString(16).padStart(4, '0'),
      subject: `CN=${commonName}`,
      issuer: this.#certificate.subject,
      notBefore: new Date(request.fromMs ?? Date.now() - hourMs),
      notAfter: new Date(request.toMs ?? Date.now() + hourMs),
      signingAlgorithm: algorithm,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.ExtendedKeyUsageExtension(
          usages.map((usage) => x509.ExtendedKeyUsage[usage === 'server' ? 'serverAuth' : 'clientAuth']),
        ),
        ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension([...names])]),
      ],
    });
    const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
    return {
      cert: certificate.toString('pem'),
      key: `-----BEGIN PRIVATE KEY-----\n${key.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END PRIVATE KEY-----\n`,
      raw: new Uint8Array(certificate.rawData),
    };
  }

  /** As `issue`, in files of a folder. */
  async files(folder: string, uri: string, request: CertificateRequest = {}): Promise<TlsFiles> {
    const { cert, key } = await this.issue(uri, request);
    return writeTlsFiles(folder, { ca: this.pem, cert, key });
  }
}

export function writeTlsFiles(
  folder: string,
  content: { readonly ca: string; readonly cert: string; readonly key: string },
): TlsFiles {
  mkdirSync(folder, { recursive: true });
  const files = { ca: join(folder, 'ca.pem'), cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
  for (const part of ['ca', 'cert', 'key'] as const) writeFileSync(files[part], content[part], { mode: 0o600 });
  chmodSync(files.key, 0o600);
  return files;
}

type KeyPair = webcrypto.CryptoKeyPair;

function keyPair(): Promise<KeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}
