import assert from 'node:assert/strict';
import { certificateService } from '#api/services.js';
import { refusal } from '#master/testing/refusal.js';
import { TestMasters } from '#master/testing/test-masters.js';
import { sublet } from '#proto/sublet.js';

const { TokenState } = sublet.v1;
const once = { idempotent: false };
const request = {
  tokenId: Buffer.alloc(16, 1),
  secretHash: Buffer.alloc(32, 2),
  role: 'agent',
  subject: 'host-7',
  nodeIp: '10.0.0.7',
  ttlMs: 3_600_000,
  uses: 1,
};

describe('tokens of the masters', () => {
  let masters: TestMasters;
  before(async () => {
    masters = await TestMasters.start({ count: 3 });
  });
  after(() => masters[Symbol.asyncDispose]());

  it('are made, listed and revoked through any of them, and their secrets are nowhere', async () => {
    const [first, second, third] = [masters.client(0), masters.client(1), masters.client(2)];
    const before = Date.now();
    const { token } = await second.call(certificateService.createToken, request, once);
    const { tokens } = await third.call(certificateService.listTokens, {}, once);
    assert.deepEqual(tokens.length, 1);
    const [listed] = tokens;
    for (const each of [token, listed]) {
      assert.deepEqual(
        [each?.role, each?.subject, each?.nodeIp, each?.uses, each?.used, each?.state, each?.createdBy],
        ['agent', 'host-7', '10.0.0.7', 1, 0, TokenState.TOKEN_STATE_VALID, 'operator@127.0.0.1'],
      );
      const ends = (each?.ends?.seconds ?? 0) * 1_000;
      assert.ok(ends > before + 3_500_000 && ends < before + 3_700_000, `it ends at ${ends}`);
      assert.ok(!('secretHash' in (each ?? {})));
    }
    const { token: revoked } = await first.call(certificateService.revokeToken, { tokenId: request.tokenId }, once);
    assert.equal(revoked?.state, TokenState.TOKEN_STATE_REVOKED);
    const after = await third.call(certificateService.listTokens, {}, once);
    assert.equal(after.tokens[0]?.state, TokenState.TOKEN_STATE_REVOKED);
  });

  it('are refused with the field that is wrong', async () => {
    const client = masters.client();
    const wrong = { ...request, tokenId: Buffer.alloc(16, 3) };
    for (const [more, says] of [
      [{ tokenId: Buffer.alloc(15) }, /^token_id has 15 bytes: 16 are needed/],
      [{ secretHash: Buffer.alloc(0) }, /^secret_hash has 0 bytes: 32 are needed/],
      [{ role: 'admin' }, /^role is "admin": one of agent, master is allowed/],
      [{ nodeIp: '10.0.0' }, /^node_ip: /],
      [{ ttlMs: 90_000_000 }, /^create token: ttl_ms is 90000000: 1 to 86400000/],
    ] as const) {
      const { code, message } = await refusal(client.call(certificateService.createToken, { ...wrong, ...more }, once));
      assert.equal(code, 'INVALID_ARGUMENT');
      assert.match(message, says);
    }
    const unknown = await refusal(client.call(certificateService.revokeToken, { tokenId: Buffer.alloc(16, 9) }, once));
    assert.equal(unknown.code, 'NOT_FOUND');
  });
});
