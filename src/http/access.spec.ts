import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Access, type AccessRules, accessRefusal, Token } from '#http/access.js';

const secret = '0123456789abcdef0123456789abcdef';

function asked(authorization?: string): IncomingMessage {
  const request = new IncomingMessage(new Socket());
  if (authorization !== undefined) request.headers.authorization = authorization;
  return request;
}

describe('access to an HTTP port', () => {
  const code = (rules: Omit<AccessRules, 'advice'>, needed: Access, authorization?: string): number =>
    accessRefusal(asked(authorization), needed, { ...rules, advice: 'do this' })?.code ?? 200;

  it('is as open as it is said to be', () => {
    assert.equal(code({ open: 'change' }, 'change'), 200);
    assert.equal(code({ open: 'read' }, 'read'), 200);
    assert.equal(code({ open: 'read' }, 'change'), 401);
    assert.equal(code({ open: 'nothing' }, 'read'), 401);
    const { body = '' } = accessRefusal(asked(), 'read', { open: 'nothing', advice: 'do this' }) ?? {};
    assert.equal(body, 'this needs to be authenticated: do this\n');
  });

  it('allows the bearer of the token to read, and to change nothing', () => {
    const rules = { open: 'nothing', token: new Token(secret) } as const;
    assert.equal(code(rules, 'read', `Bearer ${secret}`), 200);
    assert.equal(code(rules, 'read', `bearer  ${secret}`), 200);
    assert.equal(code(rules, 'change', `Bearer ${secret}`), 403);
    for (const wrong of ['', 'Bearer', `Basic ${secret}`, `Bearer ${secret}x`, `Bearer ${secret.slice(1)}`]) {
      assert.equal(code(rules, 'read', wrong), 401, wrong);
    }
    assert.equal(code({ open: 'nothing' }, 'read', `Bearer ${secret}`), 401, 'there is no token');
  });

  it('row 82: reports each request with a wrong token', () => {
    let wrong = 0;
    const rules = { open: 'nothing', token: new Token(secret), wrongToken: () => (wrong += 1) } as const;
    for (const authorization of [undefined, `Bearer ${secret}`, 'Basic ???']) code(rules, 'read', authorization);
    assert.equal(wrong, 0);
    code(rules, 'read', `Bearer ${secret}x`);
    code(rules, 'change', `Basic ${Buffer.from('anyone:x').toString('base64')}`);
    assert.equal(wrong, 2);
  });

  it('is given by the certificate of the connection', () => {
    const of = (access: Access | undefined): Omit<AccessRules, 'advice'> => ({
      open: 'nothing',
      byCertificate: () => access,
    });
    assert.equal(code(of('change'), 'change'), 200);
    assert.equal(code(of('read'), 'read'), 200);
    assert.equal(code(of('read'), 'change'), 403);
    assert.equal(code(of(undefined), 'read'), 401);
  });

  it('reads the token from a file that is for its user alone', () => {
    const folder = mkdtempSync(join(tmpdir(), 'sublet-token-spec-'));
    const file = (name: string, content: string, mode: number): string => {
      writeFileSync(join(folder, name), content);
      // Not left to the umask of the process, which other specs set.
      chmodSync(join(folder, name), mode);
      return join(folder, name);
    };
    assert.ok(Token.read('http_token_file', file('right', `${secret}\n`, 0o600)).equals(secret));
    const read = (path: string) => () => Token.read('http_token_file', path);
    assert.throws(read(file('open', secret, 0o644)), /^TokenFileError: http_token_file: .*\(mode 0644\): chmod 600 /);
    assert.throws(read(file('short', 'hunter2', 0o600)), {
      name: 'TokenFileError',
      message: /has to hold one word of 16 to 4096 characters/,
    });
    assert.throws(read(file('two', `${secret} ${secret}`, 0o600)), /has to hold one word/);
    assert.throws(read(join(folder, 'none')), /^TokenFileError: http_token_file: .*ENOENT/);
    rmSync(folder, { recursive: true });
  });
});
