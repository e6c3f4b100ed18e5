/**
 * Hosts that move from DC/OS and from flannel, one after the other, on real kernels: each gets exactly what it has had, both
 * tunnels are on a host meanwhile, and what flows between other hosts loses nothing. The former system is what it leaves in
 * the kernel and in CNI's files; the commands of the pages are run as they stand.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CniContainer } from '#cluster-test/host/cni-container.js';
import { Flow } from '#cluster-test/host/flow.js';
import { moveSoakMinutes } from '#cluster-test/host/move-soak.js';
import type { Netns } from '#cluster-test/host/netns.js';
import { buildOldTunnel, type OldTunnelDevice, type OldTunnelHost } from '#cluster-test/host/old-tunnel.js';
import { cniTools } from '#cluster-test/host/requirements.js';
import { type AgentHost, Scene } from '#cluster-test/host/scene.js';
import { pageBlock } from '#cluster-test/page-block.js';
import { sublet } from '#cluster-test/process/child.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { command, requires } from '#cluster-test/requirement.js';

const boundMs = 30_000;
const minutes = Number(process.env[moveSoakMinutes] ?? 0);

type OldHost = OldTunnelHost & {
  readonly id: string;
  /** The network file of the former system. */
  readonly network: string;
  container: CniContainer;
  agent?: AgentHost;
};

/** Of the network of the former system: its name, its bridge, and which part of the host's subnet is the bridge's. */
type OldNetwork = { readonly name: string; readonly bridge: string; readonly range: (subnet: string) => string };

/** Hosts of one former system, and masters beside them. */
class Site {
  readonly scene = new Scene();
  readonly hosts: OldHost[] = [];
  readonly #containers: CniContainer[] = [];

  file(name: string, content: object): string {
    const path = join(this.scene.folder, name);
    writeFileSync(path, JSON.stringify(content));
    return path;
  }

  /** Hosts with the tunnel of the former system, each with a container. */
  async build(
    device: OldTunnelDevice,
    hosts: readonly Omit<OldTunnelHost, 'netns'>[],
    { name, bridge, range }: OldNetwork,
  ): Promise<void> {
    const made = hosts.map((host, at) => ({ ...host, netns: this.scene.host(`h${at + 1}`, host.nodeIp) }));
    buildOldTunnel(device, made);
    for (const host of made) {
      const id = `host-${host.nodeIp.at(-1)}`;
      // Where the agent's own networks keep their addresses, too.
      const dataDir = join(this.scene.folder, id, 'networks');
      const ipam = { type: 'host-local', subnet: range(host.subnet), dataDir, routes: [{ dst: '0.0.0.0/0' }] };
      const plugins = [{ type: 'bridge', bridge, isGateway: true, mtu: 1420, ipam }];
      const network = this.file(`${id}.conflist`, { cniVersion: '0.3.1', name, plugins });
      this.hosts.push({ ...host, id, network, container: await this.attach(host.netns, network) });
    }
  }

  async attach(host: Netns, network: string): Promise<CniContainer> {
    const container = await CniContainer.attach(`c${this.#containers.length}`, host, network);
    this.#containers.push(container);
    return container;
  }

