/** Bridges that the agent makes itself, and subnets that are not split: with static addresses and with CNI plugins. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CniContainer } from '#cluster-test/host/cni-container.js';
import { HostDriver } from '#cluster-test/host/host-driver.js';
import { Netns, Underlay } from '#cluster-test/host/netns.js';
import { cniTools } from '#cluster-test/host/requirements.js';
import { clusterId, inputFor, settingsFor } from '#cluster-test/host/scene-input.js';
import { until } from '#cluster-test/process/condition.js';
import { requires } from '#cluster-test/requirement.js';
import type { HostInput, HostSettings, OverlayLease } from '#host/input.js';

describe('bridges of the agent’s own', function () {
  this.timeout(60_000);
  let underlay: Underlay;
  let hosts: readonly [Netns, Netns];
  let drivers: readonly [HostDriver, HostDriver];
  let settings: readonly [HostSettings, HostSettings];

  /** Host `n` has one bridge, which has the whole of its subnets. */
  const whole = (n: number): OverlayLease[] => {
    const subnet = `9.0.${n - 1}.0/24`;
    const subnet6 = n === 1 ? 'fd01:b::/80' : 'fd01:b:0:0:1::/80';
    return [
      { name: 'dcos', subnet, mesosBridge: { name: 'm-dcos', cidr: subnet } },
      { name: 'dcos6', subnet6, mesosBridge: { name: 'm-dcos6', cidr6: subnet6 } },
    ];
  };
  const input = (n: 1 | 2): HostInput => inputFor(n, [3 - n], settings[n - 1] ?? settings[0], whole(n));

  before(async function () {
    requires(this, ...cniTools);
    underlay = new Underlay();
    hosts = [underlay.host('h1', '10.0.0.1/24'), underlay.host('h2', '10.0.0.2/24')];
    settings = [settingsFor('bridges-1', { bridges: 'now' }), settingsFor('bridges-2', { bridges: 'now' })];
    drivers = [new HostDriver(hosts[0]), new HostDriver(hosts[1])];
    await Promise.all([drivers[0].update(input(1)), drivers[1].update(input(2))]);
    await Promise.all(drivers.map((driver) => driver.allOk()));
  });

  after(async () => {
    await Promise.all((drivers ?? []).map((driver) => driver.stop()));
    underlay?.remove();
  });

  const addresses = (host: Netns, device: string): string => host.sh(`ip -o address show dev ${device}`);

  it('are there before the first container, with address, MTU and mark', () => {
    assert.match(addresses(hosts[0], 'm-dcos'), /inet 9\.0\.0\.1\/24 /);
    assert.match(addresses(hosts[0], 'm-dcos6'), /inet6 fd01:b::1\/80 /);
    const link = hosts[0].sh('ip -d link show m-dcos');
    assert.match(link, /<[^>]*UP[^>]*> mtu 1420 /);
    assert.match(link, new RegExp(`alias sublet:${clusterId}`));
  });

  it('carry what is plugged into them by hand, as LXC and nspawn do, between hosts and in both families', async () => {
    const plugged = hosts.map((host, at) => {
      const guest = new Netns(`guest${at + 1}`);
      host.sh(
        `ip link add vb-guest type veth peer name host0 netns ${guest.name} && ip link set vb-guest master m-dcos up`,
      );
      host.sh(
        `ip link add vb-guest6 type veth peer name host6 netns ${guest.name} && ip link set vb-guest6 master m-dcos6 up`,
      );
      guest.sh(
        `ip address add 9.0.${at}.222/24 dev host0 && ip link set host0 up && ip route add default via 9.0.${at}.1`,
      );
      const [own, gateway] = at === 0 ? ['fd01:b::de', 'fd01:b::1'] : ['fd01:b:0:0:1::de', 'fd01:b:0:0:1::1'];
      guest.sh(
        `ip address add ${own}/80 dev host6 nodad && ip link set host6 up && ip route add default via ${gateway}`,
      );
      return guest;
    });
    const [first, second] = plugged;
    assert.ok(first && second);
    for (const [from, to] of [
      [first, '9.0.1.222'],
      [second, '9.0.0.222'],
      [first, 'fd01:b:0:0:1::de'],
    ] as const) {
      await until(`${from.name} reaches ${to}`, 10_000, async () => {
        return (await from.run(['ping', '-c1', '-W1', to])).code === 0 ? true : undefined;
      });
    }
    for (const guest of plugged) guest.remove();
  });

  it('are taken by the CNI bridge plugin as they are, whose addresses come from the whole subnet', async () => {
    const file = join(settings[0].cniDir, 'dcos.conflist');
    assert.match(readFileSync(file, 'utf8'), /"subnet": "9\.0\.0\.0\/24"/);
    const mac = (): string => /link\/ether (\S+)/.exec(hosts[0].sh('ip link show m-dcos'))?.[1] ?? '';
    const before = mac();
    const one = await CniContainer.attach('c1', hosts[0], file);
    const two = await CniContainer.attach('c2', hosts[1], join(settings[1].cniDir, 'dcos.conflist'));
    try {
      assert.match(before, /^02:/);
      assert.equal(mac(), before, 'its MAC stays');
      assert.equal(await one.endpoint.seenBy(two.endpoint.address), one.endpoint.address, 'by its own address');
    } finally {
      await Promise.all([one.detach(), two.detach()]);
    }
  });

  it('are put back within a poll when they are removed, emptied or set down', async () => {
    const [host] = hosts;
    host.sh('ip link del m-dcos');
    await until('m-dcos is back', 10_000, () =>
      /m-dcos\s+inet 9\.0\.0\.1\/24/.test(host.sh('ip -o address show')) ? true : undefined,
    );
    host.sh('ip address flush dev m-dcos; ip link set m-dcos mtu 1500 down');
    await until('m-dcos is as it was', 10_000, () => {
      const seen = host.sh('ip address show dev m-dcos');
      return /[<,]UP[,>].* mtu 1420 /.test(seen) && seen.includes('inet 9.0.0.1/24') ? true : undefined;
    });
    await until('rp_filter is loose', 10_000, () =>
      host.sh('cat /proc/sys/net/ipv4/conf/m-dcos/rp_filter').trim() === '2' ? true : undefined,
    );
  });

  it('that can not be made are their overlay’s failure; the other overlay works', async () => {
    const [host] = hosts;
    await drivers[0].stop();
    host.sh('ip link del m-dcos && ip link add m-dcos type veth peer name m-peer');
    const driver = new HostDriver(host);
    drivers = [driver, drivers[1]];
    await driver.update(input(1));
    const failed = driver.status.overlays.find(({ name }) => name === 'dcos');
    assert.match(failed?.kind === 'failed' ? failed.error : '', /veth device m-dcos that is not Sublet's/);
    assert.equal(driver.status.overlays.find(({ name }) => name === 'dcos6')?.kind, 'ok');
    host.sh('ip link del m-dcos');
    await driver.allOk(20_000);
    assert.match(addresses(host, 'm-dcos'), /9\.0\.0\.1\/24/);
  });

  it('are gone after leaving, and stay while something is plugged in', async () => {
    const [host] = hosts;
    host.sh('ip link add vb-last type veth peer name vb-other && ip link set vb-last master m-dcos');
    const report = await drivers[0].cleanup([clusterId], settings[0]);
    assert.match(report.left.join(), /m-dcos still carries 1 container/);
    const links = host.sh('ip -o link show');
    assert.ok(links.includes('m-dcos:') && !links.includes('m-dcos6'), links);
  });
});
