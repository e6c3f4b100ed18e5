/** Devices, addresses and routes of others around the tunnel: what changes is followed, what hides a peer is mended or said. */
import assert from 'node:assert/strict';
import { HostDriver } from '#cluster-test/host/host-driver.js';
import { type Netns, Underlay } from '#cluster-test/host/netns.js';
import { hostTools } from '#cluster-test/host/requirements.js';
import { inputFor, leaseOf, settingsFor, withoutDocker } from '#cluster-test/host/scene-input.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { requires } from '#cluster-test/requirement.js';
import type { HostSettings } from '#host/input.js';

/** Well before the pass over everything, which comes after 60 s. */
const soonMs = 30_000;

describe('things of others on a host', function () {
  this.timeout(60_000);
  let underlay: Underlay;
  let host: Netns;
  let settings: HostSettings;
  let driver: HostDriver;

  beforeEach(async function () {
    requires(this, ...hostTools);
    underlay = new Underlay();
    host = underlay.host('h1', '10.0.0.1/24', '10.0.0.254');
    settings = settingsFor('strangers');
    driver = new HostDriver(host);
    await driver.update(inputFor(1, [2, 3], settings, withoutDocker(leaseOf(1))));
    await driver.allOk();
  });

  afterEach(async () => {
    await driver?.stop();
    underlay?.remove();
  });

  const wayTo = (address: string) => host.sh(`ip route get ${address}`).split('\n')[0] ?? '';
  const mtuIs = (mtu: number) => () => holds(host.sh('ip link show vtep1024').includes(` mtu ${mtu} `));

  async function failsUntil(name: string, says: RegExp, mend: string): Promise<void> {
    await until(`${name} is FAILED`, soonMs, () => {
      const status = driver.status.overlays.find((overlay) => overlay.name === name);
      return holds(status?.kind === 'failed' && says.test(status.error));
    }).catch((cause: unknown) => assert.fail(`${cause} ${JSON.stringify(driver.status)}`));
    host.sh(mend);
    await driver.allOk(soonMs);
  }

  it('a stale address on our bridge is taken away, so that the peer is reached again', async () => {
    host.sh('ip link add m-dcos type bridge && ip link set m-dcos up && ip address add 9.0.0.1/25 dev m-dcos');
    assert.match(wayTo('9.0.1.2'), /dev vtep1024/, 'the control: nothing hides it yet');
    host.sh('ip address add 9.0.1.1/25 dev m-dcos && ip address add 169.254.169.254/32 dev m-dcos');
    await until('the peer is behind the tunnel', soonMs, () => holds(/dev vtep1024/.test(wayTo('9.0.1.2'))));
    assert.match(host.sh('ip address show m-dcos'), /inet 9\.0\.0\.1\/25.*inet 169\.254\.169\.254\/32/s);
    await driver.allOk(soonMs);
  });

  it('an address or a route elsewhere that hides a peer’s subnet fails that overlay, and stays', async () => {
    host.sh('ip link add other type bridge && ip link set other up && ip address add 9.0.1.1/25 dev other');
    assert.match(wayTo('9.0.1.2'), /dev other/);
    await failsUntil('dcos', /9\.0\.1\.1\/25 of other/, 'ip address del 9.0.1.1/25 dev other');
    host.sh('ip route add blackhole 9.0.2.0/26');
    await failsUntil('dcos', /9\.0\.2\.0\/26/, 'ip route del blackhole 9.0.2.0/26');
    host.sh('ip -6 route add fd01:b:0:0:1:8000::/96 dev other');
    await failsUntil('dcos6', /fd01:b::1:8000:0:0\/96/, 'ip -6 route del fd01:b:0:0:1:8000::/96 dev other');
    host.sh('ip route add 9.200.0.0/24 dev other');
    await driver.allOk(soonMs);
  });

  it('a default route in the source table fails the overlays that look there', async () => {
    host.sh('ip route add 203.0.113.0/24 dev eth0 table 42');
    await driver.allOk(soonMs);
    host.sh('ip route add default via 10.0.0.254 table 42');
    await failsUntil('dcos', /"default via 10\.0\.0\.254 .*in table 42/, 'ip route del default table 42');
    assert.equal(driver.status.overlays[1]?.kind, 'ok');
  });

  it('a rule of others that sends containers’ packets elsewhere fails the overlay; the command that it names opens it', async () => {
    host.sh('ip link add vpn0 type bridge && ip link set vpn0 up && ip address add 100.64.0.1/32 dev vpn0');
    host.sh('ip route add 9.0.0.0/8 dev vpn0 table 52 && ip rule add pref 5270 lookup 52');
    assert.match(wayTo('9.0.1.2'), /dev vpn0/);
    await failsUntil('dcos', /table 52.*routing rule of others/, 'ip rule add to 9.0.0.0/8 lookup main pref 1');
    assert.match(wayTo('9.0.1.2'), /dev vtep1024/);
    host.sh('ip rule del pref 1 && ip rule del pref 5270 && ip -6 rule add to fd01:b::/64 pref 90 unreachable');
    await failsUntil('dcos6', /routing rule of others/, 'ip -6 rule del pref 90');
    host.sh(
      'ip rule add pref 32042 from all lookup 52 && ip rule del pref 32042 from all lookup 52 && ip rule add pref 40000 lookup 52',
    );
    await driver.allOk(soonMs);
  });

  it('a device that is renamed is followed: its MTU is still the tunnel’s', async () => {
    host.sh('ip link set eth0 down && ip link set eth0 name wan0 && ip link set wan0 up');
    host.sh('ip link set wan0 mtu 1400');
    await until('the MTU is followed', soonMs, mtuIs(1350));
    host.sh('ip link set wan0 mtu 1500');
    await until('the MTU is followed back', soonMs, mtuIs(1450));
    await driver.allOk(soonMs);
  });

  it('a device that is replaced by one of another name, MTU and number is followed', async () => {
    const cni = () => host.sh(`cat ${settings.cniDir}/dcos.conflist`);
    host.sh('ip link set eth0 mtu 1400');
    await until('the MTU is followed', soonMs, mtuIs(1350));
    host.sh('ip address del 10.0.0.1/24 dev eth0');
    await until('it is said that no device has the address', soonMs, () =>
      holds(driver.status.problems.some((problem) => /10\.0\.0\.1 is on no interface/.test(problem))),
    );
    assert.match(cni(), /"mtu": 1350/, 'containers keep the MTU meanwhile');
    host.sh('ip link add wan1 type bridge && ip link set wan1 mtu 1380 up && ip address add 10.0.0.1/24 dev wan1');
    await until('the MTU is that of the new device', soonMs, mtuIs(1330));
    await driver.allOk(soonMs);
    assert.match(host.sh('ip route show proto 205'), /9\.0\.1\.0\/24 via 44\.128\.0\.2/);
    host.sh('ip link set eth0 mtu 1280 && ip address add 10.0.0.1/24 dev eth0 && ip link del wan1');
    await until('the MTU is that of the old device again', soonMs, mtuIs(1230));
  });

  it('an address on loopback gives the tunnel the MTU of the device that leads out', async () => {
    host.sh('ip address add 10.9.0.1/32 dev lo');
    const given = inputFor(1, [2, 3], settings, withoutDocker(leaseOf(1)));
    await driver.update({ ...given, lease: { ...given.lease, nodeIp: '10.9.0.1' } });
    await driver.allOk(soonMs);
    assert.ok(mtuIs(1450)());
    host.sh('ip link set eth0 mtu 1400');
    await until('the MTU is followed', soonMs, mtuIs(1350));
  });
});
