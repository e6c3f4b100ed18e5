/** A certificate authority for tests: makes the certificates that a test asks for, right ones and wrong ones. */
import { X509Certificate } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CertificateContent, makeAuthority, type PemPair, signCertificate } from '#tls/certificate/authority.js';
import type { TlsFiles } from '#tls/certificate/tls-files.js';

const hourMs = 3_600_000;

export type CertificateRequest = Partial<CertificateContent>;
export type IssuedCertificate = PemPair & { readonly raw: Uint8Array };

export class TestAuthority {
  readonly #pair: PemPair;
  /** Trusted beside it, in the files that it writes. */
  readonly #others: readonly TestAuthority[];

  private constructor(pair: PemPair, others: readonly TestAuthority[]) {
    this.#pair = pair;
    this.#others = others;
  }

  static async make(name = 'test', others: readonly TestAuthority[] = []): Promise<TestAuthority> {
    return new TestAuthority(await makeAuthority(name, 1, Date.now()), others);
  }

  get pem(): string {
    return this.#pair.cert;
  }

  /** A certificate for `sublet://ROLE/ID` that may serve and call, or for what `request` says. */
  async issue(uri: string, request: CertificateRequest = {}): Promise<IssuedCertificate> {
    const issued = await signCertificate(this.#pair, {
      names: [{ type: 'url', value: uri }],
      commonName: 'no name of its own',
      usages: ['server', 'client'],
      fromMs: Date.now() - hourMs,
      toMs: Date.now() + hourMs,
      ...request,
    });
    return { ...issued, raw: new X509Certificate(issued.cert).raw };
  }

  /** As `issue`, in files of a folder. */
  async files(folder: string, uri: string, request: CertificateRequest = {}): Promise<TlsFiles> {
    const { cert, key } = await this.issue(uri, request);
    return writeTlsFiles(folder, { ca: [this, ...this.#others].map(({ pem }) => pem).join(''), cert, key });
  }
}

export function writeTlsFiles(
  folder: string,
  content: { readonly ca: string; readonly cert: string; readonly key: string },
): TlsFiles {
  mkdirSync(folder, { recursive: true });
  const files = { ca: join(folder, 'ca.pem'), cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
  for (const part of ['ca', 'cert', 'key'] as const) writeFileSync(files[part], content[part], { mode: 0o600 });
  return files;
}
