/** `ping` between hosts with firewalls and routes of others: what is open is reached, and what is closed is named. */
import assert from 'node:assert/strict';
import { HostDriver } from '#cluster-test/host/host-driver.js';
import { type Netns, Underlay } from '#cluster-test/host/netns.js';
import { hostTools } from '#cluster-test/host/requirements.js';
import { inputFor, leaseOf, settingsFor, withoutDocker } from '#cluster-test/host/scene-input.js';
import { requires } from '#cluster-test/requirement.js';
import type { PingReport } from '#host/host-status.js';

describe('pinging a host with a firewall', function () {
  this.timeout(60_000);
  let underlay: Underlay;
  let hosts: [Netns, Netns];
  let drivers: HostDriver[] = [];

  before(function () {
    requires(this, ...hostTools);
  });

  beforeEach(async () => {
    underlay = new Underlay();
    hosts = [underlay.host('h1', '10.0.0.1/24'), underlay.host('h2', '10.0.0.2/24')];
    drivers = hosts.map((host) => new HostDriver(host));
    for (const [at, driver] of drivers.entries()) {
      const overlays = withoutDocker(leaseOf(at + 1)).filter(({ name }) => name === 'dcos');
      await driver.update(inputFor(at + 1, [2 - at], settingsFor('ping-firewall', { usesDocker: false }), overlays));
      await driver.allOk();
    }
  });

  afterEach(async () => {
    for (const driver of drivers) await driver.stop();
    underlay.remove();
  });

  async function ping(from: 0 | 1): Promise<PingReport> {
    const [report] = (await drivers[from]?.ping(`agent-${2 - from}`)) ?? [];
    assert.ok(report);
    return report;
  }

  const hardened =
    'iptables -A INPUT -i lo -j ACCEPT; iptables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT; iptables -P INPUT DROP';

  it('reaches one that drops echoes and accepts the tunnel’s port, by a hop through it', async () => {
    hosts[1].sh(`${hardened}; iptables -A INPUT -p udp --dport 64000 -j ACCEPT`);
    const report = await ping(0);
    assert.deepEqual([report.reachable, report.causes], [true, []], JSON.stringify(report));
    const hops = report.probes.filter(({ path }) => path === 'hop');
    assert.deepEqual(
      hops.map(({ packetBytes, ok }) => [packetBytes, ok]),
      [
        [84, true],
        [1450, true],
      ],
    );
    assert.ok(
      report.probes.some(({ path, ok }) => path === 'vtep' && !ok),
      'its echoes are dropped',
    );
  });

  it('names the port, the rule and the command on the host that drops it, and the port from outside', async () => {
    hosts[1].sh(hardened);
    const inside = await ping(1);
    assert.equal(inside.reachable, false);
    assert.match(
      inside.causes[0] ?? '',
      /UDP port 64000.* is dropped here .*policy DROP of the chain INPUT.*iptables -I INPUT -p udp/,
    );
    const outside = await ping(0);
    assert.equal(outside.reachable, false);
    for (const tool of ['iptables -I INPUT', 'nft insert rule', 'firewall-cmd --permanent', 'ufw allow 64000/udp']) {
      assert.ok(outside.causes[0]?.includes(tool), outside.causes.join());
    }
  });

  it('sends its probe beside the tunnel from the node’s own address', async () => {
    // The other way out has an address that the peer has no way back to.
    hosts[0].sh('ip link add other type bridge; ip address add 192.0.2.1/32 dev other; ip link set other up');
    hosts[0].sh('ip route replace 10.0.0.2/32 dev eth0 src 192.0.2.1');
    hosts[1].sh('iptables -I INPUT -p udp --dport 64000 -j DROP; iptables -I INPUT -p icmp -i vtep1024 -j DROP');
    const report = await ping(0);
    assert.deepEqual(
      report.probes.filter(({ path }) => path === 'underlay').map(({ ok }) => ok),
      [true],
    );
  });

  it('finds what a bridge sends and gets no answer to, though the tunnel passes', async () => {
    hosts[0].sh('ip link add m-dcos type bridge; ip link set m-dcos up; ip address add 9.0.0.1/25 dev m-dcos');
    assert.deepEqual([(await ping(0)).reachable], [true], 'with all as it should be');
    hosts[0].sh('ip route add default dev eth0 via 10.0.0.9 table 42');
    const report = await ping(0);
    assert.deepEqual([report.reachable, report.probes.some(({ path, ok }) => path === 'bridge' && !ok)], [false, true]);
    assert.ok(report.probes.some(({ path, ok }) => path === 'vtep' && ok));
    assert.match(report.causes.join(), /route|table 42/);
  });
});
