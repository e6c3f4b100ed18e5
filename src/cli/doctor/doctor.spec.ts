import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { clusterService } from '#api/services.js';
import { certificateFindings, statusFindings } from '#cli/doctor/cluster-checks.js';
import {
  clockFinding,
  folderFindings,
  nodeFinding,
  openFilesFinding,
  probeDisk,
  syncFinding,
} from '#cli/doctor/machine-checks.js';
import { peerFinding, portFinding } from '#cli/doctor/network-checks.js';
import { formatFindings } from '#cli/local/agent-check.js';
import { run } from '#cli/program.js';
import { CannedMaster } from '#cli/testing/canned-master.js';
import { RecordedTerminal } from '#cli/testing/recorded-terminal.js';
import { status } from '#cli/testing/samples.js';
import type { CheckFinding } from '#host/host-status.js';
import { ToolMissingError } from '#host/tools/runner.js';
import { sublet } from '#proto/sublet.js';
import { makeAuthority } from '#tls/certificate/authority.js';

const folder = mkdtempSync(join(tmpdir(), 'sublet-doctor-'));
after(() => rmSync(folder, { recursive: true }));

const brief = ({ severity, what, says }: CheckFinding): string => `${severity} ${what}: ${says}`;

describe('the checks of a machine', () => {
  it('find a Node.js that must not serve, and few open files', () => {
    assert.equal(brief(nodeFinding({ node: '24.21.0', nghttp2: '1.70.0' })), 'ok Node.js: 24.21.0, nghttp2 1.70.0');
    const bad = nodeFinding({ node: '20.19.0', nghttp2: '1.61.0' });
    assert.match(brief(bad), /^error Node\.js: .*CVE-2026-27135/);
    assert.ok(bad.todo);
    assert.equal(openFilesFinding(131_072).severity, 'ok');
    assert.match(brief(openFilesFinding(1_024)), /^warning open files: 1024 for a process/);
  });

  it('find whether the clock is synchronized, and say when that is not known', async () => {
    const says = (stdout: string, code = 0) => clockFinding({ run: async () => ({ code, stdout, stderr: '' }) });
    assert.equal((await says('yes\n')).severity, 'ok');
    assert.match(brief(await says('no\n')), /^warning clock: not synchronized/);
    assert.match(brief(await says('', 1)), /^warning clock: whether it is synchronized is not known/);
    const missing = clockFinding({ run: () => Promise.reject(new ToolMissingError('timedatectl')) });
    assert.match(brief(await missing), /is not known/);
  });

  it('measure the disk by synced writes, and leave nothing behind', () => {
    let now = 0;
    const times = probeDisk(folder, () => (now += 3));
    assert.deepEqual(times, Array(50).fill(3));
    assert.deepEqual(readdirSync(folder), []);
    assert.match(
      brief(syncFinding('/d', times)),
      /^ok disk speed: 50 synced writes in \/d: half within 3ms, the slowest 3ms$/,
    );
    assert.equal(syncFinding('/d', [...Array(49).fill(2), 40]).severity, 'warning');
    assert.equal(syncFinding('/d', Array(50).fill(150)).severity, 'error');
  });

  it('find other users that may use a data directory, and one that is not there', () => {
    const data = join(folder, 'data');
    mkdirSync(data);
    const modes: readonly (readonly [number, CheckFinding['severity']])[] = [
      [0o700, 'ok'],
      [0o750, 'warning'],
      [0o770, 'error'],
    ];
    for (const [mode, severity] of modes) {
      chmodSync(data, mode);
      const [first, space] = folderFindings(data, 1, () => 0);
      assert.equal(first?.severity, severity, mode.toString(8));
      assert.equal(space?.severity, 'ok');
      assert.equal(first?.todo, severity === 'ok' ? undefined : `chmod 700 ${data}`);
    }
    const [, space] = folderFindings(data, Number.MAX_SAFE_INTEGER, () => 0);
    assert.match(
      brief(space ?? { severity: 'ok', what: '', says: '' }),
      /^error disk space: .* a master does not lead$/,
    );
    rmSync(data, { recursive: true });
    assert.match(
      folderFindings(data, 1, () => 0)
        .map(brief)
        .join(),
      /^error data directory: .*ENOENT: no such file/,
    );
  });

  describe('of the network', () => {
    let server: Server;
    let port = 0;
    before(async () => {
      server = createServer((socket) => socket.destroy());
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const address = server.address();
      port = typeof address === 'object' && address !== null ? address.port : 0;
    });
    after(() => server.close());

    it('distinguish open ports from closed ones', async () => {
      assert.equal((await portFinding('listen', { host: '0.0.0.0', port }, () => 0)).severity, 'ok');
      assert.equal(
        brief(await portFinding('listen', { host: '127.0.0.1', port: 9 }, () => 0)),
        'error port: listen 127.0.0.1:9: nothing listens there',
      );
    });

    it('find peers that are slow', async () => {
      let now = 0;
      assert.equal((await peerFinding('m2', { host: '127.0.0.1', port }, () => (now += 2))).severity, 'ok');
      // The quickest of three tries counts.
      const ticks = [0, 900, 1_000, 1_004, 2_000, 2_900];
      assert.equal(
        brief(await peerFinding('m2', { host: '127.0.0.1', port }, () => ticks.shift() ?? 0)),
        `ok peer: m2 at 127.0.0.1:${port} answers within 4ms`,
      );
      assert.equal((await peerFinding('m2', { host: '127.0.0.1', port }, () => (now += 200))).severity, 'warning');
      assert.equal((await peerFinding('m2', { host: '127.0.0.1', port: 9 }, () => 0)).severity, 'error');
    });
  });

  it('find certificates that end, and keys that others may read', async () => {
    const dayMs = 86_400_000;
    const now = 1_748_779_200_000;
    const { cert, key } = await makeAuthority('Test', 100, now);
    const files = { ca: join(folder, 'ca.pem'), cert: join(folder, 'ca.pem'), key: join(folder, 'key.pem') };
    writeFileSync(files.ca, cert);
    writeFileSync(files.key, key, { mode: 0o600 });
    const severities = (at: number) => certificateFindings(files, at).map(({ severity }) => severity);
    assert.deepEqual(severities(now + dayMs), ['ok', 'ok', 'ok']);
    assert.deepEqual(severities(now + 80 * dayMs), ['warning', 'warning', 'ok']);
    assert.deepEqual(severities(now + 101 * dayMs), ['error', 'error', 'ok']);
    assert.deepEqual(severities(now - 2 * dayMs), ['error', 'error', 'ok']);
    chmodSync(files.key, 0o640);
    assert.match(
      brief(certificateFindings(files, now + dayMs)[2] ?? { severity: 'ok', what: '', says: '' }),
      /^error key: .* has mode 0640/,
    );
    assert.deepEqual(
      certificateFindings({ ...files, ca: '/none', key: '/none' }, now).map(({ severity }) => severity)[0],
      'error',
    );
  });
});

