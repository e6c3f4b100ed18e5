import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { certificateService } from '#api/services.js';
import { run } from '#cli/program.js';
import { CannedMaster } from '#cli/testing/canned-master.js';
import { RecordedTerminal, secondsAgo } from '#cli/testing/recorded-terminal.js';
import { sublet } from '#proto/sublet.js';
import { TestAuthority } from '#tls/testing/test-authority.js';

const { TokenState } = sublet.v1;
const id = Buffer.alloc(16, 0x1a);

describe('sublet token', () => {
  let master: CannedMaster;
  const zone = process.env.TZ;
  before(async () => {
    process.env.TZ = 'UTC';
    const token = {
      id,
      role: 'agent',
      subject: 'host-7',
      nodeIp: '10.0.0.7',
      ends: secondsAgo(-3_600),
      uses: 1,
      used: 0,
      state: TokenState.TOKEN_STATE_VALID,
      createdBy: 'admin/alice@10.0.0.9',
      created: secondsAgo(5),
    };
    const used = { ...token, id: Buffer.alloc(16, 0x2b), nodeIp: '', used: 1, state: TokenState.TOKEN_STATE_USED };
    master = await new CannedMaster()
      .on(certificateService.listTokens, ({ stale }) => ({ tokens: stale ? [] : [token, used], revision: 9 }))
      .on(certificateService.revokeToken, () => ({ token, revision: 10 }))
      .listen();
  });
  after(async () => {
    if (zone === undefined) delete process.env.TZ;
    else process.env.TZ = zone;
    await master[Symbol.asyncDispose]();
  });

  async function ran(...args: readonly string[]) {
    const terminal = new RecordedTerminal(120);
    const exit = await run(['token', ...args, '--master', master.address], terminal);
    return { exit, out: terminal.out, notes: terminal.notes };
  }

  it('lists what was made, without secrets', async () => {
    const { exit, out } = await ran('list');
    assert.equal(exit, 0);
    const lines = out.split('\n').map((line) => line.trim().split(/ {2,}/));
    assert.deepEqual(lines[0], ['TOKEN', 'FOR', 'FROM', 'STATE', 'USED', 'ENDS', 'BY']);
    assert.deepEqual(lines[1]?.slice(0, 5), ['1a'.repeat(16), 'agent/host-7', '10.0.0.7', 'valid', '0 of 1']);
    assert.deepEqual(lines[2]?.slice(0, 5), ['2b'.repeat(16), 'agent/host-7', 'any', 'used', '1 of 1']);
    assert.equal((await ran('list', '--stale')).out, 'There are no tokens.\n');
  });

  it('revokes one by its id', async () => {
    const { exit, out } = await ran('revoke', '1a'.repeat(16));
    assert.equal(exit, 0);
    assert.equal(out, `Token ${'1a'.repeat(16)} for agent/host-7 is revoked.\n`);
    const wrong = await ran('revoke', 'host-7');
    assert.equal(wrong.exit, 2);
    assert.match(wrong.notes, /ID: "host-7" is not 32 hex digits/);
  });

  it('says with --dry-run what it would make or revoke, and does not', async () => {
    master.asked.length = 0;
    const folder = mkdtempSync(join(tmpdir(), 'sublet-token-spec-'));
    try {
      await (await TestAuthority.make()).files(folder, 'sublet://admin/root');
      const made = await ran(
        'create',
        '--role',
        'agent',
        '--id',
        'host-7',
        '--uses',
        '3',
        '--tls',
        folder,
        '--dry-run',
      );
      assert.equal(made.exit, 0, made.notes);
      assert.match(made.out, /^A token for agent\/host-7: of use 3 times within 1h, from any address\./);
      assert.match(made.out, /Nothing was changed: --dry-run\.\n$/);
    } finally {
      rmSync(folder, { recursive: true });
    }
    const { out } = await ran('revoke', '1a'.repeat(16), '--dry-run');
    assert.match(out, /^No key is certified with token (?:1a){16} for agent\/host-7 from then on\./);
    const { exit, notes } = await ran('revoke', '3c'.repeat(16), '--dry-run');
    assert.equal(exit, 1);
    assert.match(notes, /there is no token (?:3c){16}/);
    assert.ok(master.asked.every(({ path }) => path.endsWith('/ListTokens')));
  });

  it('makes none without TLS: there is no authority to pin', async () => {
    const { exit, notes } = await ran('create', '--role', 'agent', '--id', 'host-7');
    assert.equal(exit, 2);
    assert.match(notes, /tokens need masters with TLS: give --tls DIR/);
  });
});
