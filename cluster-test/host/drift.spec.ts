/** Whatever is taken away or changed on a host by others is back soon; what is theirs stays as it is. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DockerDaemon } from '#cluster-test/host/docker-daemon.js';
import { HostDriver } from '#cluster-test/host/host-driver.js';
import { type Netns, Underlay } from '#cluster-test/host/netns.js';
import { dockerTools } from '#cluster-test/host/requirements.js';
import { inputFor, settingsFor } from '#cluster-test/host/scene-input.js';
import { snapshot } from '#cluster-test/host/snapshot.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { requires } from '#cluster-test/requirement.js';
import type { HostSettings } from '#host/input.js';

/** Well before the pass over everything, which comes after 60 s: by its event, or by the look every 3 s. */
const backMs = 30_000;

describe('drift', function () {
  this.timeout(60_000);
  let underlay: Underlay;
  let host: Netns;
  let docker: DockerDaemon;
  let driver: HostDriver;
  let settings: HostSettings;

  before(async function () {
    requires(this, ...dockerTools);
    underlay = new Underlay();
    host = underlay.host('h1', '10.0.0.1/24', '10.0.0.254');
    docker = await DockerDaemon.start(host);
    settings = settingsFor('drift', { dockerHost: docker.address });
    makeForeignThings(host);
    driver = new HostDriver(host);
    await driver.update(inputFor(1, [2, 3], settings));
    await driver.allOk();
  });

  after(async () => {
    await driver?.stop();
    await docker?.remove();
    underlay?.remove();
  });

  /** Damages the host, and waits until it looks as before. */
  async function repaired(kinds: readonly string[], damage: () => void): Promise<void> {
    const before = snapshot(host, settings.cniDir);
    const counted = (await driver.metrics()).driftRepaired;
    damage();
    await until('as before, and counted', backMs, async () => {
      const now = snapshot(host, settings.cniDir);
      if (now !== before) throw new Error(difference(before, now));
      const { driftRepaired } = await driver.metrics();
      const uncounted = kinds.filter((kind) => (driftRepaired[kind] ?? 0) <= (counted[kind] ?? 0));
      if (uncounted.length > 0) throw new Error(`not counted: ${uncounted.join(', ')}`);
      return true;
    });
  }

  const damages: readonly (readonly [what: string, kind: string, command: string])[] = [
    ['a deleted route', 'route', 'ip route del 9.0.1.0/24'],
    ['a deleted IPv6 route', 'route', 'ip -6 route del fd01:b:0:0:1::/80'],
    ['a route that leads elsewhere', 'route', 'ip route replace 9.0.1.0/24 via 44.128.0.9 dev vtep1024 proto 205'],
    ['a deleted source route', 'route', 'ip route flush table 42 proto 205'],
    ['a deleted neighbour', 'neighbour', 'ip neigh del 44.128.0.2 dev vtep1024'],
    [
      'a neighbour with another MAC',
      'neighbour',
      'ip neigh replace 44.128.0.2 lladdr 02:00:00:00:00:01 dev vtep1024 nud permanent protocol 205',
    ],
    ['a deleted FDB entry', 'fdb', 'bridge fdb del 70:b3:d5:80:00:02 dev vtep1024 self'],
    [
      'an FDB entry to another host',
      'fdb',
      'bridge fdb replace 70:b3:d5:80:00:02 dev vtep1024 dst 10.0.0.77 self permanent',
    ],
    ['the deleted device', 'device-create', 'ip link del vtep1024'],
    ['the device set down', 'link-set', 'ip link set vtep1024 down'],
    ['another MAC of the device', 'link-set', 'ip link set vtep1024 address 02:00:00:00:00:05'],
    ['another MTU of the device', 'link-set', 'ip link set vtep1024 mtu 1400'],
    ['a wiped alias', 'link-set', 'ip link set vtep1024 alias ""'],
    ['a deleted address', 'address', 'ip address del 44.128.0.1/20 dev vtep1024'],
    ['a deleted IPv6 address', 'address', 'ip address del fd01:a::1/64 dev vtep1024'],
    ['a second address', 'address', 'ip address add 44.128.9.9/20 dev vtep1024'],
    ['the deleted rule', 'rule', 'ip rule del pref 32042'],
  ];

  for (const [what, kind, command] of damages) {
    it(`repairs ${what}`, () => repaired([kind], () => host.sh(command)));
  }

  const masquerade = (action: string) =>
    `iptables -t nat -${action} POSTROUTING -s 9.0.0.0/24 -m set --match-set overlay dst -m comment --comment sublet:test-cluster -j MASQUERADE --random-fully`;

  it('repairs what has no events: firewall, ipset, settings, CNI files and Docker networks, damaged together', () =>
    repaired(['filter-rule', 'chain-set', 'set-entry', 'sysctl', 'cni-write', 'docker-create'], () => {
      host.sh(masquerade('D'));
      host.sh('iptables -F SUBLET-FORWARD && iptables -D DOCKER-USER 1 && ip6tables -D FORWARD 1');
      host.sh('ipset del overlay 9.0.0.0/8 && ipset flush overlay6');
      host.sh('sysctl -qw net.ipv4.ip_forward=0 net.ipv4.conf.vtep1024.rp_filter=1');
      rmSync(join(settings.cniDir, 'dcos.conflist'));
      const file = join(settings.cniDir, 'dcos6.conflist');
      writeFileSync(file, readFileSync(file, 'utf8').replace('1420', '9000'));
      docker.docker('network', 'rm', 'dcos');
    }));

  it('repairs a destroyed ipset and a deleted chain', () =>
    repaired(['set-create', 'chain-set'], () => {
      host.sh(`${masquerade('D')} && ipset destroy overlay`);
      host.sh('ip6tables -D FORWARD 1 && ip6tables -F SUBLET-FORWARD && ip6tables -X SUBLET-FORWARD');
    }));

  it('touches nothing of others’ while it repairs', () => {
    const kept = foreignThings(host);
    assert.deepEqual(kept, foreignWanted);
  });

  it('does nothing while all is well', async () => {
    const before = await driver.metrics();
    await until('two polls', backMs, async () => holds((await driver.metrics()).passes >= before.passes + 2));
    const after = await driver.metrics();
    assert.deepEqual(after.stepsRun, before.stepsRun);
  });

  it('has no second set of anything after a restart of the agent', async () => {
    const before = snapshot(host, settings.cniDir);
    await driver.stop();
    assert.equal(snapshot(host, settings.cniDir), before, 'a stopped agent leaves the data plane');
    driver = new HostDriver(host);
    await driver.update(inputFor(1, [2, 3], settings));
    await driver.allOk();
    assert.equal(snapshot(host, settings.cniDir), before);
    assert.deepEqual((await driver.metrics()).stepsRun, {}, 'it found all as it should be');
    assert.ok(existsSync(join(settings.cniDir, 'dcos.conflist')));
  });
});

