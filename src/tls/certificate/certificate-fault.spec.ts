import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { fingerprintOf } from '#tls/certificate/certificate.js';
import { faultOf, issuersOf } from '#tls/certificate/certificate-fault.js';
import { TestAuthority } from '#tls/testing/test-authority.js';

describe('a certificate of another authority', () => {
  it('is not said to be of a trusted one with the same name, which Node.js takes for its issuer', async () => {
    const trusted = new X509Certificate((await TestAuthority.make('Sublet')).pem);
    const other = await TestAuthority.make('Sublet');
    const issued = new X509Certificate((await other.issue('sublet://master/m1')).cert);
    // As a connection shows it.
    const below = (issuerCertificate: X509Certificate): X509Certificate =>
      Object.create(issued, { issuerCertificate: { value: issuerCertificate } });
    const certificate = below(trusted);
    assert.deepEqual(issuersOf(certificate), []);
    assert.equal(
      faultOf(certificate, [trusted], Date.now()),
      `it is of another authority (the certificate is ${fingerprintOf(certificate)}; expected ${fingerprintOf(trusted)})`,
    );
    const signer = new X509Certificate(other.pem);
    assert.deepEqual(issuersOf(below(signer)), [signer]);
  });
});
