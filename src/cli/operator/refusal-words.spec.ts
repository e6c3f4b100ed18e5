import assert from 'node:assert/strict';
import { shortReason } from '#cli/operator/refusal-words.js';

describe('the reason why a master was not reached', () => {
  it('is in words, without what OpenSSL and grpc-js say', () => {
    const openssl =
      '405D3FEEC87F0000:error:0A00010B:SSL routines:tls_validate_record_header:wrong version number:../deps/openssl/x.c:77:\n';
    const last = (reason: string): string =>
      `No connection established. Last error: ${reason} (2026-01-02T03:04:05.678Z). Resolution note: `;
    const cases = [
      [last(openssl), 'what listens there does not speak TLS'],
      [last('connect ECONNREFUSED 10.0.0.9:7070'), 'nothing listens there (connection refused)'],
      [last('read ECONNRESET'), 'read ECONNRESET'],
      ['Deadline exceeded after 2.5s,metadata filters: 0.001s', 'no answer within 2.5s'],
    ] as const;
    for (const [reason, words] of cases) assert.equal(shortReason(reason), words);
  });
});
