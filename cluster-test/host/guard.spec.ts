/**
 * The guard on a real host: VXLAN is taken from peers alone, nothing is routed from the underlay into an overlay, and
 * what containers publish or ask for passes. Each refusal is seen to be the guard's: without it the packet arrives.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { CniContainer } from '#cluster-test/host/cni-container.js';
import { DockerDaemon } from '#cluster-test/host/docker-daemon.js';
import { Endpoint, endpointPort } from '#cluster-test/host/endpoint.js';
import { HostDriver } from '#cluster-test/host/host-driver.js';
import { type Netns, Underlay } from '#cluster-test/host/netns.js';
import { cniTools, dockerTools } from '#cluster-test/host/requirements.js';
import { clusterId, inputFor, peerOf, settingsFor } from '#cluster-test/host/scene-input.js';
import { snapshot } from '#cluster-test/host/snapshot.js';
import { until } from '#cluster-test/process/condition.js';
import { requires } from '#cluster-test/requirement.js';
import type { HostSettings } from '#host/input.js';

/** Well before the pass over everything, which comes after 60 s: the firewall is looked at every 3 s. */
const repairMs = 30_000;
const stranger = 66;
const publishedPort = 8_070;
/** Addresses at which each host of the underlay takes packets. */
const groups = ['10.0.0.255', '224.0.0.1'] as const;

