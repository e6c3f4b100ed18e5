import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer } from 'node:tls';
import { CertificateReloader, lookEveryMs } from '#tls/certificate/certificate-reloader.js';
import { TlsFileError, type TlsFiles } from '#tls/certificate/tls-files.js';
import { TestAuthority, writeTlsFiles } from '#tls/testing/test-authority.js';

const hourMs = 3_600_000;
const uri = 'sublet://agent/host-7';

describe('a certificate in use', () => {
  let authority: TestAuthority;
  let folder: string;
  let files: TlsFiles;
  let log: string[];
  let now: number;
  let timers: { readonly delayMs: number; readonly run: () => void }[];
  const timer = {
    after: (delayMs: number, run: () => void) => {
      const entry = { delayMs, run };
      timers.push(entry);
      return () => {
        timers = timers.filter((each) => each !== entry);
      };
    },
  };

  before(async () => {
    authority = await TestAuthority.make();
  });
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sublet-reload-spec-'));
    files = await authority.files(join(folder, 'tls'), uri);
    log = [];
    timers = [];
    now = Date.now();
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  function reloader(): CertificateReloader {
    const note =
      (level: string) =>
      (_: object, message: string): void => {
        log.push(`${level}: ${message}`);
      };
    const logger = { info: note('info'), warn: note('warn'), error: note('error') };
    return new CertificateReloader({ files, allowed: ['agent'], timer, wallClock: () => now, log: logger });
  }

  function write(content: Partial<{ readonly ca: string; readonly cert: string; readonly key: string }>): void {
    for (const part of ['ca', 'cert', 'key'] as const) {
      const text = content[part];
      if (text !== undefined) writeFileSync(files[part], text);
    }
  }

  it('row 63: gives way to a new one when both halves are there, and not before', async () => {
    const certificate = reloader();
    const first = certificate.material.principal.serial;
    const reloads: string[] = [];
    certificate.onReload(({ principal }) => reloads.push(principal.serial));
    await certificate.look();
    assert.deepEqual(reloads, [], 'files that stay are not read again');

    const next = await authority.issue(uri);
    write({ key: next.key });
    await certificate.look();
    await certificate.look();
    assert.equal(certificate.material.principal.serial, first);
    assert.match(certificate.problem, /^tls\.key: .* is not the key of the certificate in /);
    assert.match(
      certificate.warnings()[0]?.message ?? '',
      /^the files of tls have changed and can't be used: tls\.key/,
    );
    assert.equal(log.filter((line) => line.startsWith('error: ')).length, 1, 'once, as long as it is the same problem');

    write({ cert: next.cert });
    await certificate.look();
    assert.notEqual(certificate.material.principal.serial, first);
    assert.deepEqual(reloads, [certificate.material.principal.serial]);
    assert.equal(certificate.problem, '');
    assert.deepEqual(certificate.warnings(), []);
  });

  it('stays while another authority is trusted beside the first, and the log says which are trusted', async () => {
    const certificate = reloader();
    const { cert } = certificate.material;
    const next = await TestAuthority.make();
    write({ ca: `${authority.pem}${next.pem}` });
    await certificate.look();
    assert.equal(certificate.material.cert.compare(cert), 0);
    assert.equal(log.length, 1);
    assert.match(log[0] ?? '', /^info: tls: these authorities are trusted from now on: sha256:\w{64}, sha256:\w{64}$/);
  });

  it('is shown by the connections that are made later, with one context', async () => {
    const { cert, key } = await authority.issue('sublet://master/m1');
    const shown: string[] = [];
    const server = createServer({ cert, key, ca: authority.pem, requestCert: true }, (socket) => {
      shown.push(socket.getPeerX509Certificate()?.serialNumber ?? '');
      socket.end();
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    const certificate = reloader();
    const { context } = certificate;
    const used: string[] = [];
    for (let turn = 0; turn < 2; turn++) {
      used.push(certificate.material.principal.serial);
      const checkServerIdentity = (): undefined => undefined;
      const socket = connect({ port: address.port, secureContext: context, checkServerIdentity });
      await once(socket.resume(), 'close');
      write(await authority.issue(uri));
      await certificate.look();
    }
    server.close();
    assert.deepEqual(shown, used);
    assert.notEqual(used[0], used[1]);
  });

  it('row 63: stays when a file is missing, empty, cut, writable by others, or a folder', async () => {
    const certificate = reloader();
    const { serial } = certificate.material.principal;
    const kept = async (problem: RegExp): Promise<void> => {
      await certificate.look();
      assert.match(certificate.problem, problem);
      assert.equal(certificate.material.principal.serial, serial);
    };
    renameSync(files.cert, `${files.cert}.away`);
    await kept(/tls\.cert: .* can't be read: there is no such file/);
    renameSync(`${files.cert}.away`, files.cert);
    await certificate.look();
    assert.equal(certificate.problem, '', 'the files are as before');
    // As a full disk leaves it.
    const { ca, cert } = certificate.material;
    write({ cert: '' });
    await kept(/tls\.cert: .* has no PEM that can be read/);
    write({ cert: cert.toString().slice(0, 200) });
    await kept(/tls\.cert: .* has no PEM that can be read/);
    write({ cert: cert.toString(), ca: '' });
    await kept(/tls\.ca: .* has no PEM that can be read/);
    // While the second of two authorities is written.
    write({ ca: `${ca}${ca.toString().slice(0, 200)}` });
    await kept(/tls\.ca: .* a certificate in it is cut off/);
    write({ ca: ca.toString() });
    chmodSync(files.key, 0o622);
    await kept(/tls\.key: .* can be written by others/);
    chmodSync(files.key, 0o600);
    await certificate.look();
    assert.equal(certificate.problem, '');
    assert.equal(certificate.material.principal.serial, serial);
  });

  it('stays when the new one is of another identity, authority or role, or out of its time', async () => {
    const certificate = reloader();
    const { serial } = certificate.material.principal;
    const other = await TestAuthority.make();
    const wrong = [
      [await authority.issue('sublet://agent/host-8'), /is of agent\/host-8, and this process runs as agent\/host-7/],
      [await authority.issue('sublet://operator/host-7'), /is of the role operator; agent is needed here/],
      [await other.issue(uri), /is not issued by an authority in .* \(sha256:[0-9a-f]{64}\)/],
      [await authority.issue(uri, { fromMs: now + hourMs, toMs: now + 2 * hourMs }), /is valid from .* clock says/],
      [await authority.issue(uri, { fromMs: now - 2 * hourMs, toMs: now - hourMs }), /is valid from .* clock says/],
    ] as const;
    for (const [{ cert, key }, problem] of wrong) {
      write({ cert, key });
      await certificate.look();
      assert.match(certificate.problem, problem);
      assert.equal(certificate.material.principal.serial, serial);
    }
  });

  it('gives way to one that begins later, once it does', async () => {
    const certificate = reloader();
    const { serial } = certificate.material.principal;
    write(await authority.issue(uri, { fromMs: now + hourMs, toMs: now + 20 * hourMs }));
    await certificate.look();
    assert.equal(certificate.material.principal.serial, serial);
    now += 1.5 * hourMs;
    await certificate.look();
    assert.notEqual(certificate.material.principal.serial, serial);
  });

  it('comes with its authorities: of a roll-over both are trusted', async () => {
    const next = await TestAuthority.make('next');
    const certificate = reloader();
    write({ ...(await next.issue(uri)), ca: `${authority.pem}${next.pem}` });
    await certificate.look();
    assert.equal(certificate.problem, '');
    assert.equal(certificate.material.authorities.length, 2);
  });

  it('is followed through links that are exchanged, as volumes of Kubernetes do', async () => {
    const second = await authority.files(join(folder, 'second'), uri);
    const link = join(folder, 'current');
    symlinkSync(join(folder, 'tls'), link);
    files = { ca: join(link, 'ca.pem'), cert: join(link, 'cert.pem'), key: join(link, 'key.pem') };
    const certificate = reloader();
    symlinkSync(join(folder, 'second'), `${link}.new`);
    renameSync(`${link}.new`, link);
    await certificate.look();
    files = second;
    assert.equal(certificate.material.principal.serial, reloader().material.principal.serial);
  });

  it('ages: a warning at a third of its life, an error at a sixth, and one at its end', async () => {
    const issued = await authority.issue(uri, { fromMs: now, toMs: now + 12 * hourMs });
    files = writeTlsFiles(join(folder, 'aging'), { ca: authority.pem, ...issued });
    const certificate = reloader();
    const ages: string[] = [];
    for (const passed of [0, 7.9, 8.1, 9.9, 10.1, 11.9, 12.1]) {
      now = Math.floor(certificate.material.principal.beginsMs + passed * hourMs);
      await certificate.look();
      ages.push(certificate.age);
    }
    assert.deepEqual(ages, ['good', 'good', 'aging', 'aging', 'ending', 'ending', 'ended']);
    assert.deepEqual(
      log.map((line) => line.replace(/ \(.*?\)| at [-\dT:]+Z|: (put|other).*/g, '')),
      [
        'warn: the certificate of agent/host-7 ends: a third of its life or less is left',
        'error: the certificate of agent/host-7 ends: a sixth of its life or less is left',
        'error: the certificate of agent/host-7 ended',
      ],
    );
    assert.match(certificate.warnings()[0]?.message ?? '', /ended at .*: other processes refuse it$/);
  });

  it('is looked at every few seconds, until it is stopped', async () => {
    const certificate = reloader().start();
    for (let turn = 0; turn < 3; turn++) {
      assert.deepEqual(
        timers.map(({ delayMs }) => delayMs),
        [lookEveryMs],
      );
      const [{ run }] = timers as [(typeof timers)[number]];
      timers = [];
      run();
      while (timers.length === 0) await new Promise(setImmediate);
    }
    certificate.stop();
    assert.deepEqual(timers, []);
  });

  it('is refused at the start like any other: with the setting and the file', () => {
    write({ cert: 'no' });
    assert.throws(reloader, TlsFileError);
  });
});
