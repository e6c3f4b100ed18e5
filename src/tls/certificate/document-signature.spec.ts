import 'reflect-metadata';
import assert from 'node:assert/strict';
import { KeyObject, webcrypto, X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { signCertificate } from '#tls/certificate/authority.js';
import { signDocument, verifyDocument } from '#tls/certificate/document-signature.js';
import { type CertificateRequest, TestAuthority } from '#tls/testing/test-authority.js';

const hourMs = 3_600_000;

describe('a signed document', () => {
  let authority: TestAuthority;
  let trusted: readonly X509Certificate[];
  const now = Date.now();

  before(async () => {
    authority = await TestAuthority.make();
    trusted = [new X509Certificate(authority.pem)];
  });

  async function signed(uri: string, request: CertificateRequest = {}, by = authority) {
    const { cert, key } = await by.issue(uri, request);
    return signDocument({ cert: Buffer.from(cert), key: Buffer.from(key) }, 'a plan');
  }

  it('is of the master that has signed it', async () => {
    const { role, id } = verifyDocument(await signed('sublet://master/m1'), 'a plan', trusted, now);
    assert.deepEqual([role, id], ['master', 'm1']);
  });

  it('is refused with another statement, and with another signature', async () => {
    const good = await signed('sublet://master/m1');
    assert.throws(() => verifyDocument(good, 'a plam', trusted, now), /its signature is wrong: it was changed after/);
    const other = await signed('sublet://master/m1');
    const mixed = { ...good, signature: other.signature };
    assert.throws(() => verifyDocument(mixed, 'a plan', trusted, now), /its signature is wrong/);
    assert.throws(
      () => verifyDocument({ ...good, certificates: 'none' }, 'a plan', trusted, now),
      /the certificates of its signature can't be read: it has no certificate/,
    );
  });

  it('is refused of another authority', async () => {
    const foreign = await signed('sublet://master/m1', {}, await TestAuthority.make('other'));
    assert.throws(
      () => verifyDocument(foreign, 'a plan', trusted, now),
      /a certificate of another authority than sha256:/,
    );
  });

  it('is refused of another role, and of a name of a master in a certificate for clients', async () => {
    const agent = await signed('sublet://agent/a1', { usages: ['client'] });
    assert.throws(() => verifyDocument(agent, 'a plan', trusted, now), /signed by agent\/a1, which is not a master/);
    const client = await signed('sublet://master/m1', { usages: ['client'] });
    assert.throws(() => verifyDocument(client, 'a plan', trusted, now), /signed by master\/m1, which is not a master/);
  });

  it('is refused of a certificate that a host has issued with its own, which does not say what its key may do', async () => {
    const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
    const pem = async (key: webcrypto.CryptoKey): Promise<string> =>
      String(KeyObject.from(key).export({ type: 'pkcs8', format: 'pem' }));
    const root = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
    const host = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
    const common = { notBefore: new Date(now - hourMs), notAfter: new Date(now + hourMs), signingAlgorithm: algorithm };
    const rootCertificate = await x509.X509CertificateGenerator.createSelfSigned({
      ...common,
      name: 'CN=root',
      keys: root,
    });
    const hostCertificate = await x509.X509CertificateGenerator.create({
      ...common,
      issuer: 'CN=root',
      subject: 'CN=host',
      publicKey: host.publicKey,
      signingKey: root.privateKey,
    });
    const cert = hostCertificate.toString('pem');
    const forged = await signCertificate(
      { cert, key: await pem(host.privateKey) },
      {
        names: [{ type: 'url', value: 'sublet://master/m1' }],
        commonName: 'm1',
        usages: ['server', 'client'],
        fromMs: now - hourMs,
        toMs: now + hourMs,
      },
    );
    const document = signDocument(
      { cert: Buffer.from(`${forged.cert}\n${cert}`), key: Buffer.from(forged.key) },
      'a plan',
    );
    const roots = [new X509Certificate(rootCertificate.toString('pem'))];
    assert.throws(() => verifyDocument(document, 'a plan', roots, now), /a certificate of another authority/);
  });

  it('counts the certificate as of the time of signing', async () => {
    const document = await signed('sublet://master/m1', { fromMs: now - 9 * hourMs, toMs: now - 8 * hourMs });
    assert.equal(verifyDocument(document, 'a plan', trusted, now - 8.5 * hourMs).id, 'm1');
    for (const at of [now, now - 10 * hourMs]) {
      assert.throws(() => verifyDocument(document, 'a plan', trusted, at), /with a certificate that was valid from/);
    }
  });
});
