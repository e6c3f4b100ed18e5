import assert from 'node:assert/strict';
import { createPublicKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Failure } from '#cli/failure.js';
import { TlsFolder } from '#cli/operator/tls-folder.js';
import { type JoiningProcess, joinedFiles, renewAt, renewal } from '#cli/process/joining.js';
import { makeLogger } from '#cli/process/log.js';
import { run } from '#cli/program.js';
import { RecordedTerminal } from '#cli/testing/recorded-terminal.js';
import { command } from '#cluster-test/operations/operator.js';
import { Child } from '#cluster-test/process/child.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { freePorts } from '#cluster-test/process/ports.js';
import { JoinableTrio } from '#master/testing/joinable-trio.js';
import { systemClock } from '#replica/ports/system-clock.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';
import { certifyKey } from '#tls/certificate/authority.js';
import { principalOf } from '#tls/certificate/certificate.js';
import { CertificateReloader } from '#tls/certificate/certificate-reloader.js';
import { makeCertificateRequest } from '#tls/certificate/certificate-request.js';
import { readTlsFiles } from '#tls/certificate/tls-files.js';
import { drawJoinToken, formatJoinToken } from '#tls/join-token-text.js';
import { parsePrincipal } from '#tls/principal.js';
import { TestAuthority } from '#tls/testing/test-authority.js';

const boundMs = 20_000;
const quiet = { level: 'error', format: 'json' } as const;

