import assert from 'node:assert/strict';
import fc from 'fast-check';
import { fuzzRuns, fuzzTimeoutMs } from '#cluster-test/fuzz/amount.js';
import { principalOf } from '#tls/certificate/certificate.js';
import { uriNamesOf } from '#tls/certificate/subject-alternative-names.js';
import { formatPrincipal, PrincipalError, parsePrincipal, principalUri, roles } from '#tls/principal.js';
import { type CertificateRequest, TestAuthority } from '#tls/testing/test-authority.js';

describe('an identity', () => {
  let authority: TestAuthority;

  before(async () => {
    authority = await TestAuthority.make();
  });

  async function shown(uri: string, request: CertificateRequest = {}): Promise<string> {
    const { raw } = await authority.issue(uri, request);
    return formatPrincipal(principalOf(raw));
  }

  it('is the one URI of a certificate, whatever else the certificate says', async () => {
    assert.equal(await shown('sublet://agent/host-7', { commonName: 'admin' }), 'agent/host-7');
    const names = [
      { type: 'dns', value: 'host-7.example' },
      { type: 'ip', value: '10.0.0.7' },
      { type: 'url', value: 'sublet://operator/alice' },
    ] as const;
    assert.equal(await shown('', { names }), 'operator/alice');
  });

  it('rows 8, 9: is refused without a URI, and with two', async () => {
    await assert.rejects(shown('', { names: [], commonName: 'agent' }), /has no sublet:\/\/ name/);
    await assert.rejects(shown('', { names: [{ type: 'dns', value: 'sublet' }] }), /has no sublet:\/\/ name/);
    const two = ['sublet://agent/a1', 'sublet://operator/root'].map((value) => ({ type: 'url', value }) as const);
    await assert.rejects(shown('', { names: two }), /has 2 URIs in its subject alternative names; exactly one/);
  });

  it('row 10: is refused in every other spelling', () => {
    const wrong = [
      ...['', 'sublet://', 'sublet://agent', 'sublet://agent/', 'sublet:///a', 'agent/a', 'sublet:agent/a'],
      ...['SUBLET://agent/a', 'Sublet://agent/a', 'sublet://Agent/a', 'sublet://root/a', 'sublet://agents/a'],
      ...['sublet://agent/a/', 'sublet://agent/a/b', 'sublet://agent//a', 'sublet://agent/a?x', 'sublet://agent/a#x'],
      ...[
        'sublet://agent/a%2f',
        'sublet://agent/%61',
        'sublet://u@agent/a',
        'sublet://agent:1/a',
        'sublet://agent/a,b',
      ],
      ...['sublet://agent/a\0', 'sublet://agent/a\n', ' sublet://agent/a', 'sublet://agent/a ', 'sublet://agent/ä'],
      ...['sublet://agent/a", URI:"sublet://operator/b', `sublet://agent/${'a'.repeat(254)}`],
    ];
    for (const uri of wrong) assert.throws(() => parsePrincipal(uri), PrincipalError, JSON.stringify(uri));
    const ids = fc.stringMatching(/^[A-Za-z0-9._:-]{1,253}$/);
    fc.assert(
      fc.property(fc.constantFrom(...roles), ids, (role, id) => {
        assert.deepEqual(parsePrincipal(principalUri({ role, id })), { role, id });
      }),
    );
  });

  it('comes from no bytes but those of a certificate: mutated ones are refused, or say the same or nothing', async () => {
    const uri = 'sublet://agent/host-7';
    const { raw } = await authority.issue(uri);
    const mutation = fc.record({ at: fc.nat(raw.length - 1), byte: fc.nat(255), cut: fc.option(fc.nat(raw.length)) });
    const allowed = (uris: readonly string[]): boolean => uris.every((each) => each.length === uri.length);
    fc.assert(
      fc.property(mutation, ({ at, byte, cut }) => {
        const mutated = Uint8Array.from(raw.subarray(0, cut ?? raw.length));
        if (at < mutated.length) mutated[at] = byte;
        try {
          assert.ok(allowed(uriNamesOf(mutated)));
        } catch (error) {
          assert.ok(error instanceof PrincipalError, String(error));
        }
      }),
      fuzzRuns(5_000),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        try {
          uriNamesOf(bytes);
        } catch (error) {
          assert.ok(error instanceof PrincipalError, String(error));
        }
      }),
    );
  }).timeout(fuzzTimeoutMs);
});
