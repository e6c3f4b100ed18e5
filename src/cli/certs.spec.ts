import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { accessService } from '#api/services.js';
import { run } from '#cli/program.js';
import { CannedMaster } from '#cli/testing/canned-master.js';
import { RecordedTerminal } from '#cli/testing/recorded-terminal.js';
import { sublet } from '#proto/sublet.js';
import { TestAuthority } from '#tls/testing/test-authority.js';

const { REVOCATION_CAUSE_OPERATOR, REVOCATION_CAUSE_REMOVAL } = sublet.v1.RevocationCause;
const since = { seconds: 1_700_000_000, nanos: 0 };

describe('sublet certs and sublet whoami', () => {
  let master: CannedMaster;
  let identity: { readonly role: string; readonly id: string } | null;

  before(async () => {
    master = await new CannedMaster()
      .on(accessService.listRevocations, () => ({
        revocations: [
          {
            identity: { role: 'agent', id: 'host-7' },
            cause: REVOCATION_CAUSE_OPERATOR,
            since,
            by: 'admin/root@10.0.0.9',
          },
          {
            identity: { role: 'master', id: 'm3' },
            cause: REVOCATION_CAUSE_REMOVAL,
            since,
            by: 'admin/root@10.0.0.9',
            acceptedFrom: since,
          },
        ],
      }))
      .on(accessService.revokeIdentity, ({ release }) => ({ released: release ? ['9.0.1.0/24'] : [] }))
      .on(accessService.unrevokeIdentity, () => ({}))
      .on(accessService.whoAmI, () => ({
        identity,
        address: '10.0.0.9:4711',
        serial: '0ABC',
        methods: ['/a', '/b'],
        master: 'm2',
        ends: { seconds: since.seconds + 3 * 86_400, nanos: 0 },
      }))
      .listen();
  });
  beforeEach(() => {
    identity = { role: 'admin', id: 'alice' };
    master.asked.length = 0;
  });
  after(() => master[Symbol.asyncDispose]());

  async function sublet1(
    ...args: string[]
  ): Promise<{ readonly code: number; readonly out: string; readonly notes: string }> {
    const terminal = new RecordedTerminal();
    terminal.now = () => since.seconds * 1_000;
    const code = await run([...args, '--master', master.address], terminal);
    return { code, out: terminal.out, notes: terminal.notes };
  }

  it('list what is revoked, by which principal, and what is accepted all the same', async () => {
    const { code, out } = await sublet1('certs', 'list');
    assert.equal(code, 0);
    assert.match(out, /agent\/host-7 +\S+.* +admin\/root@10\.0\.0\.9 +none\n/);
    assert.match(out, /master\/m3 +\S+.* +admin\/root@10\.0\.0\.9 \(removed\) +from .* on\n/);
    assert.equal((await sublet1('certs', 'list', '-o', 'name')).out, 'agent/host-7\nmaster/m3\n');
  });

  it('revoke an identity, and say what is released', async () => {
    assert.equal((await sublet1('certs', 'revoke', 'operator/alice')).out, 'Revoked operator/alice.\n');
    const { out } = await sublet1('certs', 'revoke', 'agent/host-7', '--release', '--expected-revision', '9');
    assert.equal(out, 'Revoked agent/host-7. Quarantined now: 9.0.1.0/24.\n');
    assert.deepEqual(
      master.asked.map(({ request }) => JSON.parse(JSON.stringify(request))),
      [
        { identity: { role: 'operator', id: 'alice' } },
        { identity: { role: 'agent', id: 'host-7' }, release: true, expectedRevision: 9 },
      ],
    );
  });

  it('say what a revocation does, and change nothing, with --dry-run', async () => {
    const { out } = await sublet1('certs', 'revoke', 'agent/host-7', '--release', '--dry-run');
    assert.match(
      out,
      /^All masters refuse agent\/host-7 from now on.*\nWhat agent host-7 holds is released.*\nNothing/,
    );
    assert.deepEqual(master.asked, []);
  });

  it('say what taking an identity back does, and that there is none to take back, with --dry-run', async () => {
    const { out } = await sublet1('certs', 'unrevoke', 'agent/host-7', '--dry-run');
    assert.match(out, /^The masters accept agent\/host-7 again: all of its certificates\.\nNothing was changed/);
    const later = await sublet1('certs', 'unrevoke', 'agent/host-7', '--later-only', '--dry-run');
    assert.match(later.out, /certificates that are issued from then on\.\n/);
    const { code, notes } = await sublet1('certs', 'unrevoke', 'agent/host-8', '--dry-run');
    assert.equal(code, 1);
    assert.match(notes, /agent\/host-8 is not revoked/);
    assert.ok(master.asked.every(({ path }) => path.endsWith('/ListRevocations')));
  });

  it('say that an identity is your own, and that others take it back', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sublet-certs-spec-'));
    try {
      await (await TestAuthority.make()).files(folder, 'sublet://admin/root');
      const own = /It is your own identity: only another admin, or root on a master/;
      assert.match((await sublet1('certs', 'revoke', 'admin/root', '--dry-run', '--tls', folder)).out, own);
      assert.doesNotMatch((await sublet1('certs', 'revoke', 'admin/ann', '--dry-run', '--tls', folder)).out, own);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('take an identity back, whole or for later certificates', async () => {
    assert.match((await sublet1('certs', 'unrevoke', 'agent/host-7')).out, /^Accepted: all certificates of agent/);
    const { out } = await sublet1('certs', 'unrevoke', 'agent/host-7', '--later-only');
    assert.match(out, /^Accepted: certificates of agent\/host-7 that are issued from now on\.\n$/);
    assert.deepEqual(
      master.asked.map(({ request }) => JSON.parse(JSON.stringify(request)).laterCertificatesOnly),
      [undefined, true],
    );
  });

  it('ask the admin socket of a master by its path, without a certificate', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sublet-certs-spec-'));
    const answer = () => ({ identity: { role: 'admin', id: 'local/uid-0' }, address: 'm1:0', master: 'm1' });
    const local = await new CannedMaster()
      .on(accessService.whoAmI, answer)
      .listen(`unix:${join(folder, 'admin.sock')}`);
    const terminal = new RecordedTerminal();
    process.env.SUBLET_TLS_CERT = '/nowhere';
    try {
      assert.equal(await run(['whoami', '--master', local.address], terminal), 0, terminal.notes);
      assert.match(terminal.out, /^you +admin\/local\/uid-0\n.*\ncertificate +none: this is the admin socket/);
    } finally {
      delete process.env.SUBLET_TLS_CERT;
      await local[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true });
    }
  });

  it('say of an admin socket what is wrong with its path', async () => {
    const asked = async (at: string): Promise<string> => {
      const terminal = new RecordedTerminal();
      await run(['whoami', '--master', at], terminal);
      return terminal.notes.replace(/\s+/g, ' ');
    };
    assert.match(
      await asked('unix:m1/admin.sock'),
      /^sublet: --master: "unix:m1\/admin\.sock" has another form: unix:\/PATH/,
    );
    assert.match(
      await asked('unix:/nowhere/admin.sock'),
      /unix:\/nowhere\/admin\.sock: there is no such socket: a master/,
    );
  });

  it('row 66: say which end lacks TLS', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sublet-certs-spec-'));
    const authority = await TestAuthority.make();
    const { ca, cert, key } = await authority.files(folder, 'sublet://admin/root');
    const secure = createServer({ ...(await authority.issue('sublet://master/m1')), ALPNProtocols: ['h2'] });
    await once(secure.listen(0, '127.0.0.1'), 'listening');
    const address = secure.address();
    assert.ok(address !== null && typeof address === 'object');
    try {
      const inClear = new RecordedTerminal();
      assert.equal(await run(['whoami', '--master', `127.0.0.1:${address.port}`], inClear), 3);
      assert.match(
        inClear.notes.replace(/\s+/g, ' '),
        /no master reachable the master at \S+ speaks TLS, and this process does not/,
      );
      const { code, notes } = await sublet1('whoami', '--tls-ca', ca, '--tls-cert', cert, '--tls-key', key);
      assert.equal(code, 3);
      assert.match(
        notes.replace(/\s+/g, ' '),
        /no master reachable the master at \S+ does not speak TLS, and this process does/,
      );
    } finally {
      secure.close();
      rmSync(folder, { recursive: true });
    }
  });

  it('refuse what is not an identity', async () => {
    for (const wrong of ['host-7', 'root/x', 'agent/']) {
      const { code, notes } = await sublet1('certs', 'revoke', wrong);
      assert.equal(code, 2);
      assert.match(notes, new RegExp(`ROLE/ID: "${wrong}" is not an identity: ROLE/ID is needed`));
    }
    assert.deepEqual(master.asked, []);
  });

  it('show the identity that the masters see, and what it may do', async () => {
    const { out } = await sublet1('whoami');
    assert.match(
      out,
      /^you +admin\/alice\nfrom +10\.0\.0\.9:4711, as master m2 sees it\ncertificate +0ABC, valid to .*, 3d left\n/,
    );
    assert.match(out, /\nmay +read everything, change the plan and the masters/);
    identity = null;
    assert.match((await sublet1('whoami')).out, /^you +unknown: the masters run without TLS\n/);
    identity = { role: 'scraper', id: 'x' };
    assert.match((await sublet1('whoami')).out, /\nmay +call 2 methods\n$/);
  });
});