describe('a process that joins', function () {
  this.timeout(2 * boundMs);
  let trio: JoinableTrio;
  const children: Child[] = [];
  before(async () => {
    trio = await JoinableTrio.start();
  });
  after(async () => {
    await Promise.all(children.map((child) => child.kill()));
    await trio[Symbol.asyncDispose]();
  });

  const log = () => makeLogger(quiet, { process: 'agent', name: 'spec' });
  const folder = (): string => mkdtempSync(join(trio.folder, 'state-'));
  const process_ = (of: Partial<JoiningProcess>): JoiningProcess => ({
    role: 'agent',
    id: undefined,
    folder: folder(),
    join: undefined,
    masters: [trio.joinsAt(0)],
    ...of,
  });

  it('keeps its certificate, its key and the authority to its user, and starts with them without a token or a master', async () => {
    const host = process_({ join: formatJoinToken(await trio.token('host-1')) });
    const files = await joinedFiles(host, await log());
    assert.ok(files !== undefined);
    assert.equal(readTlsFiles(files, ['agent']).principal.id, 'host-1');
    assert.deepEqual(
      [host.folder, files.ca, files.cert, files.key].map((path) => statSync(path).mode & 0o777),
      [0o700, 0o600, 0o600, 0o600],
    );
    const certificate = readFileSync(files.cert, 'utf8');
    const said: string[] = [];
    const note = (_: object, message: string): void => void said.push(message);
    const heard = { info: note, warn: note };
    const again = await joinedFiles({ ...host, masters: ['127.0.0.1:1'] }, heard);
    assert.deepEqual(again, files);
    await joinedFiles({ ...host, join: undefined, masters: [] }, heard);
    assert.deepEqual(said, [`the token is not used: ${host.folder} has a certificate that is valid`]);
    assert.equal(readFileSync(files.cert, 'utf8'), certificate);
  });

  it('goes on with the key that it has made, where it was stopped before its certificate was written', async () => {
    const host = process_({ join: formatJoinToken(await trio.token('host-2')) });
    const made = TlsFolder.at(host.folder).key();
    const files = await joinedFiles(host, await log());
    assert.ok(files !== undefined);
    assert.equal(readFileSync(files.key, 'utf8'), made);
    const { cert } = files;
    rmSync(cert);
    await joinedFiles(host, await log());
    assert.equal(readTlsFiles(files, ['agent']).principal.id, 'host-2', 'the token was used once, by this key');
  });

  it('ends with the reason when its token is of no use, and has no files without one', async () => {
    const token = formatJoinToken(drawJoinToken(trio.pin));
    const refused = joinedFiles(process_({ join: token }), await log());
    await assert.rejects(refused, (error) => error instanceof Failure && /there is no such token/.test(error.message));
    const foreign = formatJoinToken(drawJoinToken(new Uint8Array(32)));
    await assert.rejects(
      joinedFiles(process_({ join: foreign }), await log()),
      /another authority .* nothing was sent/,
    );
    await assert.rejects(
      joinedFiles(process_({ join: 'sj1.a.b.c' }), await log()),
      /^Failure: --join: the pin of the token/,
    );
    assert.equal(await joinedFiles(process_({}), await log()), undefined);
  });

  it('renews its certificate from half of its life on, with the same key, and takes it into use', async () => {
    const host = process_({ join: formatJoinToken(await trio.token('host-3')) });
    const files = await joinedFiles(host, await log());
    assert.ok(files !== undefined);
    const certificate = new CertificateReloader({ files, allowed: ['agent'], timer: systemClock, log: await log() });
    const { serial, beginsMs, endsMs } = certificate.material.principal;
    const key = readFileSync(files.key, 'utf8');
    const timer = new VirtualTime();
    let nowMs = beginsMs + (endsMs - beginsMs) * 0.49;
    const renewing = renewal({
      certificate,
      folder: TlsFolder.at(host.folder),
      timer,
      wallClock: () => nowMs,
      log: await log(),
      ask: (request) => renewAt([trio.master(1).addresses.api], certificate, request),
    }).start();
    await timer.runFor(120_000);
    assert.equal(certificate.material.principal.serial, serial);
    nowMs = beginsMs + (endsMs - beginsMs) * 0.61;
    await timer.runFor(60_000);
    await until('the new one is in use', boundMs, () => holds(certificate.material.principal.serial !== serial));
    assert.equal(readTlsFiles(files, ['agent']).principal.id, 'host-3');
    assert.equal(readFileSync(files.key, 'utf8'), key);
    renewing.stop();
    certificate.stop();
  });

  it('renews its certificate at once by `sublet agent renew`, with the same key, for an agent that runs to take it', async () => {
    const stateDir = folder();
    const host = process_({ folder: join(stateDir, 'tls'), join: formatJoinToken(await trio.token('host-7')) });
    const files = await joinedFiles(host, await log());
    assert.ok(files !== undefined);
    const running = new CertificateReloader({ files, allowed: ['agent'], timer: systemClock, log: await log() });
    const { serial } = running.material.principal;
    const key = readFileSync(files.key, 'utf8');
    const settings = ['--state-dir', stateDir, '--master', trio.master(1).addresses.api];
    const { code, output } = await command('agent', 'renew', ...settings);
    assert.equal(code, 0, output);
    assert.match(output, /^Renewed the certificate of agent\/host-7 in .*tls, valid until \S+Z\.$/m);
    await running.look();
    assert.equal(running.problem, '');
    assert.notEqual(running.material.principal.serial, serial);
    assert.equal(readFileSync(files.key, 'utf8'), key);
    running.stop();
    // Twice in a minute is refused by the masters, and the files stay.
    const again = await command('agent', 'renew', ...settings);
    assert.equal(again.code, 1, again.output);
    assert.equal(readTlsFiles(files, ['agent']).principal.serial, running.material.principal.serial);
  });

  it('has nothing to renew before it has joined, and leaves files of tls to others', async () => {
    const stateDir = folder();
    const outcome = async (...flags: string[]): Promise<string> => {
      const { code, output } = await command('agent', 'renew', '--state-dir', stateDir, ...flags);
      return `${code} ${output.replaceAll(/\s+/g, ' ')}`;
    };
    assert.match(await outcome(), /^1 sublet: .*tls has no certificate: this agent has not joined/);
    const { ca } = await trio.files('agent', 'host-8');
    assert.match(
      await outcome('--tls', dirname(ca)),
      /^1 sublet: the files of tls are for others to renew: tls\.renew is off/,
    );
  });

  it('row 72: keeps its files when a master answers a renewal with what is of no use', async () => {
    const host = process_({ join: formatJoinToken(await trio.token('host-5')) });
    const files = await joinedFiles(host, await log());
    assert.ok(files !== undefined);
    const kept = () => [files.ca, files.cert, files.key].map((file) => readFileSync(file, 'utf8'));
    const before = kept();
    const [authorities = '', certificate = '', key = ''] = before;
    const reloader = new CertificateReloader({ files, allowed: ['agent'], timer: systemClock, log: await log() });
    const { beginsMs, endsMs } = reloader.material.principal;
    const other = await trio.files('agent', 'host-6');
    const stranger = await TestAuthority.make('stranger');
    const of = async (uri: string, fromMs: number, toMs: number) => {
      const spki = createPublicKey(key).export({ type: 'spki', format: 'der' });
      return certifyKey(trio.authority, Uint8Array.from(spki), parsePrincipal(uri), toMs - fromMs, fromMs);
    };
    const ownUri = 'sublet://agent/host-5';
    const nowMs = beginsMs + (endsMs - beginsMs) * 0.61;
    const answers: readonly (readonly [string, string, RegExp])[] = [
      ['', authorities, /PEM|no start line|certificate/],
      [readFileSync(other.cert, 'utf8'), authorities, /it is of agent\/host-6/],
      [(await stranger.issue(ownUri)).cert, authorities, /it is of another key/],
      [await of(ownUri, beginsMs, nowMs - 60_000), authorities, /it is not valid now, by the clock of this host/],
      [certificate, stranger.pem, /it is of no authority that it comes with/],
      [certificate, '', /it has no certificate/],
    ];
    for (const [answered, trusted, why] of answers) {
      const timer = new VirtualTime();
      const said: string[] = [];
      const warn = (_: object, message: string) => said.push(message);
      const renewing = renewal({
        certificate: reloader,
        folder: TlsFolder.at(host.folder),
        timer,
        wallClock: () => nowMs,
        log: { info: () => undefined, warn },
        ask: () => Promise.resolve({ certificate: answered, authorities: trusted }),
      }).start();
      await timer.runFor(60_000);
      await until('it is judged', boundMs, () => holds(said.length > 0));
      assert.match(said.join(), why);
      assert.deepEqual(kept(), before);
      renewing.stop();
    }
    reloader.stop();
  });

  it('is a master that is to be added: `sublet token use` brings its certificate, and its peers renew it', async () => {
    const token = formatJoinToken(await trio.token('m4', { role: 'master' }));
    const out = join(trio.folder, 'm4-tls');
    const [host = '', port = ''] = trio.joinsAt(2).split(':');
    const used = async () => {
      const terminal = new RecordedTerminal();
      terminal.now = Date.now;
      const asked = ['token', 'use', token, '--role', 'master', '--out', out, '--master', `${host}:1`];
      return { code: await run([...asked, '--join-port', port], terminal), said: terminal.out + terminal.notes };
    };
    const first = await used();
    assert.equal(first.code, 0, first.said);
    assert.match(first.said, /^Made .*m4-tls for master\/m4, valid until /);
    const { files } = TlsFolder.at(out);
    assert.equal(readTlsFiles(files, ['master']).principal.id, 'm4');
    const again = await used();
    assert.equal(again.code, 1);
    assert.match(again.said, /has a certificate already: it is not replaced/);

    // m2 has no key of the authority: m1 signs.
    const csr = await makeCertificateRequest(readFileSync(files.key, 'utf8'));
    const { certificate } = await trio.master(1).renewCertificate(csr);
    const parsed = new X509Certificate(certificate);
    assert.equal(principalOf(parsed.raw).id, 'm2');
    assert.deepEqual(parsed.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
  });

  it('is an agent that is given what `sublet token create` prints, and goes by the id of its certificate', async () => {
    const alice = await trio.files('admin', 'alice');
    const terminal = new RecordedTerminal();
    const api = trio.master(1).addresses.api;
    const tls = ['--tls-ca', alice.ca, '--tls-cert', alice.cert, '--tls-key', alice.key, '--master', api];
    assert.equal(await run(['token', 'create', '--role', 'agent', '--id', 'host-4', ...tls], terminal), 0);
    const token = terminal.out.trim();
    assert.match(terminal.notes, /^Of use for agent\/host-4 until /);
    const [http] = await freePorts(1);
    const state = folder();
    const joinPort = trio.joinsAt(1).split(':')[1] ?? '';
    const args = (more: readonly string[]): string[] => [
      ...['agent', '--master', api, '--state-dir', state, '--node-ip', '10.0.0.4', '--network', 'plan'],
      ...['--http-listen', `127.0.0.1:${http}`, '--log-format', 'json', ...more],
    ];
    const started = async (more: readonly string[]): Promise<Child> => {
      const child = new Child(args(more));
      children.push(child);
      await until('it is registered', boundMs, async () => {
        if (!child.running) throw new Error(child.output);
        const { agentCount } = trio.master(0).services.plan.ipam;
        return holds(agentCount === 1 && /host-4 runs/.test(child.output));
      });
      return child;
    };
    const first = await started(['--join', token, '--join-port', joinPort]);
    await first.kill();
    const other = new Child(args(['--id', 'host-5']));
    children.push(other);
    assert.equal((await other.exited).code, 2);
    assert.match(other.output, /id \(--id\) is host-5, and .* is of agent\/host-4: an agent may act for itself only/);
    await started([]);
  });
});
