import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '#cli/program.js';
import { RecordedTerminal } from '#cli/testing/recorded-terminal.js';
import { readTlsFiles } from '#tls/certificate/tls-files.js';

/** Certificates are verified by the real clock. */
class LiveTerminal extends RecordedTerminal {
  override now(): number {
    return Date.now();
  }
}

describe('sublet ca', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sublet-ca-spec-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  async function sublet(...args: string[]): Promise<{ readonly code: number; readonly output: string }> {
    const terminal = new LiveTerminal();
    const code = await run(['ca', ...args, '--ca', join(folder, 'ca')], terminal);
    return { code, output: terminal.out + terminal.notes };
  }

  const modeOf = (...path: string[]): number => statSync(join(folder, ...path)).mode & 0o777;

  it('makes an authority and certificates that a master, an agent and an operator can use as they are', async () => {
    const made = await sublet('init');
    assert.equal(made.code, 0, made.output);
    assert.match(made.output, /The authority is sha256:[0-9a-f]{64}\./);
    assert.deepEqual([modeOf('ca'), modeOf('ca', 'ca.key')], [0o700, 0o600]);
    for (const [role, id] of [
      ['master', 'm1'],
      ['agent', 'host-7.example'],
      ['admin', 'alice'],
    ] as const) {
      const issued = await sublet('issue', role, id);
      assert.equal(issued.code, 0, issued.output);
      const out = join(folder, 'ca', `${role}-${id}`);
      assert.deepEqual([modeOf('ca', `${role}-${id}`), modeOf('ca', `${role}-${id}`, 'key.pem')], [0o700, 0o600]);
      const files = { ca: join(out, 'ca.pem'), cert: join(out, 'cert.pem'), key: join(out, 'key.pem') };
      const { principal, warnings } = readTlsFiles(files, [role]);
      assert.deepEqual([principal.role, principal.id, warnings], [role, id, []]);
      const authority = new X509Certificate(readFileSync(files.ca));
      const certificate = new X509Certificate(readFileSync(files.cert));
      assert.ok(certificate.verify(authority.publicKey) && !certificate.ca && authority.ca);
    }
  });

  it('makes certificates for masters and an admin with the authority, and for several of one role at once', async () => {
    assert.equal((await sublet('init', '--masters', 'm1,m2', '--admin', 'alice')).code, 0);
    assert.equal((await sublet('issue', 'agent', 'host-1', 'host-2')).code, 0);
    for (const [role, id] of [
      ['master', 'm1'],
      ['master', 'm2'],
      ['admin', 'alice'],
      ['agent', 'host-1'],
      ['agent', 'host-2'],
    ] as const) {
      const file = (name: string): string => join(folder, 'ca', `${role}-${id}`, `${name}.pem`);
      const { principal } = readTlsFiles({ ca: file('ca'), cert: file('cert'), key: file('key') }, [role]);
      assert.equal(principal.id, id);
    }
    assert.equal((await sublet('issue', 'agent', 'a', 'b', '--out', join(folder, 'x'))).code, 2);
  });

  it('makes nothing where one of the names is none', async () => {
    assert.equal((await sublet('init', '--masters', 'm1,m 2')).code, 2);
    assert.equal((await sublet('init')).code, 0);
  });

  it('replaces no key', async () => {
    await sublet('init');
    assert.match((await sublet('init')).output, /ca\.key is there already: an authority is not replaced/);
    await sublet('issue', 'agent', 'a');
    const before = readFileSync(join(folder, 'ca', 'agent-a', 'key.pem'), 'utf8');
    const again = await sublet('issue', 'agent', 'a');
    assert.equal(again.code, 1);
    assert.match(again.output, /key\.pem is there already: a key is not replaced/);
    assert.equal(readFileSync(join(folder, 'ca', 'agent-a', 'key.pem'), 'utf8'), before);
  });

  it('row 85: writes into no folder in which others may write, and through no link', async () => {
    const place = join(folder, 'ca');
    writeFileSync(place, 'a file');
    const noFolder = await sublet('init');
    assert.equal(noFolder.code, 1);
    assert.match(noFolder.output, /ca can.t be used: /);
    rmSync(place);
    mkdirSync(place);
    chmodSync(place, 0o777);
    assert.match((await sublet('init')).output, /other users may write in .*ca \(mode 0777\): .*"chmod go-w /);
    assert.deepEqual(readdirSync(place), []);
    chmodSync(place, 0o700);
    const victim = join(folder, 'victim');
    writeFileSync(victim, 'precious');
    symlinkSync(victim, join(place, 'ca.pem'));
    assert.equal((await sublet('init')).code, 0);
    assert.equal(readFileSync(victim, 'utf8'), 'precious');
    assert.match(readFileSync(join(place, 'ca.pem'), 'utf8'), /^-----BEGIN CERTIFICATE/);
  });

  it('refuses an identity, a number of days and an authority that are none, and says why', async () => {
    assert.match(
      (await sublet('issue', 'agent', 'a')).output,
      /there is no authority in .*Make one with `sublet ca init`/s,
    );
    await sublet('init');
    const wrong = await sublet('issue', 'root', 'a');
    assert.equal(wrong.code, 2);
    assert.match(wrong.output, /"sublet:\/\/root\/a" is not sublet:\/\/ROLE\/ID, with ROLE one of master, agent/);
    assert.equal((await sublet('issue', 'agent', 'a b')).code, 2);
    assert.match((await sublet('issue', 'agent', 'a', '--days', '0')).output, /"0" is out of range: 1 to 36500 days/);
    chmodSync(join(folder, 'ca', 'ca.key'), 0o644);
    assert.match((await sublet('issue', 'agent', 'a')).output, /ca\.key can be read or written by others: chmod 600/);
  });
});
