/** A renewed certificate that does not fit on the disk: row 63 of docs/intrusions.md. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TlsFolder } from '#cli/operator/tls-folder.js';
import { command, requires, root } from '#cluster-test/requirement.js';
import { WriteError } from '#files/write-failure.js';
import { HandClock } from '#storage/testing/hand-clock.js';
import { CertificateReloader } from '#tls/certificate/certificate-reloader.js';
import { TestAuthority, writeTlsFiles } from '#tls/testing/test-authority.js';

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
const uri = 'sublet://agent/host-7';

describe('a folder of certificates on a full disk', () => {
  let mount = '';

  before(function () {
    requires(this, root, command('mount'));
    mount = mkdtempSync(join(tmpdir(), 'sublet-full-tls-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=128k', 'tmpfs', mount]);
  });
  after(() => {
    if (mount === '') return;
    execFileSync('umount', [mount]);
    rmdirSync(mount);
  });

  it('row 63: keeps the pair that it has, which stays in use, and takes the next one once there is room', async () => {
    const authority = await TestAuthority.make();
    const place = join(mount, 'tls');
    mkdirSync(place);
    const { cert, key } = await authority.issue(uri);
    const files = writeTlsFiles(place, { ca: authority.pem, cert, key });
    const certificate = new CertificateReloader({ files, allowed: ['agent'], timer: new HandClock(), log: silent });
    const { serial } = certificate.material.principal;
    const filler = join(mount, 'filler');
    assert.throws(() => {
      for (;;) writeFileSync(filler, Buffer.alloc(512), { flag: 'a' });
    }, /ENOSPC/);

    const next = await authority.issue(uri);
    const folder = new TlsFolder(files);
    for (let attempt = 0; attempt < 3; attempt++) {
      assert.throws(
        () => folder.put({ certificate: next.cert, authorities: authority.pem }),
        (error) => error instanceof WriteError && /cert\.pem/.test(error.message),
      );
      await certificate.look();
      assert.equal(readFileSync(files.cert, 'utf8'), cert);
      assert.equal(readFileSync(files.key, 'utf8'), key);
      assert.deepEqual([certificate.problem, certificate.material.principal.serial], ['', serial]);
    }

    rmSync(filler);
    // A renewal keeps the key: this certificate is of another one, so both are put in place.
    writeFileSync(files.key, next.key);
    folder.put({ certificate: next.cert, authorities: authority.pem });
    await certificate.look();
    assert.notEqual(certificate.material.principal.serial, serial);
  });
});
