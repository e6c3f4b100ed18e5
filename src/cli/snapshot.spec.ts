/** Backups as files: signed by a master, encrypted to a recipient, and what is refused of one that was changed. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { certificateService } from '#api/services.js';
import { readWhole } from '#cli/operator/snapshot-file-io.js';
import { run } from '#cli/program.js';
import { RecordedTerminal } from '#cli/testing/recorded-terminal.js';
import { Ipam } from '#ipam/ipam.js';
import { SecureTrio } from '#master/testing/secure-trio.js';
import { writeSnapshotFile } from '#storage/snapshots/snapshot-file.js';
import { meta } from '#storage/testing/sample.js';
import { signDocument } from '#tls/certificate/document-signature.js';
import { TestAuthority, writeTlsFiles } from '#tls/testing/test-authority.js';

type Ended = { readonly code: number; readonly out: string; readonly notes: string };

async function snapshot(...args: readonly string[]): Promise<Ended> {
  const terminal = new RecordedTerminal();
  const code = await run(['snapshot', ...args], terminal);
  return { code, out: terminal.out, notes: terminal.notes };
}

describe('sublet snapshot', () => {
  let place: string;
  let authority: TestAuthority;
  let ca: string;
  let restores: number;

  beforeEach(async () => {
    place = mkdtempSync(join(tmpdir(), 'sublet-snapshot-spec-'));
    authority = await TestAuthority.make();
    ca = join(place, 'ca.pem');
    writeFileSync(ca, authority.pem);
    restores = 0;
  });
  afterEach(() => rmSync(place, { recursive: true }));

  /** A backup that `signer` has signed and `savedBy` has saved. */
  async function saved(name: string, signer?: string, savedBy = 'm1', by = authority): Promise<string> {
    const source = {
      meta: meta(7),
      async *chunks() {
        yield new Ipam().records().map(([key, value]) => ({ key, value }));
      },
      close: async () => {},
    };
    const pair = signer === undefined ? undefined : await by.issue(signer);
    const sign =
      pair &&
      ((statement: string) => signDocument({ cert: Buffer.from(pair.cert), key: Buffer.from(pair.key) }, statement));
    const pieces: Uint8Array[] = [];
    const header = { savedBy, savedAt: Date.now(), version: 'spec' };
    for await (const piece of writeSnapshotFile(source, header, sign)) pieces.push(piece);
    const file = join(place, name);
    writeFileSync(file, Buffer.concat(pieces));
    return file;
  }
  const restore = (file: string, ...args: readonly string[]): Promise<Ended> =>
    snapshot('restore', file, '--data-dir', join(place, `data-${++restores}`), '--name', 'm1', ...args);

  it('R17: restores what a master has signed, and with TLS settings nothing else without --unverified', async () => {
    const signed = await saved('signed', 'sublet://master/m1');
    const verified = await restore(signed, '--tls-ca', ca);
    assert.equal(verified.code, 0, verified.notes);
    for (const made of [`data-${restores}`, `data-${restores}/sublet`]) {
      assert.equal(statSync(join(place, made)).mode & 0o077, 0, `${made} is of its user alone`);
    }
    const unverified = await restore(signed);
    assert.equal(unverified.code, 2);
    assert.match(unverified.notes, /signed: it is signed, and there is no authority to verify it by\n.*--tls-ca FILE/);
    const plain = await saved('plain');
    const refused = await restore(plain, '--tls-ca', ca);
    assert.equal(refused.code, 2);
    assert.match(refused.notes, /plain: it is not signed: its masters had no TLS, or it was changed\n.*--unverified/s);
    assert.equal((await restore(plain, '--tls-ca', ca, '--unverified')).code, 0);
    const without = await restore(plain);
    assert.equal(without.code, 0, without.notes);
    assert.match(without.notes, /plain is not signed: its masters had no TLS, or it was changed/);
  });

  it('row 60: refuses a backup that was changed with sums made anew, or is signed by another', async () => {
    const others = await TestAuthority.make('other');
    const cases = [
      [
        await saved('foreign', 'sublet://master/m1', 'm1', others),
        /with a certificate of another authority than sha256:/,
      ],
      [await saved('agent', 'sublet://agent/a1'), /it is signed by agent\/a1, which is not a master/],
      [await saved('renamed', 'sublet://master/m2'), /it is signed by master\/m2, and says that m1 has saved it/],
      [await grafted(), /its signature is wrong: it was changed after it was signed/],
    ] as const;
    for (const [file, why] of cases) {
      for (const { code, notes } of [
        await restore(file, '--tls-ca', ca),
        await snapshot('inspect', file, '--tls-ca', ca),
      ]) {
        assert.equal(code, 1, notes);
        assert.match(notes, why);
      }
    }
  });

  /** The signature of one backup at the end of another, whose sums are right. */
  async function grafted(): Promise<string> {
    const [first, second] = [
      await saved('first', 'sublet://master/m1'),
      await saved('second', 'sublet://master/m1', 'm1'),
    ];
    const [a, b] = [readFileSync(first), readFileSync(second)];
    assert.ok(!a.equals(b));
    const begin = (bytes: Buffer): number => bytes.lastIndexOf('{"certificates"') - 9;
    const file = join(place, 'grafted');
    writeFileSync(file, Buffer.concat([a.subarray(0, begin(a)), b.subarray(begin(b))]));
    return file;
  }

  it('R17: saves from masters with TLS: signed, without tokens, encrypted on request', async () => {
    await using trio = await SecureTrio.start();
    const alice = await trio.client('admin', 'alice');
    const request = {
      tokenId: Buffer.alloc(16, 1),
      secretHash: Buffer.alloc(32, 2),
      role: 'agent',
      subject: 'host-7',
      ttlMs: 3_600_000,
      uses: 1,
    };
    await alice.call(certificateService.createToken, request, { idempotent: false });
    const files = await trio.files('sublet://operator/oscar');
    const key = join(place, 'backup.key');
    const made = await snapshot('keygen', key);
    const recipient = /Its recipient is (age1\w+)\n/.exec(made.out)?.[1] ?? assert.fail(made.notes);
    assert.equal(statSync(key).mode & 0o777, 0o600);
    assert.match((await snapshot('keygen', key)).notes, /it is there already: a key is not replaced/);
    const [master] = trio.masters;
    const connection = [
      ...['--master', master?.addresses.api ?? assert.fail()],
      ...['--tls-ca', files.ca, '--tls-cert', files.cert, '--tls-key', files.key],
    ];
    const plain = join(place, 'plan');
    const first = await snapshot('save', plain, ...connection);
    assert.equal(first.code, 0, first.notes);
    assert.match(first.out, /\nsigned +by master\/m1 at .*Z, verified\n/);
    const { records } = await readWhole(plain, undefined);
    assert.equal(Ipam.restore(records.map((each) => [each.key, each.value])).tokens().length, 0);
    assert.equal(trio.masters[0]?.services.plan.ipam.tokens().length, 1);

    const sealed = join(place, 'sealed');
    const second = await snapshot('save', sealed, '--encrypt-to', recipient, ...connection);
    assert.match(second.out, new RegExp(`^Saved .*, encrypted to ${recipient}\\.\n`), second.notes);
    assert.ok(!readFileSync(sealed).includes('SUBLET SNAPSHOT'));
    const blind = await snapshot('inspect', sealed);
    assert.deepEqual([blind.code, /it is encrypted\n.*--identity FILE/.test(blind.notes)], [2, true], blind.notes);
    const seen = await snapshot('inspect', sealed, '--identity', key, '--tls-ca', files.ca, '-o', 'json');
    assert.deepEqual(JSON.parse(seen.out).signature, { kind: 'verified', by: 'master/m1' });
    assert.equal((await restore(sealed, '--identity', key, '--tls-ca', files.ca)).code, 0);

    const otherKey = join(place, 'other.key');
    await snapshot('keygen', otherKey);
    const wrong = await restore(sealed, '--identity', otherKey, '--tls-ca', files.ca);
    assert.equal(wrong.code, 1);
    assert.match(wrong.notes, /sealed: it is not encrypted to age1\w+, or its header was changed/);
    const bytes = readFileSync(sealed);
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 40) ^ 1, bytes.length - 40);
    writeFileSync(sealed, bytes);
    const changed = await restore(sealed, '--identity', key, '--tls-ca', files.ca);
    assert.deepEqual([changed.code, /sealed: it was changed or cut off/.test(changed.notes)], [1, true], changed.notes);
    const typo = await snapshot('save', sealed, '--encrypt-to', 'age1xyz', ...connection);
    assert.deepEqual([typo.code, /--encrypt-to: "age1xyz" is no recipient/.test(typo.notes)], [2, true], typo.notes);
  });

  it('names a key or an authority that can’t be read', async () => {
    const file = await saved('plain');
    const none = await snapshot('inspect', file, '--identity', join(place, 'none'));
    assert.match(none.notes, /--identity: .*none: there is no such file/);
    writeTlsFiles(join(place, 'tls'), { ca: 'nothing', cert: '', key: '' });
    const empty = await snapshot('inspect', file, '--tls', join(place, 'tls'));
    assert.match(empty.notes, /--tls-ca: .*ca\.pem: it has no certificate/);
  });
});
