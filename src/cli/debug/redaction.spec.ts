import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { redacted } from '#cli/debug/redaction.js';

const { privateKey } = generateKeyPairSync('ed25519');
const pem = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
const token = `sj1.${'a'.repeat(43)}.${'b'.repeat(22)}.${'c'.repeat(43)}`;

describe('secrets in a bundle', () => {
  const cases: readonly (readonly [string, string, string, number])[] = [
    ['a private key', `a\n${pem}b`, 'a\n[left out]\nb', 1],
    ['a private key that is cut off', pem.slice(0, 60), '[left out]', 1],
    ['a token to join with', `{"join": "${token}"}`, '{"join": "sj1.[left out]"}', 1],
    ['a token in a log', `joins by ${token}, twice ${token}`, 'joins by sj1.[left out], twice sj1.[left out]', 2],
    [
      'a key of age',
      '# public key: age1x\nAGE-SECRET-KEY-1QQ7Z\n',
      '# public key: age1x\nAGE-SECRET-KEY-[left out]\n',
      1,
    ],
    ['a header', 'authorization: Bearer abcdefgh.ijk', 'authorization: Bearer [left out]', 1],
    ['a password in an address', 'tcp://user:pa$$@10.0.0.1:2375/', 'tcp://[left out]@10.0.0.1:2375/', 1],
    [
      'a value that its name calls secret',
      '{"db_password": "x\\"y", "Token":"z"}',
      '{"db_password": "[left out]", "Token":"[left out]"}',
      2,
    ],
    ['a flag', 'run --api-token=abc --password x', 'run --api-token=[left out] --password [left out]', 2],
    ['an environment', 'DB_PASSWORD=x HOME=/root', 'DB_PASSWORD=[left out] HOME=/root', 1],
  ];
  for (const [title, text, wanted, count] of cases) {
    it(`are left out: ${title}`, () => assert.deepEqual(redacted(text), { text: wanted, count }));
  }

  it('are nothing else', () => {
    const plain =
      '{"tls": {"key": "/etc/sublet/key.pem"}, "id": "sublet://admin/alice", "at": "alice@10.0.0.7"}\n-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----';
    assert.deepEqual(redacted(plain), { text: plain, count: 0 });
  });
});
