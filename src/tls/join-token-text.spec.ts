import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import fc from 'fast-check';
import { fingerprintOf } from '#tls/certificate/certificate.js';
import {
  drawJoinToken,
  formatJoinToken,
  issuerIn,
  JoinTokenError,
  parseJoinToken,
  pinOf,
} from '#tls/join-token-text.js';
import { TestAuthority } from '#tls/testing/test-authority.js';

describe('the text of a token for joining', () => {
  it('is one word, and reads back as it was drawn', () => {
    const token = drawJoinToken(new Uint8Array(32).fill(7));
    const text = formatJoinToken(token);
    assert.match(text, /^sj1\.[\w-]{43}\.[\w-]{22}\.[\w-]{43}$/);
    const { pin, id, secret } = parseJoinToken(text);
    assert.deepEqual([pin, id, secret].map(hex), [token.pin, token.id, token.secret].map(hex));
    assert.notEqual(formatJoinToken(drawJoinToken(token.pin)), text);
  });

  it('is refused in every other spelling, with none of it in the message', () => {
    const text = formatJoinToken(drawJoinToken(new Uint8Array(32).fill(7)));
    const wrong = [
      '',
      'sj1',
      `${text}.`,
      `${text}=`,
      `${text}A`,
      text.slice(0, -1),
      text.replace('sj1', 'sj2'),
      ` ${text}`,
    ];
    fc.assert(
      fc.property(fc.oneof(fc.constantFrom(...wrong), fc.string()), (each) => {
        assert.throws(
          () => parseJoinToken(each),
          (error) => error instanceof JoinTokenError && (each.length < 30 || !error.message.includes(each.slice(60))),
        );
      }),
    );
  });

  it('has the pin of the authority that signed, by its key', async () => {
    const authority = await TestAuthority.make();
    const other = await TestAuthority.make();
    const issued = new X509Certificate((await authority.issue('sublet://master/m1')).cert);
    const issuer = issuerIn(Buffer.from(`${other.pem}\n${authority.pem}`), issued);
    assert.ok(issuer !== undefined);
    assert.equal(`sha256:${pinOf(issuer).toString('hex')}`, fingerprintOf(new X509Certificate(authority.pem)));
    assert.equal(issuerIn(Buffer.from(other.pem), issued), undefined);
  });
});

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
