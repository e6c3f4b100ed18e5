/** What masters and operators change reaches the host, and only that changes. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { attachByPlugin, CniContainer } from '#cluster-test/host/cni-container.js';
import { DockerDaemon } from '#cluster-test/host/docker-daemon.js';
import { HostDriver } from '#cluster-test/host/host-driver.js';
import { type Netns, Underlay } from '#cluster-test/host/netns.js';
import { cniTools, dockerTools } from '#cluster-test/host/requirements.js';
import { clusterId, inputFor, leaseOf, peerOf, settingsFor, withoutDocker } from '#cluster-test/host/scene-input.js';
import { snapshot } from '#cluster-test/host/snapshot.js';
import { until } from '#cluster-test/process/condition.js';
import { requires } from '#cluster-test/requirement.js';
import type { HostInput, HostSettings } from '#host/input.js';

/** Well before the pass over everything, which comes after 60 s. */
const soonMs = 30_000;

describe('a change', function () {
  this.timeout(60_000);
  let underlay: Underlay;
  let host: Netns;
  let driver: HostDriver;
  let settings: HostSettings;

  before(function () {
    requires(this, ...cniTools);
    underlay = new Underlay();
    host = underlay.host('h1', '10.0.0.1/24');
    settings = settingsFor('change');
    driver = new HostDriver(host);
  });

  after(async () => {
    await driver?.stop();
    underlay?.remove();
  });

  const input = (others: readonly number[], own: Partial<HostSettings> = {}): HostInput =>
    inputFor(1, others, { ...settings, ...own }, withoutDocker(leaseOf(1)));

  async function update(next: HostInput): Promise<void> {
    await driver.update(next);
    await driver.allOk();
  }

  it('is planned in the same steps that are run, and then there are none', async () => {
    const before = snapshot(host, settings.cniDir);
    const plan = await driver.plan(input([2]));
    assert.equal(snapshot(host, settings.cniDir), before, 'planning changes nothing');
    assert.ok(plan.some(({ command }) => command.startsWith('ip link add name vtep1024')));
    assert.ok(plan.some(({ command }) => command.startsWith('ip route add 9.0.1.0/24 via 44.128.0.2 dev vtep1024')));
    await update(input([2]));
    assert.deepEqual(await driver.plan(input([2])), []);
  });

  it('of the peers touches only their entries: one comes, one goes', async () => {
    await update(input([2, 3]));
    const before = (await driver.metrics()).stepsRun;
    await update(input([3, 4]));
    const after = (await driver.metrics()).stepsRun;
    assert.deepEqual(
      Object.fromEntries(Object.entries(after).map(([kind, count]) => [kind, count - (before[kind] ?? 0)])),
      {
        ...Object.fromEntries(Object.keys(after).map((kind) => [kind, 0])),
        neighbour: 4,
        fdb: 2,
        route: 6,
        'set-entry': 2,
      },
    );
    const routes = host.sh('ip route show proto 205; ip neigh show nud permanent; bridge fdb show dev vtep1024');
    assert.ok(!routes.includes('44.128.0.2') && !routes.includes('70:b3:d5:80:00:02'), routes);
    assert.match(routes, /9\.0\.3\.0\/24 via 44\.128\.0\.4/);
  });

  it('of a peer’s node_ip is followed', async () => {
    const next = input([3]);
    await update({ ...next, peers: [{ ...peerOf(3), nodeIp: '10.0.0.33' }] });
    assert.match(host.sh('bridge fdb show dev vtep1024'), /70:b3:d5:80:00:03 dst 10\.0\.0\.33 self permanent/);
    assert.match(host.sh('ip route show table 42'), /^10\.0\.0\.33 via 44\.128\.0\.3/m);
    assert.doesNotMatch(host.sh('ip route show table 42'), /^10\.0\.0\.3 /m);
  });

  it('of the own node_ip moves the device without taking it away', async () => {
    await update(input([2]));
    const index = host.sh('cat /sys/class/net/vtep1024/ifindex 2>/dev/null || ip -o link show vtep1024 | cut -d: -f1');
    host.sh('ip address add 10.0.0.11/24 dev eth0');
    const next = input([2]);
    await update({ ...next, lease: { ...next.lease, nodeIp: '10.0.0.11' } });
    assert.match(host.sh('ip -d link show vtep1024'), /local 10\.0\.0\.11/);
    assert.equal(
      host.sh('cat /sys/class/net/vtep1024/ifindex 2>/dev/null || ip -o link show vtep1024 | cut -d: -f1'),
      index,
    );
    await update(next);
  });

  it('of the lease’s end sets the device down, says so, and is undone', async () => {
    const status = await driver.update({ ...input([2]), leaseValid: false });
    assert.ok(status.overlays.every((overlay) => overlay.kind === 'failed' && /vtep1024 is down/.test(overlay.error)));
    assert.match(host.sh('ip link show vtep1024'), /state DOWN/);
    assert.equal(host.sh('ip route show proto 205'), '');
    await update(input([2]));
    assert.match(host.sh('ip route show proto 205'), /9\.0\.1\.0\/24 via 44\.128\.0\.2/);
    assert.match(host.sh('ip -6 address show dev vtep1024'), /fd01:a::1\/64/);
  });

  it('of the overlays: an added one appears, and a removed one disappears with what belonged to it', async () => {
    const next = input([2]);
    const more = { name: 'extra', subnet: '11.0.0.0/24', mesosBridge: { name: 'm-extra', cidr: '11.0.0.0/25' } };
    await update({
      ...next,
      lease: { ...next.lease, overlays: [...next.lease.overlays, more] },
      overlays: [...next.overlays, { name: 'extra', subnet: '11.0.0.0/8', enabled: true }],
    });
    const seen = () => host.sh('ip rule show; ipset save overlay; iptables -t nat -S; iptables -S SUBLET-FORWARD');
    assert.match(seen(), /from 11\.0\.0\.0\/8 lookup 42/);
    assert.match(seen(), /add overlay 11\.0\.0\.0\/8 nomatch/);
    assert.match(seen(), /-s 11\.0\.0\.0\/24 .*MASQUERADE/);
    assert.ok(existsSync(join(settings.cniDir, 'extra.conflist')));
    await update(next);
    assert.doesNotMatch(seen(), /11\.0\.0\.0|m-extra/);
    assert.ok(!existsSync(join(settings.cniDir, 'extra.conflist')));
  });

  it('of enable_ipv6 takes IPv6 away and nothing else', async () => {
    await update(input([2], { enableIpv6: false }));
    const seen = host.sh(
      'ip -6 route show proto 205; ip -6 neigh show nud permanent; ip -6 address show dev vtep1024; ipset save; ip6tables -S',
    );
    assert.doesNotMatch(seen, /fd01:/);
    assert.doesNotMatch(seen, /SUBLET-FORWARD|overlay6/);
    assert.match(host.sh('ip route show proto 205'), /9\.0\.1\.0\/24/);
    await update(input([2]));
  });

  it('of the CNI style swaps the file, and what Mesos would delegate works with the real plugin', async () => {
    await update(input([2], { cniStyle: 'mesos' }));
    assert.ok(!existsSync(join(settings.cniDir, 'dcos.conflist')));
    const config = JSON.parse(readFileSync(join(settings.cniDir, 'dcos.conf'), 'utf8'));
    assert.equal(config.type, 'mesos-cni-port-mapper');
    assert.deepEqual([config.chain, config.excludeDevices], ['M-DCOS', ['m-dcos']]);
    const container = await attachByPlugin('mesos', host, { ...config.delegate, name: config.name });
    assert.equal(container.address, '9.0.0.2');
    assert.match(container.netns.sh('ip address show eth0; ip route show'), /mtu 1420.*default via 9\.0\.0\.1/s);
    container.netns.remove();
    await update(input([2]));
    assert.ok(!existsSync(join(settings.cniDir, 'dcos.conf')));
  });

  it('of bridges: one that comes with its first container is marked and its filter loosened, without being called drift', async () => {
    const drift = (await driver.metrics()).driftRepaired;
    const container = await CniContainer.attach('first', host, join(settings.cniDir, 'dcos.conflist'));
    await until('the bridge is marked', soonMs, () =>
      /alias sublet:test-cluster/.test(host.sh('ip link show m-dcos')) ? true : undefined,
    );
    await until('its filter is loose', soonMs, () =>
      host.sh('cat /proc/sys/net/ipv4/conf/m-dcos/rp_filter').trim() === '2' ? true : undefined,
    );
    assert.deepEqual((await driver.metrics()).driftRepaired, drift);
    await container.detach();
  });

  it('of the subnet waits for the containers of the old one, then goes on by itself', async () => {
    const container = await CniContainer.attach('old', host, join(settings.cniDir, 'dcos.conflist'));
    await until('the bridge is marked', soonMs, () =>
      /alias sublet/.test(host.sh('ip link show m-dcos')) ? true : undefined,
    );
    const next = input([2]);
    const [, six] = next.lease.overlays;
    assert.ok(six);
    const fresh = { name: 'dcos', subnet: '9.0.7.0/24', mesosBridge: { name: 'm-dcos', cidr: '9.0.7.0/25' } };
    const status = await driver.update({ ...next, lease: { ...next.lease, overlays: [fresh, six] } });
    const failed = status.overlays.find(({ name }) => name === 'dcos');
    assert.ok(
      failed?.kind === 'failed' && /m-dcos still carries 1 container of 9\.0\.0\.1\/25/.test(failed.error),
      JSON.stringify(status),
    );
    assert.equal(status.overlays.find(({ name }) => name === 'dcos6')?.kind, 'ok');
    await container.detach();
    await driver.allOk();
    const again = await CniContainer.attach('new', host, join(settings.cniDir, 'dcos.conflist'));
    assert.equal(again.endpoint.address, '9.0.7.2');
    await again.detach();
  });
});

