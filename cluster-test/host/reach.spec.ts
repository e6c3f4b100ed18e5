/**
 * Containers of both kinds on two hosts, a host without a subnet, and the outside: who reaches whom, and as whom.
 * The reconcilers are driven directly, without masters.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { CniContainer } from '#cluster-test/host/cni-container.js';
import { DockerDaemon } from '#cluster-test/host/docker-daemon.js';
import { Endpoint } from '#cluster-test/host/endpoint.js';
import { HostDriver } from '#cluster-test/host/host-driver.js';
import { type Netns, Underlay } from '#cluster-test/host/netns.js';
import { cniTools, dockerTools } from '#cluster-test/host/requirements.js';
import { inputFor, leaseOf, settingsFor } from '#cluster-test/host/scene-input.js';
import { requires } from '#cluster-test/requirement.js';

const outsideAddress = '192.0.2.1';
const mtu = 1420;

type Host = {
  readonly netns: Netns;
  readonly driver: HostDriver;
  readonly docker: DockerDaemon;
  readonly cniDir: string;
};

describe('containers on real hosts', function () {
  this.timeout(120_000);
  const hosts: Host[] = [];
  let underlay: Underlay;
  let plain: { netns: Netns; driver: HostDriver };
  let outside: Endpoint;
  /** dcos: two of each kind on the first host, one of each on the second. */
  const containers: Endpoint[] = [];
  const containers6: Endpoint[] = [];
  const attached: CniContainer[] = [];

  async function addHost(n: number, others: readonly number[]): Promise<void> {
    const netns = underlay.host(`h${n}`, `10.0.0.${n}/24`, '10.0.0.254');
    const docker = await DockerDaemon.start(netns);
    const settings = settingsFor(`h${n}`, { dockerHost: docker.address });
    const driver = new HostDriver(netns);
    await driver.update(inputFor(n, others, settings, leaseOf(n)));
    await driver.allOk();
    hosts.push({ netns, driver, docker, cniDir: settings.cniDir });
  }

  async function addContainers({ netns, docker, cniDir }: Host, n: number, count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const cni = await CniContainer.attach(`h${n}-cni${i}`, netns, join(cniDir, 'dcos.conflist'));
      attached.push(cni);
      containers.push(cni.endpoint, await docker.container(`h${n}-docker${i}`, 'dcos'));
    }
    const cni6 = await CniContainer.attach(`h${n}-cni6`, netns, join(cniDir, 'dcos6.conflist'));
    attached.push(cni6);
    containers6.push(cni6.endpoint, await docker.container(`h${n}-docker6`, 'dcos6'));
  }

  before(async function () {
    requires(this, ...cniTools, ...dockerTools);
    underlay = new Underlay();
    const world = underlay.host('outside', '10.0.0.254/24');
    world.sh(`ip address add ${outsideAddress}/32 dev lo`);
    outside = new Endpoint('outside', world.path, outsideAddress);
    await addHost(1, [2, 3]);
    await addHost(2, [1, 3]);
    const netns = underlay.host('h3', '10.0.0.3/24');
    plain = { netns, driver: new HostDriver(netns) };
    await plain.driver.update(inputFor(3, [1, 2], settingsFor('h3'), [{ name: 'dcos' }, { name: 'dcos6' }]));
    await plain.driver.allOk();
    const [first, second] = hosts;
    assert.ok(first && second);
    await addContainers(first, 1, 2);
    await addContainers(second, 2, 1);
  });

  after(async () => {
    for (const { endpoint } of attached) await endpoint.stop();
    for (const { driver, docker } of hosts) {
      await driver.stop();
      await docker.remove();
    }
    await plain?.driver.stop();
    await outside?.stop();
    for (const { netns } of attached) netns.remove();
    underlay?.remove();
  });

  it('get addresses of their half: Mesos the lower, Docker the upper, not docker0’s', () => {
    assert.deepEqual(
      containers.map(({ name, address }) => [name, address]),
      [
        ['h1-cni0', '9.0.0.2'],
        ['h1-docker0', '9.0.0.130'],
        ['h1-cni1', '9.0.0.3'],
        ['h1-docker1', '9.0.0.131'],
        ['h2-cni0', '9.0.1.2'],
        ['h2-docker0', '9.0.1.130'],
      ],
    );
    assert.deepEqual(
      containers6.map(({ address }) => address),
      ['fd01:b::2', 'fd01:b::8000:0:2', 'fd01:b::1:0:0:2', 'fd01:b::1:8000:0:2'],
    );
  });

  it('every pair reaches every pair under its own address, in IPv4 and IPv6', async () => {
    for (const group of [containers, containers6]) {
      for (const from of group) {
        for (const to of group) {
          if (from !== to) assert.equal(await from.seenBy(to.address), from.address, `${from.name} → ${to.name}`);
        }
      }
    }
  });

  it('a packet of the containers’ full MTU passes whole between every two', async () => {
    for (const group of [containers, containers6]) {
      for (const from of group) {
        for (const to of group) {
          if (from !== to) assert.ok(await from.pings(to.address, mtu), `${from.name} → ${to.name}`);
        }
      }
    }
    assert.equal(await containers[0]?.pings(containers[4]?.address ?? '', mtu + 1), false, 'one byte more does not');
  });

  it('100 MB arrive whole across hosts, from and to either kind', async () => {
    for (const [from, to] of [
      [containers[0], containers[5]],
      [containers[1], containers[4]],
    ]) {
      assert.ok(from && to);
      const { sent, arrived } = await from.transfer(to.address, 100);
      assert.equal(arrived, sent);
    }
  });

  it('a host without a subnet reaches the containers', async () => {
    const endpoint = new Endpoint('h3', plain.netns.path, '44.128.0.3');
    await endpoint.ready;
    for (const to of containers) assert.equal(await endpoint.seenBy(to.address), '44.128.0.3', to.name);
    for (const to of containers6) assert.equal(await endpoint.seenBy(to.address), 'fd01:a::3', to.name);
    await endpoint.stop();
  });

  it('containers reach every host at its node address, through the tunnel', async () => {
    const listeners = [...hosts.map(({ netns }) => netns), plain.netns].map(
      (netns) => new Endpoint('host', netns.path, ''),
    );
    await Promise.all(listeners.map(({ ready }) => ready));
    for (const from of containers) {
      for (const n of [1, 2, 3]) await from.seenBy(`10.0.0.${n}`);
    }
    await Promise.all(listeners.map((listener) => listener.stop()));
  });

  it('the outside sees the host, not the container', async () => {
    await outside.ready;
    for (const from of containers) {
      const host = from.name.startsWith('h1') ? '10.0.0.1' : '10.0.0.2';
      assert.equal(await from.seenBy(outsideAddress), host, from.name);
    }
  });

  it('each host’s routes read as in the worked example', () => {
    const lines = hosts.map(({ netns }) => netns.sh('ip route show').split('\n'));
    assert.ok(
      lines[0]?.some((line) => line.startsWith('9.0.1.0/24 via 44.128.0.2 dev vtep1024')),
      lines[0]?.join('\n'),
    );
    assert.ok(
      lines[1]?.some((line) => line.startsWith('9.0.0.0/24 via 44.128.0.1 dev vtep1024')),
      lines[1]?.join('\n'),
    );
    const ranges = hosts.map(({ netns }) => netns.sh("ip -br -4 address show | grep -E '^[md]-dcos ' | tr -s ' '"));
    assert.match(ranges[0] ?? '', /d-dcos UP 9\.0\.0\.129\/25/);
    assert.match(ranges[1] ?? '', /m-dcos UP 9\.0\.1\.1\/25/);
  });

  it('keep talking when the agents stop', async () => {
    await hosts[0]?.driver.stop();
    await hosts[1]?.driver.stop();
    for (const from of containers) {
      for (const to of containers) if (from !== to) assert.equal(await from.seenBy(to.address), from.address);
    }
  });
});
