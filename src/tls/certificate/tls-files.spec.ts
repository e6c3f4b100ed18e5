import 'reflect-metadata';
import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';
import { readTlsFiles } from '#tls/certificate/tls-files.js';
import { TestAuthority, writeTlsFiles } from '#tls/testing/test-authority.js';

/** A certificate without key identifiers, as other programs make them. */
async function bareAuthority(name: string): Promise<string> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [name] }],
    signingAlgorithm: algorithm,
    keys: await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']),
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  });
  return `${certificate.toString('pem')}\n`;
}

describe('the files of tls with two authorities', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sublet-tls-files-spec-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('are refused where TLS would take one for the other', async () => {
    const authority = await TestAuthority.make('Sublet');
    const { cert, key } = await authority.issue('sublet://agent/a');
    const read = (...others: readonly string[]) =>
      readTlsFiles(writeTlsFiles(folder, { ca: [authority.pem, ...others].join(''), cert, key }), ['agent']);
    assert.equal(read(await bareAuthority('Other'), (await TestAuthority.make('Sublet')).pem).authorities.length, 3);
    const double = await bareAuthority('Sublet');
    assert.throws(
      () => read(double),
      /^TlsFileError: tls\.ca: .*ca\.pem has two authorities of the name CN=Sublet, .* \(sublet ca init --ca DIR --name NAME\)$/,
    );
  });
});