describe('leaving', function () {
  this.timeout(60_000);

  it('takes everything of Sublet’s off the host and nothing else, and says what it leaves for containers', async function () {
    requires(this, ...cniTools, ...dockerTools);
    const underlay = new Underlay();
    const host = underlay.host('h1', '10.0.0.1/24');
    const docker = await DockerDaemon.start(host);
    const settings = settingsFor('leave', { dockerHost: docker.address });
    try {
      host.sh('iptables -t nat -A POSTROUTING -s 172.30.0.0/24 -j MASQUERADE && ipset create theirs hash:ip');
      docker.docker('network', 'create', 'mine');
      // What stays on by intent: others may have come to rely on forwarding.
      host.sh('sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1');
      const before = snapshot(host, settings.cniDir);
      const driver = new HostDriver(host);
      await driver.update(inputFor(1, [2, 3], settings));
      await driver.allOk();
      const busy = await docker.container('busy', 'dcos');
      const report = await driver.cleanup([clusterId], settings);
      assert.equal(report.left.length, 1);
      assert.match(report.left[0] ?? '', /Docker network "dcos" .*still has containers \(busy\)/);
      await busy.stop();
      docker.docker('rm', '-f', 'busy');
      const again = await new HostDriver(host).cleanup([clusterId], settings);
      assert.deepEqual(again.left, []);
      assert.deepEqual(
        again.removed.map(({ command }) => command),
        ['docker network rm dcos'],
      );
      assert.equal(snapshot(host, settings.cniDir), before);
      assert.match(docker.docker('network', 'ls'), /mine/);
    } finally {
      await docker.remove();
      underlay.remove();
    }
  });
});