describe('the guard', function () {
  this.timeout(60_000);
  let underlay: Underlay;
  let host: Netns;
  let peer: Netns;
  let outside: Netns;
  let docker: DockerDaemon;
  let driver: HostDriver;
  let peerDriver: HostDriver;
  let settings: HostSettings;
  let container: CniContainer;
  let container6: CniContainer;
  let ofPeer: CniContainer;
  let caller: Endpoint;

  before(async function () {
    requires(this, ...cniTools, ...dockerTools);
    underlay = new Underlay();
    host = underlay.host('h1', '10.0.0.1/24', `10.0.0.${stranger}`);
    peer = underlay.host('h2', '10.0.0.2/24', `10.0.0.${stranger}`);
    outside = underlay.host('outside', `10.0.0.${stranger}/24`);
    host.sh('ip address add fd10::1/64 dev eth0 nodad');
    outside.sh('ip address add fd10::66/64 dev eth0 nodad');
    docker = await DockerDaemon.start(host);
    settings = settingsFor('guard', { dockerHost: docker.address });
    const peerSettings = settingsFor('guard-peer', { usesDocker: false });
    driver = new HostDriver(host);
    peerDriver = new HostDriver(peer);
    const [mesos] = inputFor(2, [1], peerSettings).lease.overlays;
    assert.ok(mesos?.mesosBridge);
    const { dockerBridge: _, ...alone } = mesos;
    await Promise.all([
      driver.update(inputFor(1, [2], settings)),
      peerDriver.update(inputFor(2, [1], peerSettings, [alone])),
    ]);
    await Promise.all([driver.allOk(), peerDriver.allOk()]);
    const published = [{ hostPort: publishedPort, containerPort: endpointPort, protocol: 'tcp' }];
    container = await CniContainer.attach('cni', host, join(settings.cniDir, 'dcos.conflist'), published);
    container6 = await CniContainer.attach('cni6', host, join(settings.cniDir, 'dcos6.conflist'));
    ofPeer = await CniContainer.attach('peer', peer, join(peerSettings.cniDir, 'dcos.conflist'));
    caller = new Endpoint('outside', outside.path, `10.0.0.${stranger}`);
    await caller.ready;
    tunnelOf(outside, `10.0.0.${stranger}`);
    outside.sh(`
      ip route add 9.0.0.0/16 via 10.0.0.1 && ip route add 44.128.0.1 via 10.0.0.1
      ip -6 route add fd01:b::/64 via fd10::1`);
  });

  after(async () => {
    await caller?.stop();
    for (const each of [ofPeer, container6, container]) await each?.detach();
    await Promise.all([driver?.stop(), peerDriver?.stop()]);
    await docker?.remove();
    underlay?.remove();
  });

  /** A VXLAN device in `netns` by which it passes for the host of the overlay that has this node address. */
  function tunnelOf(netns: Netns, nodeIp: string): void {
    const { vtepMac } = peerOf(1);
    netns.sh(`
      ip link add vxlan0 address 02:00:00:00:00:66 type vxlan id 1024 dstport 64000 local ${nodeIp} nolearning
      ip address add 44.128.0.${stranger}/20 dev vxlan0 && ip link set vxlan0 up
      ip neigh replace 44.128.0.1 lladdr ${vtepMac} dev vxlan0 nud permanent
      bridge fdb replace ${vtepMac} dev vxlan0 dst 10.0.0.1 self permanent`);
  }

  /** Frames that came out of the tunnel of the host. */
  function decapsulated(netns = host): number {
    return JSON.parse(netns.sh('ip -j -s link show dev vtep1024'))[0].stats64.rx.packets;
  }

  /** How many of three frames of `netns` come out of the tunnel. Over veth a packet has arrived when it was sent. */
  function framesTaken(netns = outside, to = '10.0.0.1'): number {
    const before = decapsulated();
    const entry = (address: string) =>
      `bridge fdb replace ${peerOf(1).vtepMac} dev vxlan0 dst ${address} self permanent`;
    if (to !== '10.0.0.1') netns.sh(`${entry(to)} via eth0`);
    netns.sh('ping -n -q -c 3 -i 0.01 -W 0.1 -I vxlan0 44.128.0.1 || true');
    if (to !== '10.0.0.1') netns.sh(entry('10.0.0.1'));
    return decapsulated() - before;
  }

  /** Packets that a rule of the guard dropped. */
  function dropped(rule: string): number {
    const lines = host
      .sh('iptables -t raw -S SUBLET-GUARD -v')
      .split('\n')
      .filter((line) => line.includes(rule));
    return Number(/-c (\d+)/.exec(lines.at(-1) ?? '')?.[1]);
  }

  function pings(target: string): boolean {
    return /[1-9] received/.test(outside.sh(`ping -n -q -c 1 -W 0.3 ${target} || true`));
  }

  const routedIn = ['9.0.0.2', '44.128.0.1', 'fd01:b::2', '9.0.1.2'] as const;

  it('row 68: drops VXLAN of a stranger, and takes that of a peer', async () => {
    const before = dropped('LOCAL -m set ! --match-set sublet-peers');
    assert.equal(framesTaken(), 0);
    assert.equal(dropped('LOCAL -m set ! --match-set sublet-peers') - before, 3);
    assert.equal(await ofPeer.endpoint.seenBy('9.0.0.2'), '9.0.1.2');
    assert.equal(await container.endpoint.seenBy('9.0.1.2'), '9.0.0.2');
    assert.doesNotMatch(JSON.stringify(driver.status), /may be dropped|SUBLET-GUARD/);
  });

  it('row 68: drops VXLAN to all hosts of the underlay, by broadcast and by multicast', () => {
    for (const group of groups) assert.equal(framesTaken(outside, group), 0, group);
    assert.ok(dropped('BROADCAST,MULTICAST') >= 3 * groups.length);
  });

  /** A frame for VNI 1024 as the payload of a datagram, which needs no rights: to all, from a MAC address of choice. */
  function datagramTaken(from: Netns, to: Netns, address: string): number {
    const before = decapsulated(to);
    const bytes = `0800000000040000${'ff'.repeat(6)}020000000066${'0800'}45${'00'.repeat(45)}`;
    const escaped = bytes.replaceAll(/../g, (byte) => String.raw`\x${byte}`);
    from.sh(`bash -c "printf '${escaped}' > /dev/udp/${address}/64000"`);
    return decapsulated(to) - before;
  }

  it('row 68: drops VXLAN that a container sends to another host, which would take it for one of this host', () => {
    assert.equal(datagramTaken(host, peer, '10.0.0.2'), 1, 'a process of a peer');
    assert.equal(datagramTaken(container.netns, peer, '10.0.0.2'), 0);
    assert.equal(dropped('-i m-dcos -p udp -m udp --dport 64000 -m set'), 1);
  });

  it('drops VXLAN that a container sends with the address of a peer', async () => {
    container.netns.sh('ip address add 10.0.0.2/32 dev lo');
    tunnelOf(container.netns, '10.0.0.2');
    assert.equal(framesTaken(container.netns), 0);
    assert.equal(dropped('-i m-dcos -p udp -m udp --dport 64000 -m addrtype'), 3);
  });

  it('drops what the underlay routes into an overlay, in both families', () => {
    assert.equal(container6.endpoint.address, 'fd01:b::2');
    for (const target of routedIn) assert.equal(pings(target), false, target);
  });

  it('passes published ports and masqueraded traffic', async () => {
    const inDocker = await docker.container('published', 'dcos', ['-p', `${publishedPort + 1}:${endpointPort}`]);
    assert.equal(await container.endpoint.seenBy(`10.0.0.${stranger}`), '10.0.0.1');
    assert.equal(await caller.seenBy('10.0.0.1', publishedPort), `10.0.0.${stranger}`);
    assert.equal(await caller.seenBy('10.0.0.1', publishedPort + 1), `10.0.0.${stranger}`);
    assert.equal(await inDocker.seenBy(`10.0.0.${stranger}`), '10.0.0.1');
    await inDocker.stop();
  });

  it('takes VXLAN of a new peer with its entries, and no longer when it has gone', async () => {
    await driver.update(inputFor(1, [2, stranger], settings));
    assert.equal(framesTaken(), 3);
    await driver.update(inputFor(1, [2], settings));
    assert.equal(framesTaken(), 0);
  });

  it('routes from a device that is excepted', async () => {
    await driver.update(inputFor(1, [2], { ...settings, guardExcept: ['eth0'] }));
    assert.equal(pings('9.0.0.2'), true);
    assert.equal(framesTaken(), 0);
    await driver.update(inputFor(1, [2], settings));
    assert.equal(pings('9.0.0.2'), false);
  });

  const accepting = 'PREROUTING -j ACCEPT';
  const damages = [
    [
      'a set with another entry, and a rule before the jump that accepts all',
      [`ipset add sublet-peers 10.0.0.${stranger}`, `iptables -t raw -I ${accepting}`],
    ],
    [
      'an empty set, a chain and a table without rules',
      ['ipset flush sublet-peers', 'iptables -t raw -F', 'ip6tables -t raw -F SUBLET-GUARD'],
    ],
  ] as const;
  for (const [what, damage] of damages) {
    it(`mends ${what}`, async () => {
      for (const line of damage) host.sh(line);
      await until('the guard as before', repairMs, () => {
        const jump = host.sh('iptables -t raw -S PREROUTING').split('\n')[1] ?? '';
        return /-j SUBLET-GUARD$/.test(jump) && framesTaken() === 0 && !pings('fd01:b::2') ? true : undefined;
      });
      assert.equal(await ofPeer.endpoint.seenBy('9.0.0.2'), '9.0.1.2');
    });
  }

  it('is not there when it is off: the same packets arrive', async () => {
    await driver.update(inputFor(1, [2], { ...settings, guard: false }));
    assert.equal(framesTaken(), 3);
    assert.equal(framesTaken(container.netns), 3);
    for (const group of groups) assert.equal(framesTaken(outside, group), 3, group);
    container.netns.sh('ip address delete 10.0.0.2/32 dev lo');
    assert.equal(datagramTaken(container.netns, peer, '10.0.0.2'), 1);
    for (const target of routedIn.slice(0, 3)) assert.equal(pings(target), true, target);
    assert.doesNotMatch(snapshot(host, settings.cniDir), /SUBLET-GUARD|sublet-(peers|guarded)/);
    await driver.update(inputFor(1, [2], settings));
    assert.equal(framesTaken(), 0);
  });

  it('leaves nothing behind', async () => {
    for (const each of [ofPeer, container6, container]) await each.detach();
    await docker.remove();
    await driver.stop();
    const leaver = new HostDriver(host);
    try {
      await leaver.cleanup([clusterId], { ...settings, usesDocker: false });
    } finally {
      await leaver.stop();
    }
    assert.doesNotMatch(snapshot(host, settings.cniDir), /SUBLET|sublet-/);
  });
});
