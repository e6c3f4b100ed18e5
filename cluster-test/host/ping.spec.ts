/** `ping` from VTEP to VTEP: what passes, and what it blames when something does not. */
import assert from 'node:assert/strict';
import { HostDriver } from '#cluster-test/host/host-driver.js';
import { type Netns, Underlay } from '#cluster-test/host/netns.js';
import { hostTools } from '#cluster-test/host/requirements.js';
import { inputFor, settingsFor } from '#cluster-test/host/scene-input.js';
import { requires } from '#cluster-test/requirement.js';
import type { PingReport } from '#host/host-status.js';

describe('pinging a peer', function () {
  this.timeout(60_000);
  let underlay: Underlay;
  let hosts: Netns[] = [];
  let drivers: HostDriver[] = [];
  const holdsNothing = [{ name: 'dcos' }];

  before(async function () {
    requires(this, ...hostTools);
    underlay = new Underlay();
    hosts = [1, 2].map((n) => underlay.host(`h${n}`, `10.0.0.${n}/24`));
    drivers = hosts.map((host) => new HostDriver(host));
    await drivers[0]?.update(inputFor(1, [2, 3], settingsFor('ping'), holdsNothing));
    await drivers[1]?.update(inputFor(2, [1, 3], settingsFor('ping'), holdsNothing));
    for (const driver of drivers) await driver.allOk();
  });

  after(async () => {
    for (const driver of drivers) await driver.stop();
    underlay?.remove();
  });

  /** From the first host, by name. */
  async function ping(target: string): Promise<PingReport> {
    const reports = await drivers[0]?.ping(target);
    assert.equal(reports?.length, 1);
    assert.ok(reports[0]);
    return reports[0];
  }

  it('passes small and at full MTU, in both families, by id or any address', async () => {
    const report = await ping('agent-2');
    assert.deepEqual(
      report.probes.map(({ path, packetBytes, ok }) => [path, packetBytes, ok]),
      [
        ['vtep', 84, true],
        ['vtep', 1450, true],
        ['vtep6', 84, true],
        ['vtep6', 1450, true],
      ],
    );
    assert.ok(report.reachable && report.causes.length === 0 && (report.probes[0]?.roundTripMs ?? 0) > 0);
    for (const target of ['10.0.0.2', '44.128.0.2', 'fd01:a::2']) assert.equal((await ping(target)).agentId, 'agent-2');
    await assert.rejects(ping('nobody'), /no agent has the id or address nobody/);
  });

  it('says when the host itself does not answer', async () => {
    const report = await ping('agent-3');
    assert.equal(report.reachable, false);
    assert.match(report.causes[0] ?? '', /does not answer at 10\.0\.0\.3 beside the tunnel/);
  });

  it('says when the underlay carries less than its MTU', async () => {
    hosts[1]?.sh('ip link set eth0 mtu 1400');
    const report = await ping('agent-2');
    assert.equal(report.reachable, false);
    assert.match(report.causes[0] ?? '', /small packets pass and full ones do not/);
    hosts[1]?.sh('ip link set eth0 mtu 1500');
  });

  it('says when the port is blocked, or the other side lacks its entries', async () => {
    hosts[1]?.sh('iptables -I INPUT -p udp --dport 64000 -j DROP');
    const report = await ping('agent-2');
    assert.match(report.causes[0] ?? '', /UDP port 64000 is blocked between the hosts, or the other side/);
    hosts[1]?.sh('iptables -D INPUT -p udp --dport 64000 -j DROP');
  });
});
