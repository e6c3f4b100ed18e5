/**
 * A process's own certificate, its key and the authorities that it trusts, in a folder: made once by joining, and renewed in
 * place. The key is there before the certificate, so that a host that stops while it joins goes on with the same key; a
 * renewal keeps it, so that one rename puts the new certificate in place.
 */
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writeDurably } from '#files/durable-file.js';
import { makePrivateFolder } from '#files/private-folder.js';
import type { TlsFiles } from '#tls/certificate/tls-files.js';

export class TlsFolder {
  readonly path: string;
  readonly files: TlsFiles;

  constructor(files: TlsFiles) {
    this.path = dirname(files.cert);
    this.files = files;
  }

  /** With the names that `sublet ca issue` gives. */
  static at(path: string): TlsFolder {
    const file = (name: string): string => join(path, name);
    return new TlsFolder({ ca: file('ca.pem'), cert: file('cert.pem'), key: file('key.pem') });
  }

  /** Whether a certificate is there. */
  get joined(): boolean {
    return existsSync(this.files.cert);
  }

  /** The key, PEM; made if there is none. @throws FolderError, WriteError */
  key(): string {
    if (!existsSync(this.files.key)) {
      makePrivateFolder(this.path);
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      writeDurably(this.files.key, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
    }
    return readFileSync(this.files.key, 'utf8');
  }

  /** @throws WriteError */
  put({ certificate, authorities }: { readonly certificate: string; readonly authorities: string }): void {
    if (!existsSync(this.files.ca) || readFileSync(this.files.ca, 'utf8') !== authorities) {
      writeDurably(this.files.ca, authorities);
    }
    writeDurably(this.files.cert, certificate);
  }

  /** For a host that joins anew: its former certificate is of no use. */
  forget(): void {
    rmSync(this.files.cert, { force: true });
    rmSync(this.files.key, { force: true });
  }
}