/** Foreign things beside each of ours. */
function makeForeignThings(host: Netns): void {
  host.sh(`ip link add other type veth peer name other1 && ip link set other up && ip address add 172.30.0.1/24 dev other
    ip route add 9.200.0.0/24 dev other && ip route add 203.0.113.0/24 dev other table 42
    ip neigh add 172.30.0.9 lladdr 02:00:00:00:00:09 dev other nud permanent
    ip rule add from 172.30.0.0/24 lookup 42 pref 100
    iptables -t nat -A POSTROUTING -s 172.30.0.0/24 -j MASQUERADE && iptables -I FORWARD -i other -j ACCEPT
    ipset create theirs hash:ip && ipset add theirs 1.2.3.4`);
}

function foreignThings(host: Netns): string[] {
  return host
    .sh(`ip route show 9.200.0.0/24; ip route show table 42 203.0.113.0/24; ip neigh show dev other
      ip rule show pref 100; iptables -S FORWARD | grep -e '-i other'; ipset save theirs | tail -1`)
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
}

const foreignWanted = [
  '9.200.0.0/24 dev other scope link linkdown',
  '203.0.113.0/24 dev other scope link linkdown',
  '172.30.0.9 lladdr 02:00:00:00:00:09 PERMANENT',
  '100:\tfrom 172.30.0.0/24 lookup 42',
  '-A FORWARD -i other -j ACCEPT',
  'add theirs 1.2.3.4',
];

function difference(before: string, now: string): string {
  const [was, is] = [new Set(before.split('\n')), new Set(now.split('\n'))];
  const missing = [...was].filter((line) => !is.has(line)).map((line) => `missing: ${line}`);
  return [...missing, ...[...is].filter((line) => !was.has(line)).map((line) => `extra: ${line}`)].join('\n');
}
