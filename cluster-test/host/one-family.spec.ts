/** A host that has no IPv6, for a while or for good, has all of IPv4; IPv6's overlays say why, and come back by themselves. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CniContainer } from '#cluster-test/host/cni-container.js';
import { HostDriver } from '#cluster-test/host/host-driver.js';
import { type Netns, Underlay } from '#cluster-test/host/netns.js';
import { cniTools } from '#cluster-test/host/requirements.js';
import { inputFor, leaseOf, settingsFor, withoutDocker } from '#cluster-test/host/scene-input.js';
import { testFolder } from '#cluster-test/host/test-folder.js';
import { subletMain } from '#cluster-test/process/child.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { requires } from '#cluster-test/requirement.js';
import type { CheckFinding } from '#host/host-status.js';
import type { HostInput, HostSettings } from '#host/input.js';

const settledMs = 20_000;

describe('a host without IPv6', function () {
  this.timeout(90_000);
  let underlay: Underlay;
  let host: Netns;
  let settings: HostSettings;
  let driver: HostDriver;

  beforeEach(function () {
    requires(this, ...cniTools);
    underlay = new Underlay();
    host = underlay.host('h1', '10.0.0.1/24');
    settings = settingsFor('one-family');
    driver = new HostDriver(host);
  });

  afterEach(async () => {
    await driver?.stop();
    underlay?.remove();
  });

  const input = (others: readonly number[] = [2]): HostInput =>
    inputFor(1, others, settings, withoutDocker(leaseOf(1)));

  const mtu = () => /mtu (\d+)/.exec(host.sh('ip link show vtep1024'))?.[1];

  /** IPv4 works, for peers that come now too; IPv6 is FAILED with these words. */
  async function hasIpv4Only(says: RegExp): Promise<void> {
    await until('IPv6 alone is FAILED', settledMs, () => {
      const [dcos, dcos6] = driver.status.overlays;
      return holds(
        dcos?.kind === 'ok' && dcos6?.kind === 'failed' && says.test(dcos6.error) && driver.status.converged,
      );
    }).catch((cause: unknown) => assert.fail(`${cause} ${JSON.stringify(driver.status)}`));
    await driver.update(input([2, 7]));
    assert.match(host.sh('ip route show proto 205'), /9\.0\.6\.0\/24 via 44\.128\.0\.7/);
    assert.match(host.sh('ip route show proto 205'), /9\.0\.1\.0\/24 via 44\.128\.0\.2/);
    assert.equal(driver.status.overlays[0]?.kind, 'ok');
  }

  async function hasBoth(): Promise<void> {
    await driver.allOk(settledMs);
    await until('the peers’ IPv6 is entered', settledMs, () =>
      holds(/fd01:b:0:0:1::\/80 via fd01:a::2/.test(host.sh('ip -6 route show proto 205'))),
    );
    assert.match(host.sh('ip -6 neigh show nud permanent'), /fd01:a::2 /);
    assert.match(host.sh('ip -6 address show dev vtep1024'), /fd01:a::1\/64/);
    await driver.allOk(settledMs);
  }

  /** Steps that ran in six seconds; a host that is as it can be needs none. */
  async function isQuiet(): Promise<void> {
    const before = await driver.metrics();
    await until('two polls', settledMs, async () => holds((await driver.metrics()).passes >= before.passes + 2));
    assert.deepEqual((await driver.metrics()).stepsRun, before.stepsRun);
  }

  it('that has IPv6 has both: the control', async () => {
    await driver.update(input());
    await hasBoth();
    assert.equal(mtu(), '1450');
  });

  it('since its underlay carries 1280 bytes, has IPv4; IPv6 comes with the MTU', async () => {
    host.sh('ip link set eth0 mtu 1280');
    await driver.update(input());
    await hasIpv4Only(/MTU of 1230 on vtep1024 is below IPv6's minimum of 1280: raise the underlay's MTU to 1330/);
    assert.equal(mtu(), '1230');
    await isQuiet();
    host.sh('ip link set eth0 mtu 1500');
    await hasBoth();
    assert.equal(mtu(), '1450');
  });

  it('while the underlay’s MTU dips, or an operator sets the tunnel’s, has IPv4 and then both again', async () => {
    await driver.update(input());
    await hasBoth();
    for (const dip of [1300, 1280, 600]) {
      host.sh(`ip link set eth0 mtu ${dip}`);
      await hasIpv4Only(new RegExp(`MTU of ${dip - 50} `));
      host.sh('ip link set eth0 mtu 1500');
      await hasBoth();
      assert.equal(mtu(), '1450');
    }
    host.sh('ip link set eth0 mtu 1300; ip link set eth0 mtu 1500; ip link set vtep1024 mtu 1200');
    await until('the tunnel’s MTU is put back', settledMs, () => holds(mtu() === '1450'));
    await hasBoth();
    await isQuiet();
  });

  it('by sysctl from the start, has IPv4; IPv6 comes with the sysctl', async () => {
    host.sh('sysctl -qw net.ipv6.conf.all.disable_ipv6=1');
    await driver.update(input());
    await hasIpv4Only(/net\.ipv6\.conf\.\S+\.disable_ipv6 is 1.*sysctl -w net\.ipv6\.conf\.all\.disable_ipv6=0/);
    await isQuiet();
    host.sh('sysctl -qw net.ipv6.conf.all.disable_ipv6=0');
    await hasBoth();
  });

  it('is reported by `sublet agent check` beforehand', async () => {
    const check = async () => {
      const args = ['agent', 'check', '--node-ip', '10.0.0.1', '--docker-bridge', 'false', '-o', 'json'];
      const { stdout } = await host.run([process.execPath, subletMain, ...args]);
      const findings: readonly CheckFinding[] = JSON.parse(stdout);
      return findings.flatMap(({ severity, says, todo }) => (severity === 'ok' ? [] : [`${says}: ${todo}`])).join('\n');
    };
    assert.doesNotMatch(await check(), /subnet6|table 42/, 'the control');
    host.sh('ip link set eth0 mtu 1280; ip route add default dev eth0 table 42');
    assert.match(
      await check(),
      /MTU of 1280 leaves the tunnel less .* subnet6 will fail: raise the MTU of eth0 to 1330/,
    );
    assert.match(await check(), /table 42 has the route "default dev eth0/);
    host.sh('sysctl -qw net.ipv6.conf.default.disable_ipv6=1');
    assert.match(await check(), /disable_ipv6 is 1\): overlays with a subnet6 will fail: run "sysctl -w/);
  });

  for (const name of ['all', 'vtep1024'] as const) {
    it(`by the sysctl of ${name} while the agent runs, has IPv4 and then both again`, async () => {
      await driver.update(input());
      await hasBoth();
      // As a CNI plugin leaves it with its first container. The kernel takes its addresses with IPv6, and does not give them back.
      host.sh(
        'ip link add m-dcos6 type bridge && ip address add fd01:b::1/81 dev m-dcos6 nodad && ip link set m-dcos6 up',
      );
      const bridge = () => host.sh('ip address show dev m-dcos6; ip link show dev m-dcos6');
      await until('the bridge is marked', settledMs, () => holds(/alias sublet:/.test(bridge())));
      host.sh(`sysctl -qw net.ipv6.conf.${name}.disable_ipv6=1`);
      await hasIpv4Only(/net\.ipv6\.conf\.vtep1024\.disable_ipv6 is 1/);
      await isQuiet();
      host.sh(`sysctl -qw net.ipv6.conf.${name}.disable_ipv6=0`);
      await hasBoth();
      await until('containers have their gateway again', settledMs, () => holds(/fd01:b::1\/81/.test(bridge())));
      await isQuiet();
    });
  }

  it('by the sysctl of new devices while the agent runs, gives containers of an overlay of both families IPv4', async () => {
    await driver.update(input());
    await hasBoth();
    host.sh('sysctl -qw net.ipv6.conf.default.disable_ipv6=1');
    const two = {
      name: 'two',
      subnet: '11.0.0.0/24',
      subnet6: 'fd01:c::/80',
      mesosBridge: { name: 'm-two', cidr: '11.0.0.0/25', cidr6: 'fd01:c::/81' },
    };
    const given = inputFor(1, [2], settings, [...withoutDocker(leaseOf(1)), two]);
    const overlays = [...given.overlays, { name: 'two', subnet: '11.0.0.0/8', subnet6: 'fd01:c::/64', enabled: true }];
    await driver.update({ ...given, overlays });
    const ofTwo = () => driver.status.overlays.find((overlay) => overlay.name === 'two');
    await until('it is said', settledMs, () => {
      const status = ofTwo();
      return holds(status?.kind === 'failed' && /IPv6 is off on m-two .*default\.disable_ipv6 is 1/.test(status.error));
    }).catch((cause: unknown) => assert.fail(`${cause} ${JSON.stringify(driver.status)}`));
    assert.match(host.sh('ip -6 address show dev vtep1024'), /fd01:a::1\/64/, 'the tunnel keeps it');
    const file = join(settings.cniDir, 'two.conflist');
    const container = await CniContainer.attach('two', host, file);
    assert.equal(container.endpoint.address, '11.0.0.2');
    host.sh('sysctl -qw net.ipv6.conf.all.disable_ipv6=0');
    await until('both families', settledMs, () => holds(/fd01:c::1\/81/.test(host.sh('ip address show dev m-two'))));
    await driver.allOk(settledMs);
    await container.detach();
  });

  it('in the kernel (ipv6.disable=1) has IPv4, and asks nothing of IPv6', async () => {
    await driver.stop();
    const tools = testFolder('no-ipv6');
    const put = (name: string, script: string) =>
      writeFileSync(join(tools.folder, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    const refuse = (said: string, code: number) =>
      `echo "${said}: Address family not supported by protocol" >&2; exit ${code}`;
    const ip = execFileSync('sh', ['-c', 'command -v ip'], { encoding: 'utf8' }).trim();
    put('ip', `for a in "$@"; do [ "$a" = -6 ] && { ${refuse('RTNETLINK answers', 2)}; }; done; exec ${ip} "$@"`);
    for (const suffix of ['', '-save', '-restore']) put(`ip6tables${suffix}`, refuse('ip6tables', 3));
    driver = new HostDriver(host, {
      env: { PATH: `${tools.folder}:${process.env.PATH}` },
      prefix: ['sh', '-c', 'mount -t tmpfs tmpfs /proc/sys/net/ipv6 && exec "$@"', 'sh'],
    });
    await driver.update(input());
    await hasIpv4Only(/IPv6 is off in this kernel: boot without ipv6\.disable=1/);
    await isQuiet();
    assert.doesNotMatch(host.sh('ip -6 address show dev vtep1024; ip -6 route show; ip6tables-save'), /fd01:|SUBLET/);
    tools.remove();
  });

  it('gives containers of an overlay of both families IPv4', async () => {
    host.sh('sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1');
    const both = {
      name: 'both',
      subnet: '11.0.0.0/24',
      subnet6: 'fd01:c::/80',
      mesosBridge: { name: 'm-both', cidr: '11.0.0.0/25', cidr6: 'fd01:c::/81' },
    };
    const given = inputFor(1, [], settings, [both]);
    const overlays = [{ name: 'both', subnet: '11.0.0.0/8', subnet6: 'fd01:c::/64', enabled: true }];
    await driver.update({ ...given, overlays });
    const [status] = driver.status.overlays;
    assert.ok(status?.kind === 'failed' && /disable_ipv6 is 1/.test(status.error), JSON.stringify(driver.status));
    const container = await CniContainer.attach('both', host, join(settings.cniDir, 'both.conflist'));
    assert.equal(container.endpoint.address, '11.0.0.2');
    await container.detach();
  });
});