  async remove(): Promise<void> {
    for (const { endpoint } of this.#containers) await endpoint.stop();
    for (const { netns } of this.#containers) netns.remove();
    await this.scene.remove();
  }

  /** Each container calls each other one, and is seen under its own address. */
  async allReach(): Promise<void> {
    const all = this.hosts.map(({ container }) => container.endpoint);
    for (const from of all) {
      for (const to of all.filter((other) => other !== from)) {
        const seen = await from.seenBy(to.address).catch((error: unknown) => String(error));
        assert.equal(seen, from.address, `from ${from.address} to ${to.address}`);
      }
    }
  }

  /** Does `work` while the container of one host calls that of another; nothing of that is lost. */
  async whileTalking(from: OldHost, to: OldHost, work: () => Promise<void>): Promise<void> {
    const flow = await Flow.start(from.container.netns, to.container.endpoint.address);
    let ended = { answered: 0, lost: 0 };
    try {
      await work();
    } finally {
      ended = await flow.stop();
    }
    const { answered, lost } = ended;
    const between = `from ${from.nodeIp} to ${to.nodeIp}`;
    assert.ok(answered > 0, `nothing came back ${between}`);
    assert.equal(lost, 0, `lost of ${answered + lost} ${between}`);
  }

  /** Waits until a host sends to the container of another one by this device: peers learn of a move by and by. */
  async sends(host: OldHost, other: OldHost, device: string): Promise<void> {
    const { address } = other.container.endpoint;
    await until(`${host.nodeIp} sends to ${other.nodeIp} by ${device}`, boundMs, () =>
      holds(host.netns.sh(`ip route get ${address}`).includes(` dev ${device} `)),
    );
  }

  /** Waits until every host sends to every other one by Sublet's tunnel, and takes the former one away. */
  async forget(former: string, device: string): Promise<void> {
    for (const host of this.hosts) {
      for (const other of this.hosts.filter((each) => each !== host)) await this.sends(host, other, device);
    }
    for (const { netns } of this.hosts) netns.sh(`ip link del ${former}`);
  }

  async startAgent({ id, netns, nodeIp }: OldHost, config: string, flags: readonly string[]): Promise<AgentHost> {
    return this.scene.startAgent({ id, nodeIp, netns, config, flags });
  }
}

describe('hosts that move from flannel', function () {
  this.timeout(120_000);
  const octets = [34, 17, 99];
  const hosts = octets.map((octet, at) => ({
    nodeIp: `10.0.0.${at + 1}`,
    subnet: `10.5.${octet}.0/24`,
    vtepIp: `10.5.${octet}.0`,
    mac: `9e:00:00:00:00:0${at + 1}`,
  }));
  const aside = pageBlock('docs/operations/from-flannel.md', 'dev flannel.1 metric 1000');
  let site: Site;
  let config: string;

  before(async function () {
    requires(this, ...cniTools, command('curl'));
    site = new Site();
    config = site.file('agent.json', JSON.parse(pageBlock('docs/operations/from-flannel.md', '"guard_except"')));
    const device = { name: 'flannel.1', vni: 1, port: 8472, prefix: 32 };
    await site.build(device, hosts, { name: 'cbr0', bridge: 'cni0', range: (subnet) => subnet });
    await site.scene.startMasters(['10.0.0.11'], site.file('master.json', {}));
    const keys: readonly (readonly [string, object])[] = [
      ['config', { Network: '10.5.0.0/16', Backend: { Type: 'vxlan' } }],
      ...hosts.map(({ subnet, nodeIp }) => [`subnets/${subnet.replace('/', '-')}`, { PublicIP: nodeIp }] as const),
    ];
    const base64 = (text: string): string => Buffer.from(text).toString('base64');
    const kvs = keys.map(([key, value]) => {
      return { key: base64(`/coreos.com/network/${key}`), value: base64(JSON.stringify(value)) };
    });
    const file = site.file('keys.json', { header: { revision: 7 }, kvs });
    const { code, output } = await site.scene.operate('import', 'flannel', '--file', file);
    assert.equal(code, 0, output);
  });

  after(async () => {
    await site?.remove();
  });

  async function move(host: OldHost): Promise<void> {
    await host.container.detach();
    host.netns.sh('ip link del cni0');
    host.netns.sh(aside);
    host.agent = await site.startAgent(host, config, []);
    const { lease } = await site.scene.agentStatus(host.agent);
    assert.deepEqual(
      lease?.overlays.map(({ subnet }) => subnet),
      [host.subnet],
    );
    host.container = await site.attach(host.netns, join(host.agent.cniDir, 'flannel.conflist'));
  }

  /** Back to flannel, as the page says. */
  async function moveBack(host: OldHost): Promise<void> {
    await host.container.detach();
    await host.agent?.child.kill();
    const [, ...settings] = host.agent?.args ?? [];
    const left = await sublet(['agent', 'leave', ...settings], { prefix: host.netns.enter });
    assert.equal(left.code, 0, left.output);
    host.container = await site.attach(host.netns, host.network);
  }

  it('one by one with their subnets, while the others talk, and reach all whatever those run', async () => {
    const [one = assert.fail(), two = assert.fail(), three = assert.fail()] = site.hosts;
    await site.allReach();
    await site.whileTalking(two, three, () => move(one));
    await site.allReach();
    await site.whileTalking(one, three, () => move(two));
    await site.allReach();
    await site.sends(one, two, 'vtep1024');
    await site.sends(one, three, 'flannel.1');
    await site.allReach();
    await site.whileTalking(one, two, () => move(three));
    await site.allReach();
  });

  if (minutes > 0) {
    it('go back and come again, for as long as a soak lasts, with the same subnets', async function () {
      this.timeout(minutes * 60_000 + 120_000);
      const end = performance.now() + minutes * 60_000;
      for (let turn = 0; turn === 0 || performance.now() < end; turn++) {
        const [one = assert.fail(), two = assert.fail(), three = assert.fail()] = [0, 1, 2].map(
          (at) => site.hosts[(turn + at) % 3],
        );
        await site.whileTalking(two, three, () => moveBack(one));
        await site.allReach();
        await site.sends(two, one, 'flannel.1');
        await site.allReach();
        await site.whileTalking(three, two, () => move(one));
        await site.allReach();
      }
    });
  }

  it('have nothing of flannel on the way at the end', async () => {
    await site.forget('flannel.1', 'vtep1024');
    await site.allReach();
  });
});

describe('hosts that move from DC/OS', function () {
  this.timeout(120_000);
  const hosts = [7, 2, 5].map((vtep, at) => ({
    nodeIp: `10.0.0.${at + 1}`,
    subnet: `9.0.${vtep}.0/24`,
    vtepIp: `44.128.0.${vtep}`,
    mac: `70:b3:d5:80:00:0${vtep}`,
  }));
  const page = 'docs/operations/from-dcos.md';
  const aside = pageBlock(page, 'dev vtep1024 metric 1000');
  let site: Site;
  let config: string;

  before(async function () {
    requires(this, ...cniTools, command('curl'));
    site = new Site();
    config = site.file('agent.json', JSON.parse(pageBlock(page, '"guard_except"')));
    const device = { name: 'vtep1024', vni: 1024, port: 64_000, prefix: 20, nodesBy42: true } as const;
    const lower = (subnet: string): string => subnet.replace('/24', '/25');
    await site.build(device, hosts, { name: 'dcos', bridge: 'm-dcos', range: lower });
    const network = { vtep_subnet: '44.128.0.0/20', vtep_mac_oui: '70:B3:D5:00:00:00' };
    const overlays = [{ name: 'dcos', subnet: '9.0.0.0/8', prefix: 24 }];
    const master = site.file('master.json', JSON.parse(pageBlock(page, '"vtep_name"')));
    await site.scene.startMasters(['10.0.0.11'], master);
    const agents = hosts.map(({ nodeIp: ip, subnet, vtepIp, mac }) => {
      const vxlan = { vni: 1024, vtep_name: 'vtep1024', vtep_ip: `${vtepIp}/20`, vtep_mac: mac };
      return { ip, overlays: [{ info: overlays[0], subnet, backend: { vxlan }, state: { status: 'STATUS_OK' } }] };
    });
    const state = site.file('state.json', { agents, network: { ...network, overlays } });
    const { code, output } = await site.scene.operate('import', 'dcos-state', state);
    assert.equal(code, 0, output);
  });

  after(async () => {
    await site?.remove();
  });

  async function move(host: OldHost): Promise<void> {
    host.netns.sh(aside);
    host.agent = await site.startAgent(host, config, ['--docker-bridge', 'false']);
    const { lease } = await site.scene.agentStatus(host.agent);
    assert.deepEqual(
      [lease?.vxlan.vtepIp, ...(lease?.overlays.map(({ subnet }) => subnet) ?? [])],
      [`${host.vtepIp}/20`, host.subnet],
    );
    assert.match(host.netns.sh('ip link show vtep1025'), new RegExp(`link/ether ${host.mac} `));
  }

  it('one by one with subnet, VTEP address and MAC, their containers running, while the others talk', async () => {
    const [one = assert.fail(), two = assert.fail(), three = assert.fail()] = site.hosts;
    await site.allReach();
    await site.whileTalking(one, three, () => site.whileTalking(two, three, () => move(one)));
    await site.allReach();
    await site.whileTalking(three, one, () => move(two));
    await site.allReach();
    await site.sends(one, two, 'vtep1025');
    await site.sends(one, three, 'vtep1024');
    await site.allReach();
    const fresh = await site.attach(one.netns, join(one.agent?.cniDir ?? '', 'dcos.conflist'));
    assert.notEqual(fresh.endpoint.address, one.container.endpoint.address);
    assert.equal(await fresh.endpoint.seenBy(three.container.endpoint.address), fresh.endpoint.address);
    await site.whileTalking(one, two, () => move(three));
  });

  if (minutes > 0) {
    it('go back and come again, for as long as a soak lasts, with the same addresses', async function () {
      this.timeout(minutes * 60_000 + 120_000);
      const end = performance.now() + minutes * 60_000;
      for (let turn = 0; turn === 0 || performance.now() < end; turn++) {
        const [one = assert.fail(), two = assert.fail(), three = assert.fail()] = [0, 1, 2].map(
          (at) => site.hosts[(turn + at) % 3],
        );
        await site.whileTalking(two, three, async () => {
          await one.agent?.child.kill();
          const [, ...settings] = one.agent?.args ?? [];
          const left = await sublet(['agent', 'leave', ...settings], { prefix: one.netns.enter });
          assert.match(left.output, /left .*m-dcos/, 'its container is on it');
        });
        await site.allReach();
        await site.sends(two, one, 'vtep1024');
        await site.allReach();
        await site.whileTalking(three, two, () => move(one));
        await site.allReach();
      }
    });
  }

  it('have nothing of DC/OS on the way at the end', async () => {
    await site.forget('vtep1024', 'vtep1025');
    await site.allReach();
  });
});
