/** What stands in an agent's way is that overlay's failure, with what to do; the rest works; it mends by itself. */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdirSync, rmdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DockerDaemon } from '#cluster-test/host/docker-daemon.js';
import { HostDriver } from '#cluster-test/host/host-driver.js';
import { atEnd, type Netns, Underlay } from '#cluster-test/host/netns.js';
import { dockerTools, hostTools } from '#cluster-test/host/requirements.js';
import { inputFor, leaseOf, settingsFor, withoutDocker } from '#cluster-test/host/scene-input.js';
import { testFolder } from '#cluster-test/host/test-folder.js';
import { subletMain } from '#cluster-test/process/child.js';
import { until } from '#cluster-test/process/condition.js';
import { command, requires } from '#cluster-test/requirement.js';
import { checkHost } from '#host/check.js';
import type { CheckFinding, HostOverlayStatus } from '#host/host-status.js';
import type { HostInput, HostSettings } from '#host/input.js';

/** The longest wait between two tries is 15 s; the pass over everything comes after 60 s. */
const recoveryMs = 40_000;

describe('an honest failure', function () {
  this.timeout(60_000);
  let underlay: Underlay;
  let host: Netns;
  let settings: HostSettings;
  let driver: HostDriver | undefined;

  before(function () {
    requires(this, ...hostTools);
  });

  beforeEach(() => {
    underlay = new Underlay();
    host = underlay.host('h1', '10.0.0.1/24');
    settings = settingsFor('failure');
  });

  afterEach(async () => {
    await driver?.stop();
    underlay?.remove();
  });

  const input = (): HostInput => inputFor(1, [2], settings, withoutDocker(leaseOf(1)));

  function overlay(name: string): HostOverlayStatus | undefined {
    return driver?.status.overlays.find((one) => one.name === name);
  }

  function failedWith(name: string, ...says: readonly RegExp[]): void {
    const status = overlay(name);
    assert.ok(status?.kind === 'failed', `${name}: ${JSON.stringify(driver?.status)}`);
    for (const words of says) assert.match(status.error, words);
  }

  async function start(own: HostInput = input(), prefix: readonly string[] = []): Promise<HostDriver> {
    driver = new HostDriver(host, { prefix });
    await driver.update(own);
    return driver;
  }

  it('no Docker on a host that may do without: a notice, its network when it comes, a failure when it ends', async function () {
    requires(this, ...dockerTools);
    const docker = await DockerDaemon.start(host);
    try {
      await docker.stop();
      settings = { ...settings, dockerHost: docker.address, dockerOptional: true };
      const [dcos] = leaseOf(1);
      assert.ok(dcos);
      const running = await start(inputFor(1, [2], settings, [dcos]));
      const before = overlay('dcos');
      assert.match(
        before?.kind === 'ok' ? before.notes.join() : '',
        /this host has no Docker: the addresses of d-dcos wait/,
      );
      await docker.start();
      await until('the network is there', recoveryMs, () =>
        inspect(docker).includes('9.0.0.128/25') ? true : undefined,
      );
      await running.allOk(recoveryMs);
      await docker.stop();
      // An engine that is about to end may still answer, with errors of its own.
      await until('dcos fails by the engine that is gone', recoveryMs, () => {
        failedWith('dcos', /Docker does not answer at unix:/);
        return true;
      });
    } finally {
      await docker.remove();
    }
  });

  function inspect(docker: DockerDaemon): string {
    try {
      return docker.docker('network', 'inspect', 'dcos');
    } catch {
      return ''; // Not yet.
    }
  }

  it('no Docker: the overlay that wants it fails; the other works; it mends when Docker comes', async function () {
    requires(this, ...dockerTools);
    const docker = await DockerDaemon.start(host);
    try {
      await docker.stop();
      settings = { ...settings, dockerHost: docker.address };
      const [dcos, dcos6] = leaseOf(1);
      assert.ok(dcos && dcos6);
      const running = await start(inputFor(1, [2], settings, [dcos, ...withoutDocker([dcos6])]));
      failedWith('dcos', /Docker does not answer at unix:/, /start Docker/);
      assert.equal(overlay('dcos6')?.kind, 'ok');
      assert.match(host.sh('ip route show'), /9\.0\.1\.0\/24 via 44\.128\.0\.2/);
      await docker.start();
      await running.allOk(recoveryMs);
      assert.match(docker.docker('network', 'inspect', 'dcos'), /9\.0\.0\.128\/25/);
    } finally {
      await docker.remove();
    }
  });

  it('a Docker network of that name with another subnet: it fails and stays as it is, until it is removed', async function () {
    requires(this, ...dockerTools);
    const docker = await DockerDaemon.start(host);
    try {
      docker.docker('network', 'create', '--subnet', '172.29.0.0/24', 'dcos');
      settings = { ...settings, dockerHost: docker.address };
      const running = await start(inputFor(1, [2], settings, leaseOf(1)));
      failedWith('dcos', /with subnet 172\.29\.0\.0\/24/, /docker network rm dcos/);
      await until('the stray IPv4 pool of an IPv6-only network is told', recoveryMs, () => {
        const other = overlay('dcos6');
        return other?.kind === 'ok' && other.notes.some((note) => /IPv4 pool of its own/.test(note)) ? true : undefined;
      });
      assert.match(docker.docker('network', 'inspect', 'dcos'), /172\.29\.0\.0\/24/);
      docker.docker('network', 'rm', 'dcos');
      await running.allOk(recoveryMs);
    } finally {
      await docker.remove();
    }
  });

  it('a foreign device with our name: every overlay fails, the device stays; mends when it is gone', async () => {
    host.sh('ip link add vtep1024 type vxlan id 7 dstport 4789');
    const running = await start();
    for (const name of ['dcos', 'dcos6']) failedWith(name, /vtep1024 that is not Sublet's/, /ip link del vtep1024/);
    assert.match(host.sh('ip -d link show vtep1024'), /id 7 /);
    host.sh('ip link del vtep1024');
    await running.allOk(recoveryMs);
  });

  it('another VXLAN device with our id: says which to look for', async () => {
    host.sh('ip link add rival type vxlan id 1024 dstport 64000');
    const running = await start();
    failedWith('dcos', /another VXLAN device has id 1024 on port 64000/);
    host.sh('ip link del rival');
    await running.allOk(recoveryMs);
  });

  it('the port taken: says so; mends when it is free', async () => {
    const [program = '', ...enter] = host.enter;
    const script = "require('dgram').createSocket('udp4').bind(64000, () => console.log('bound'))";
    const taker = spawn(program, [...enter, process.execPath, '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const forget = atEnd(() => taker.kill('SIGKILL'));
    await new Promise((resolve) => taker.stdout?.once('data', resolve));
    const running = await start();
    failedWith('dcos', /Address already in use/, /ss -ulnp/);
    forget();
    await running.allOk(recoveryMs);
  });

  it('a read-only CNI folder: says so; the tunnel works; mends when it is writable', async () => {
    mkdirSync(settings.cniDir, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'ro,mode=755,size=1m', 'tmpfs', settings.cniDir]);
    const unmount = atEnd(() => execFileSync('umount', ['-l', settings.cniDir]));
    try {
      const running = await start();
      failedWith(
        'dcos',
        /its file system is read-only \(EROFS\)/,
        /read-only here: mount it writable, .*or give another cni_dir/,
      );
      assert.match(host.sh('ip route show'), /9\.0\.1\.0\/24 via 44\.128\.0\.2/);
      // The mount is of each mount namespace its own; the reconciler's is the one that counts.
      execFileSync('nsenter', ['-t', String(running.pid), '-m', 'mount', '-o', 'remount,rw', settings.cniDir]);
      await running.allOk(recoveryMs);
    } finally {
      await driver?.stop();
      unmount();
    }
  });

  for (const [tool, says] of [
    ['ipset', /"ipset" is not installed.*apt-get install ipset/],
    ['iptables-save', /"iptables-save" is not installed.*apt-get install iptables/],
    ['ip', /"ip" is not installed.*apt-get install iproute2/],
  ] as const) {
    it(`${tool} missing: says what to install; mends when it is there`, async () => {
      const hidden = hideTool(tool);
      try {
        const running = await start(input(), hidden.prefix);
        failedWith('dcos', says);
        if (tool !== 'ip') {
          assert.match(host.sh('ip route show'), /9\.0\.1\.0\/24 via 44\.128\.0\.2/);
          assert.doesNotMatch(host.sh('iptables-save'), /MASQUERADE/);
        }
        hidden.show(running.pid);
        await running.allOk(recoveryMs);
      } finally {
        await driver?.stop();
        hidden.remove();
      }
    });
  }

  it('kernel modules of iptables lacking: names the module and its package, routes stand; mends when they come', async () => {
    const lacking = iptablesWithoutModules();
    try {
      driver = new HostDriver(host, { env: lacking.env });
      await driver.update(input());
      failedWith('dcos', /missing kernel module/, lacksModules);
      failedWith('dcos6', /missing kernel module/, lacksModules);
      assert.match(host.sh('ip route show'), /9\.0\.1\.0\/24 via 44\.128\.0\.2/);
      assert.match(host.sh('ip -6 route show'), /fd01:b:0:0:1::\/80 via fd01:a::2/);
      assert.doesNotMatch(host.sh('iptables-save'), /MASQUERADE/);
      const check = [process.execPath, subletMain, 'agent', 'check', '--docker-bridge', 'false', '-o', 'json'];
      const { code, stdout } = await host.run(check, { env: lacking.env });
      assert.equal(code, 1, stdout);
      const findings: readonly CheckFinding[] = JSON.parse(stdout);
      const refused = findings.filter(({ what, severity }) => what === 'iptables' && severity === 'error');
      for (const command of ['iptables', 'ip6tables']) {
        for (const use of ['-m comment', '-m set', '-j MASQUERADE']) {
          const found = refused.find(({ says }) => says.startsWith(`the kernel does not take "${command} ${use}"`));
          assert.match(found?.todo ?? '', lacksModules, `${command} ${use}: ${stdout}`);
        }
      }
      lacking.remove();
      await driver.allOk(recoveryMs);
      assert.match(host.sh('iptables-save'), /MASQUERADE/);
    } finally {
      await driver?.stop();
      lacking.remove();
    }
  });

  it('no root: every overlay says so', async function () {
    requires(this, command('setpriv'));
    await start(input(), ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups']);
    for (const name of ['dcos', 'dcos6']) failedWith(name, /not permitted|Permission denied/i, /as root/);
  });

  it('node_ip on no interface: says so; mends when the address comes', async () => {
    host.sh('ip address del 10.0.0.1/24 dev eth0');
    const running = await start();
    failedWith('dcos', /node_ip 10\.0\.0\.1 is on no interface/, /--node-ip/);
    host.sh('ip address add 10.0.0.1/24 dev eth0');
    await running.allOk(recoveryMs);
  });

  it('a foreign route to a peer’s subnet: that overlay fails, the route stays', async () => {
    host.sh('ip route add 9.0.1.0/24 dev eth0');
    const running = await start();
    failedWith('dcos', /9\.0\.1\.0\/24 that is not Sublet's/);
    assert.equal(overlay('dcos6')?.kind, 'ok');
    assert.match(host.sh('ip route show 9.0.1.0/24'), /dev eth0/);
    host.sh('ip route del 9.0.1.0/24 dev eth0');
    await running.allOk(recoveryMs);
  });
});

describe('checking a host', () => {
  it('names what it lacks, and what to do', async function () {
    requires(this, ...hostTools);
    const findings = await checkHost({
      settings: { ...settingsFor('check'), dockerHost: 'unix:///nowhere/docker.sock' },
      nodeIp: '192.0.2.77',
      vtepName: 'vtep1024',
      port: 64000,
      containers: { cni: true, docker: true },
    });
    const of = (what: string) => findings.filter((finding) => finding.what === what);
    for (const what of ['root', 'sysctl', 'iproute2', 'vxlan', 'port', 'ipset', 'iptables', 'ping']) {
      const found = of(what);
      assert.ok(found.length > 0 && found.every(({ severity }) => severity === 'ok'), JSON.stringify(found));
    }
    assert.ok(of('device').some(({ severity, todo }) => severity === 'error' && /--node-ip/.test(todo ?? '')));
    const socket = createSocket('udp4').bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const taken = await checkHost({
      settings: settingsFor('check'),
      vtepName: 'vtep1024',
      port: socket.address().port,
      containers: { cni: false, docker: false },
    });
    socket.close();
    assert.equal(taken.find(({ what }) => what === 'port')?.severity, 'error');
    assert.ok(of('docker').every(({ severity, says }) => severity === 'error' && /\/nowhere\/docker\.sock/.test(says)));
  });
});

describe('`sublet agent check` in a container', () => {
  it('says that settings of the kernel can not be changed in it, and how they could be', function () {
    requires(this, ...hostTools);
    // As Docker mounts it.
    const readOnly = 'mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec "$@"';
    const check = [process.execPath, subletMain, 'agent', 'check', '--docker-bridge', 'false', '-o', 'json'];
    const { stdout } = spawnSync('unshare', ['--mount', 'sh', '-c', readOnly, 'sh', ...check], { encoding: 'utf8' });
    const findings: readonly CheckFinding[] = JSON.parse(stdout);
    const found = findings.find(({ what }) => what === 'sysctl');
    assert.match(`${found?.severity}: ${found?.says}; ${found?.todo}`, /^error: .*EROFS.*systempaths=unconfined$/);
  });
});

/** What to do about it, for a host of any kind. */
const lacksModules = /modprobe -a [a-zA-Z_ ]*xt_\w+.*kernel-modules-extra-.*linux-modules-extra-/;

/** An `iptables` before the host's own that takes no rule with a comment, a set or MASQUERADE, as on a kernel without their modules. */
function iptablesWithoutModules(): { env: Record<string, string>; remove: () => void } {
  const { folder, remove } = testFolder('no-modules');
  const said = [
    'Warning: Extension comment revision 0 not supported, missing kernel module?',
    'iptables v1.8.11 (nf_tables):  RULE_INSERT failed (No such file or directory): rule in chain FORWARD',
  ];
  for (const name of ['iptables', 'ip6tables', 'iptables-restore', 'ip6tables-restore']) {
    const input = name.endsWith('restore') ? '$(cat)' : '';
    const script = [
      '#!/bin/sh',
      `input="${input}"`,
      `if printf '%s\\n' "$* $input" | grep -qE -- '-m (comment|set)|MASQUERADE'; then`,
      ...said.map((line) => `echo '${line}' >&2`),
      'exit 4; fi',
      input === '' ? `exec /usr/sbin/${name} "$@"` : `printf '%s\\n' "$input" | exec /usr/sbin/${name} "$@"`,
    ];
    writeFileSync(join(folder, name), `${script.join('\n')}\n`, { mode: 0o755 });
  }
  return { env: { PATH: `${folder}:${process.env.PATH}` }, remove };
}

/** Hides one tool from a driver, in the mounts that `ip netns exec` gives it for itself. */
function hideTool(tool: string): { prefix: readonly string[]; show: (pid: number) => void; remove: () => void } {
  const folder = `/run/sublet-tools-${process.pid}`;
  const script = `cd ${folder} && mount --bind /usr/sbin sbin && mount --bind /usr/bin bin &&
    mount -t tmpfs tmpfs /usr/sbin && mount -t tmpfs tmpfs /usr/bin && cd / &&
    ${folder}/bin/ln -s ${folder}/sbin/* /usr/sbin/ && ${folder}/bin/ln -s ${folder}/bin/* /usr/bin/ &&
    rm -f /usr/sbin/${tool} /usr/bin/${tool} && exec "$@"`;
  for (const name of ['sbin', 'bin']) mkdirSync(`${folder}/${name}`, { recursive: true });
  const where = tool === 'ip' ? 'bin' : 'sbin';
  return {
    prefix: ['sh', '-c', script, 'sh'],
    show: (pid) => symlinkSync(`${folder}/${where}/${tool}`, `/proc/${pid}/root/usr/${where}/${tool}`),
    remove: atEnd(() => {
      for (const name of ['sbin', 'bin', '']) rmdirSync(`${folder}/${name}`);
    }),
  };
}