describe('sublet doctor', () => {
  let master: CannedMaster;
  let leader = 'm1';
  before(async () => {
    master = await new CannedMaster().on(clusterService.getStatus, () => ({ ...status, leader })).listen();
  });
  after(() => master[Symbol.asyncDispose]());

  async function examined(...args: readonly string[]) {
    const terminal = new RecordedTerminal();
    const code = await run(['doctor', '-o', 'yaml', ...args], terminal);
    const findings: CheckFinding[] = parse(terminal.out);
    return { code, findings, notes: terminal.notes };
  }

  it('shows what the masters warn of, with the way out, and ends with 0', async () => {
    leader = 'm1';
    const { code, findings } = await examined('--master', master.address);
    assert.equal(code, 0);
    assert.deepEqual(
      findings
        .filter(({ what }) => ['leader', 'agents', 'status'].includes(what))
        .map(({ severity, todo }) => [severity, todo ?? '']),
      [
        ['ok', ''],
        ['warning', 'sublet agents --silent'],
        ['ok', 'add it to the file'],
        ['warning', 'sublet overlay grow dcos --subnet CIDR'],
      ],
    );
  });

  it('does not say that none is silent where the leader did not say', () => {
    const found = (agents: object) =>
      statusFindings(new sublet.v1.GetStatusResponse({ ...status, agents, warnings: [] })).map(brief)[1];
    assert.equal(found({ total: 4, live: 4 }), 'ok agents: 4, none is silent');
    assert.equal(
      found({ total: 4 }),
      'warning agents: 4; of 4 it is not known whether they are silent: the leader has not said',
    );
  });

  it('ends with 1 when there is no leader, or no master', async () => {
    leader = '';
    const leaderless = await examined('--master', master.address);
    assert.equal(leaderless.code, 1);
    assert.match(
      leaderless.findings.map(brief).join('\n'),
      /^error leader: none, as m2 sees it: nothing can be changed$/m,
    );
    const lost = await examined('--master', '127.0.0.1:9');
    assert.equal(lost.code, 1);
    assert.match(
      lost.findings.map(brief).join('\n'),
      /^error masters: no master reachable; 127\.0\.0\.1:9: nothing listens there/m,
    );
    assert.equal(lost.notes, 'sublet: 1 thing is wrong\n');
  });

  it('looks at a configuration file, and at what it names', async () => {
    leader = 'm1';
    const data = join(folder, 'm1');
    mkdirSync(data, { mode: 0o700 });
    const file = join(folder, 'master.json');
    const members = [
      { name: 'm1', peer: '127.0.0.1:9' },
      { name: 'm2', peer: '127.0.0.1:10' },
    ];
    writeFileSync(
      file,
      JSON.stringify({
        name: 'm1',
        data_dir: data,
        listen: master.address,
        peer_listen: '127.0.0.1:9',
        cluster: { members },
      }),
    );
    const { code, findings } = await examined('--master', master.address, '--config', file);
    assert.equal(code, 1);
    const said = findings.map(brief).join('\n');
    assert.match(said, /^ok configuration: .*master\.json is that of a master$/m);
    assert.match(said, /^ok data directory: .*mode 0700$/m);
    assert.match(said, new RegExp(`^ok port: listen ${master.address} is open$`, 'm'));
    assert.match(said, /^error port: peer_listen 127\.0\.0\.1:9: nothing listens there$/m);
    assert.match(said, /^error peer: m2 at 127\.0\.0\.1:10: nothing listens there$/m);
    assert.doesNotMatch(said, /peer: m1/);
    writeFileSync(file, '{"raft": {"heartbeat_ms": 5}}');
    const wrong = await examined('--master', master.address, '--config', file);
    assert.match(
      wrong.findings.map(brief).join('\n'),
      /^error configuration: .*master\.json can’t be used: 1 problem; .*heartbeat_ms: 5 is out of range/m,
    );
  });

  it('looks at the certificate of the connection, in a folder too', async () => {
    const own = join(folder, 'own');
    mkdirSync(own);
    const { cert, key } = await makeAuthority('Test', 1, 1_748_779_200_000 - 10 * 86_400_000);
    for (const name of ['ca', 'cert']) writeFileSync(join(own, `${name}.pem`), cert);
    writeFileSync(join(own, 'key.pem'), key, { mode: 0o600 });
    const { findings } = await examined('--master', master.address, '--tls', own);
    const said = findings.map(brief).join('\n');
    assert.match(said, /^error certificate: .*own\/cert\.pem ended at 2025-05-2/m);
    assert.match(said, /^ok key: .*own\/key\.pem/m);
    assert.match(said, /^error masters: --tls: /m, 'and the masters can not be asked with it');
  });

  it('shows findings whole on a narrow terminal', () => {
    const findings: CheckFinding[] = [
      { severity: 'ok', what: 'Node.js', says: '24.21.0' },
      {
        severity: 'error',
        what: 'disk',
        says: 'one two three four five six seven eight nine ten eleven',
        todo: 'do it',
      },
    ];
    assert.equal(
      formatFindings(findings, new RecordedTerminal(40), 'wrong'),
      [
        'ok     Node.js  24.21.0',
        'wrong  disk     one two three four five',
        '                six seven eight nine ten',
        '                eleven',
        '                do it',
        '',
      ].join('\n'),
    );
  });
});
