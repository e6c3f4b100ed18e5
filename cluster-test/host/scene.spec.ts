/**
 * The walk-through of a DC/OS cluster with its own configuration files, on real kernels: three masters, an agent on
 * one of their hosts that takes no subnet, three hosts with containers of both kinds. The tests tell one story, in
 * order.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AlertWatch } from '#cluster-test/alerts/alert-watch.js';
import type { ScrapeTarget } from '#cluster-test/alerts/recording.js';
import { attachByPlugin, CniContainer } from '#cluster-test/host/cni-container.js';
import { DockerDaemon } from '#cluster-test/host/docker-daemon.js';
import { Endpoint } from '#cluster-test/host/endpoint.js';
import { cniTools, dockerTools } from '#cluster-test/host/requirements.js';
import { type AgentHost, Scene } from '#cluster-test/host/scene.js';
import { Child, sublet } from '#cluster-test/process/child.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { fixture } from '#cluster-test/process/fixture.js';
import { command, requires } from '#cluster-test/requirement.js';
import { stopsAtFailure } from '#cluster-test/suite-order.js';

const outsideIp = '10.0.0.254';
const mtu = 1420;
/** Of what follows at once, on a machine that does much else; the pass over everything comes after 60 s. */
const boundMs = 40_000;
/** A change of the network reaches agents on the watch; they register again within 30 s of it, spread. */
const overlayAddedMs = 45_000;
/** An agent is released without force once it was not heard for 30 s. */
const silentMs = 45_000;

describe('a network of real hosts', function () {
  this.timeout(120_000);
  stopsAtFailure(this);
  let scene: Scene;
  let onMaster: AgentHost;
  let outside: Endpoint;
  const hosts: (AgentHost & { readonly docker: DockerDaemon })[] = [];
  const containers: Endpoint[] = [];
  const containers6: Endpoint[] = [];
  const attached: CniContainer[] = [];

  before(async function () {
    requires(this, ...cniTools, ...dockerTools, command('curl'), command('promtool'));
    scene = new Scene(outsideIp);
    const world = scene.underlay.host('outside', `${outsideIp}/24`);
    outside = new Endpoint('outside', world.path, outsideIp);
    await scene.startMasters(['10.0.0.11', '10.0.0.12', '10.0.0.13'], fixture('dcos-master.json'));
    for (const n of [1, 2, 3]) {
      const netns = scene.host(`agent-${n}`, `10.0.0.${n}`);
      const docker = await DockerDaemon.start(netns);
      // The file's own style is Mesos's; one host keeps it, the others serve any engine.
      const flags = n === 1 ? [] : ['--cni-style', 'standard'];
      const config = fixture('dcos-agent.json');
      const agent = await scene.startAgent({ id: `agent-${n}`, nodeIp: `10.0.0.${n}`, config, flags, docker, netns });
      hosts.push({ ...agent, docker });
    }
    onMaster = await scene.startAgent({
      id: 'on-master',
      nodeIp: '10.0.0.11',
      config: fixture('dcos-agent-on-master.json'),
      netns: scene.masters[0]?.netns ?? scene.host('never', '10.0.0.99'),
    });
  });

  after(async () => {
    for (const { endpoint } of attached) await endpoint.stop();
    await scene?.remove();
    for (const { docker } of hosts) await docker.remove();
    for (const { netns } of attached) netns.remove();
  });

  /** The process that runs now; `hosts` keeps what does not change. */
  function agent(n: number): AgentHost & { readonly docker: DockerDaemon } {
    const found = hosts[n - 1];
    assert.ok(found);
    return found;
  }

  async function everyPairTalks(group: readonly Endpoint[]): Promise<void> {
    for (const from of group) {
      for (const to of group) {
        if (from !== to) assert.equal(await from.seenBy(to.address), from.address, `${from.name} → ${to.name}`);
      }
    }
  }

  /** What a host knows of one VTEP address and node address, anywhere. */
  function traces(of: AgentHost, vtepIp: string, nodeIp: string, mac: string): string[] {
    const all = of.netns.sh(
      'ip route show table all; ip -6 route show table all; ip neigh show nud permanent; bridge fdb show dev vtep1024',
    );
    return all
      .split('\n')
      .filter((line) => line.includes('vtep1024') || line.includes('self permanent'))
      .filter((line) => line.split(' ').some((word) => [vtepIp, nodeIp, mac].includes(word)));
  }

  /** Waits until no host has an entry of that agent. */
  async function forgotten(on: readonly AgentHost[], vtepIp: string, nodeIp: string, mac: string): Promise<void> {
    await until('no trace of it', boundMs, () => {
      const left = on.flatMap((host) => traces(host, vtepIp, nodeIp, mac).map((line) => `${host.id}: ${line}`));
      if (left.length > 0) throw new Error(left.join('\n'));
      return true;
    });
  }

  it('leases what the worked example says, in the order of arrival', async () => {
    const leases = await Promise.all([...hosts, onMaster].map((host) => scene.agentStatus(host)));
    assert.deepEqual(
      leases.map(({ lease }) => [
        lease?.vxlan.vtepIp,
        ...(lease?.overlays ?? []).map(({ subnet, subnet6 }) => subnet || subnet6 || '-'),
      ]),
      [
        ['44.128.0.1/20', '9.0.0.0/24', 'fd01:b::/80'],
        ['44.128.0.2/20', '9.0.1.0/24', 'fd01:b:0:0:1::/80'],
        ['44.128.0.3/20', '9.0.2.0/24', 'fd01:b:0:0:2::/80'],
        ['44.128.0.4/20', ...(leases[3]?.lease?.overlays ?? []).map(() => '-')],
      ],
    );
  });

  it('attaches containers with the CNI file that the agent wrote, and with Docker’s network of that name', async () => {
    const first = agent(1);
    // Mesos's port mapper is Mesos's own; what it delegates to is the standard plugin, run here as it would.
    const config = JSON.parse(readFileSync(join(first.cniDir, 'dcos.conf'), 'utf8'));
    assert.equal(config.type, 'mesos-cni-port-mapper');
    for (const i of [0, 1]) {
      const { netns, address } = await attachByPlugin(`mesos${i}`, first.netns, { ...config.delegate, name: 'dcos' });
      const endpoint = new Endpoint(`agent-1-mesos${i}`, netns.path, address);
      await endpoint.ready;
      containers.push(endpoint, await first.docker.container(`docker${i}`, 'dcos'));
    }
    containers6.push(await first.docker.container('docker-six', 'dcos6'));
    for (const n of [2, 3]) {
      const { netns, cniDir, docker } = agent(n);
      const cni = await CniContainer.attach(`agent-${n}-cni`, netns, join(cniDir, 'dcos.conflist'));
      const cni6 = await CniContainer.attach(`agent-${n}-cni6`, netns, join(cniDir, 'dcos6.conflist'));
      attached.push(cni, cni6);
      containers.push(cni.endpoint, await docker.container('docker0', 'dcos'));
      containers6.push(cni6.endpoint, await docker.container('docker-six', 'dcos6'));
    }
    assert.deepEqual(
      containers.map(({ address }) => address),
      ['9.0.0.2', '9.0.0.130', '9.0.0.3', '9.0.0.131', '9.0.1.2', '9.0.1.130', '9.0.2.2', '9.0.2.130'],
    );
  });

  it('every pair reaches every pair, as itself, on a host and across, IPv4 and IPv6', async () => {
    await everyPairTalks(containers);
    await everyPairTalks(containers6);
  });

  it('a full packet with “don’t fragment” passes between every two', async () => {
    for (const group of [containers, containers6]) {
      for (const from of group) {
        for (const to of group) {
          if (from !== to) assert.ok(await from.pings(to.address, mtu), `${from.name} → ${to.name}`);
        }
      }
    }
  });

  it('100 MB cross the hosts whole', async () => {
    const { sent, arrived } = (await containers[0]?.transfer('9.0.1.130', 100)) ?? {};
    assert.equal(arrived, sent);
  });

  it('the master’s host, which holds no subnet, reaches the containers', async () => {
    const here = new Endpoint('master', onMaster.netns.path, '44.128.0.4');
    await here.ready;
    for (const to of containers) assert.equal(await here.seenBy(to.address), '44.128.0.4', to.name);
    await here.stop();
    // No rule for containers; the tunnel has its guard all the same.
    const rules = onMaster.netns
      .sh('iptables-save; ipset save')
      .replace(/^.*(SUBLET-GUARD|sublet-(peers|guarded)).*$/gm, '');
    assert.doesNotMatch(rules, /sublet/i);
  });

  it('containers reach every host at its node address, through the tunnel', async () => {
    const all = [...hosts, onMaster];
    const listeners = all.map(({ id, netns }) => new Endpoint(id, netns.path, ''));
    await Promise.all(listeners.map(({ ready }) => ready));
    for (const from of containers) {
      for (const ip of ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.11']) await from.seenBy(ip);
    }
    await Promise.all(listeners.map((listener) => listener.stop()));
  });

  it('`ip route` on each host shows the lines of the worked example', () => {
    for (const n of [1, 2, 3]) {
      const routes = agent(n).netns.sh('ip route show').split('\n');
      for (const other of [1, 2, 3].filter((one) => one !== n)) {
        const line = `9.0.${other - 1}.0/24 via 44.128.0.${other} dev vtep1024`;
        assert.ok(
          routes.some((route) => route.startsWith(line)),
          `agent-${n}: ${line}\n${routes.join('\n')}`,
        );
      }
      const ranges = agent(n).netns.sh('ip -br -4 address show');
      assert.match(ranges, new RegExp(`m-dcos +UP +9\\.0\\.${n - 1}\\.1/25`));
      assert.match(ranges, new RegExp(`d-dcos +UP +9\\.0\\.${n - 1}\\.129/25`));
    }
  });

  it('the outside sees the host; another overlay subnet sees the container', async () => {
    await outside.ready;
    for (const from of [containers[0], containers[1], containers[5]]) {
      assert.equal(await from?.seenBy(outsideIp), from === containers[5] ? '10.0.0.2' : '10.0.0.1');
      assert.equal(await from?.seenBy('9.0.2.2'), from?.address);
    }
  });

  it('`sublet agent ping` reaches every agent, small and whole; `sublet agent check` finds nothing lacking', async () => {
    const { netns, docker } = agent(1);
    const pinged = await sublet(['agent', 'ping', '--master', scene.masterList], { prefix: netns.enter });
    assert.equal(pinged.code, 0, pinged.output);
    assert.deepEqual(
      ['agent-2', 'agent-3', 'on-master'].filter(
        (id) => !new RegExp(`${id} .* reached .*84: .*1450: `).test(pinged.stdout),
      ),
      [],
      pinged.stdout,
    );
    const flags = ['--docker-host', docker.address, '--node-ip', '10.0.0.1', '--cni-dir', agent(1).cniDir];
    const checked = await sublet(['agent', 'check', ...flags, '--state-dir', scene.folder], { prefix: netns.enter });
    assert.equal(checked.code, 0, checked.output);
  });

  it('scripts made for DC/OS read the agent’s overlays', async () => {
    const info = JSON.parse(await scene.agentHttp(agent(1), '/overlay-agent/overlay'));
    assert.equal(info.ip, '10.0.0.1');
    const [dcos, dcos6] = info.overlays;
    assert.deepEqual(
      [dcos.subnet, dcos.mesos_bridge.ip, dcos.docker_bridge.ip],
      ['9.0.0.0/24', '9.0.0.0/25', '9.0.0.128/25'],
    );
    assert.equal(dcos.backend.vxlan.vtep_ip, '44.128.0.1/20');
    assert.deepEqual([dcos.state.status, dcos6.state.status], ['STATUS_OK', 'STATUS_OK']);
  });

  it('with all masters down containers keep talking, drift is repaired, and an agent boots from its cache and says so', async () => {
    await scene.stopMasters();
    await everyPairTalks(containers);
    const second = agent(2);
    second.netns.sh('ip route del 9.0.0.0/24');
    await until('the route is back', boundMs, () => holds(second.netns.sh('ip route show 9.0.0.0/24') !== ''));
    await second.child.stop();
    await everyPairTalks(containers);
    second.netns.sh('ip link del vtep1024');
    scene.restartAgent(second);
    await until('it works from the cache', boundMs, async () => {
      const { lease, host } = await scene.agentStatus(second);
      return holds(lease?.source === 'cache' && host.converged && host.overlays.length > 0);
    });
    assert.match(second.child.output, /no master has answered: starting from the cache/);
    const shown = await sublet(['agent', 'status'], { prefix: second.netns.enter });
    assert.match(shown.stdout, /from the cache/);
    await everyPairTalks(containers);
  });

  it('with the masters back it goes on from there', async () => {
    await scene.restartMasters();
    for (const host of scene.agents) {
      await until(`${host.id} hears the masters again`, boundMs, async () => {
        const { lease, watch } = await scene.agentStatus(host);
        return holds(lease?.source === 'masters' && watch.connected);
      });
    }
    await everyPairTalks(containers);
  });

  it('a changed node_ip is followed by the peers', async () => {
    const third = agent(3);
    await third.child.stop();
    third.netns.sh('ip address add 10.0.0.33/24 dev eth0');
    third.args[third.args.indexOf('--node-ip') + 1] = '10.0.0.33';
    scene.restartAgent(third);
    await until('the masters know', boundMs, async () =>
      holds((await scene.operate('agents', 'agent-3', '-o', 'json')).stdout.includes('10.0.0.33')),
    );
    await until('the peers follow', boundMs, () =>
      holds(
        [agent(1), agent(2), onMaster].every(({ netns }) =>
          /70:b3:d5:80:00:03 dst 10\.0\.0\.33 /.test(netns.sh('bridge fdb show dev vtep1024')),
        ),
      ),
    );
    await scene.agentReady(third);
    await everyPairTalks(containers);
  });

  it('an overlay added at run time appears on every host; disabled, it stays on the hosts that hold a block', async () => {
    const added = await scene.operate('overlay', 'add', 'extra', '--subnet', '11.0.0.0/16', '--prefix', '24');
    assert.equal(added.code, 0, added.output);
    await until('every host has it', overlayAddedMs, () =>
      holds(
        hosts.every(
          ({ cniDir }) => existsSync(join(cniDir, 'extra.conf')) || existsSync(join(cniDir, 'extra.conflist')),
        ),
      ),
    );
    // The files are written in the course of a pass, and the status is of the last whole one.
    for (const host of hosts) {
      await until(`${host.id} has built all three`, overlayAddedMs, async () => {
        const { host: seen } = await scene.agentReady(host);
        return holds(
          seen.overlays
            .map(({ name }) => name)
            .toSorted()
            .join(' ') === 'dcos dcos6 extra',
        );
      });
    }
    assert.match(agent(1).docker.docker('network', 'ls'), /extra/);
    const inExtra = await agent(1).docker.container('in-extra', 'extra');
    const other = await agent(2).docker.container('in-extra', 'extra');
    assert.equal(await inExtra.seenBy(other.address), inExtra.address);
    assert.equal((await scene.operate('overlay', 'disable', 'extra')).code, 0);
    assert.equal(await other.seenBy(inExtra.address), other.address);
    for (const host of hosts) assert.match(host.netns.sh('ip -br link show'), /d-extra/);
    await inExtra.stop();
    await other.stop();
  });

  it('an overlay that is drained goes from each host and is given back, but from one where a container runs on it only after that', async () => {
    for (const n of [1, 2]) agent(n).docker.docker('rm', '-f', 'in-extra');
    const first = agent(1);
    const runs = await first.docker.container('on-extra', 'extra');
    const begun = await scene.operate('overlay', 'drain', 'extra');
    assert.equal(begun.code, 0, begun.output);
    const holders = async (): Promise<string> => {
      const { stdout } = await scene.operate('agents', '-o', 'json');
      const { agents } = JSON.parse(stdout);
      const held = agents.filter(({ overlays }: { overlays?: { info: { name: string }; subnet?: string }[] }) =>
        (overlays ?? []).some(({ info, subnet }) => info.name === 'extra' && subnet),
      );
      return held.map(({ agentId }: { agentId: string }) => agentId).join(' ');
    };
    await until('the others gave it back', boundMs, async () => holds((await holders()) === 'agent-1'));
    for (const host of hosts.slice(1)) assert.doesNotMatch(host.netns.sh('ip -br link show'), /-extra/, host.id);
    await until('the reason is told', boundMs, async () =>
      holds(
        /agent-1: it is draining, and still on this host: /.test(
          (await scene.operate('overlay', 'drain', 'extra')).stdout,
        ),
      ),
    );
    // The other overlays stay as they are, on that host, too.
    await everyPairTalks(containers);
    const { host } = await scene.agentStatus(first);
    assert.deepEqual(
      host.overlays.filter(({ kind }) => kind !== 'ok'),
      [],
    );
    first.docker.docker('rm', '-f', 'on-extra');
    await runs.stop();
    const waited = await scene.operate('overlay', 'drain', 'extra', '--wait', '60s');
    assert.equal(waited.code, 0, waited.output);
    assert.equal(await holders(), '');
    assert.doesNotMatch(first.netns.sh('ip -br link show'), /-extra/);
    const removed = await scene.operate('overlay', 'remove', 'extra');
    assert.match(removed.output, /in quarantine for another/);
    await everyPairTalks(containers);
  });

  it('a released agent disappears from every peer, by the call that DC/OS scripts make', async () => {
    const second = agent(2);
    const targets = scene.masters.map(({ args, netns }): ScrapeTarget => {
      const instance = args[args.indexOf('--http-listen') + 1] ?? '';
      return { job: 'sublet-master', instance, metrics: async () => netns.sh(`curl -sSf http://${instance}/metrics`) };
    });
    const watch = await AlertWatch.begin(targets);
    await second.child.stop();
    const body = JSON.stringify({ agents: ['10.0.0.2'] });
    const url = 'http://10.0.0.11:7072/overlay-master/agents/delete';
    await until('it counts as silent', silentMs, async () => {
      const pages = await Promise.all(targets.map(({ metrics }) => metrics()));
      return holds(pages.some((page) => /^sublet_agents_presence\{state="silent"\} 1$/m.test(page)));
    });
    await watch.faulty();
    const released = await until('it is released', silentMs, async () => {
      const { stdout } = await onMaster.netns.run([
        'curl',
        '-sS',
        '-H',
        'content-type: application/json',
        '-d',
        body,
        url,
      ]);
      if (!stdout.startsWith('{')) throw new Error(stdout);
      return JSON.parse(stdout);
    });
    assert.deepEqual(released.agents, ['10.0.0.2']);
    await watch.mended([{ alertname: 'SubletAgentsSilent' }]);
    await forgotten([agent(1), agent(3), onMaster], '44.128.0.2', '10.0.0.2', '70:b3:d5:80:00:02');
    await containers[0]?.seenBy('9.0.2.2');
  });

  it('an agent that leaves takes its things off its host and out of its peers, and nothing else', async () => {
    const third = agent(3);
    await third.child.stop();
    for (const container of attached.filter(({ endpoint }) => endpoint.name.startsWith('agent-3'))) {
      await container.detach();
    }
    third.docker.docker('rm', '-f', 'docker0', 'docker-six');
    third.docker.docker('network', 'create', 'mine');
    const leave = new Child(['agent', 'leave', ...third.args.slice(1)], { prefix: third.netns.enter });
    assert.equal((await leave.exited).code, 0, leave.output);
    const left = third.netns.sh(
      'ip -br link; ip rule; iptables-save; ip6tables-save; ipset save; ip route show table all',
    );
    assert.doesNotMatch(left, /vtep1024|sublet|SUBLET|lookup 42|proto 205|overlay|[md]-dcos/);
    assert.deepEqual(third.docker.docker('network', 'ls', '--format', '{{.Name}}').trim().split('\n').toSorted(), [
      'bridge',
      'host',
      'mine',
      'none',
    ]);
    await forgotten([agent(1), onMaster], '44.128.0.3', '10.0.0.33', '70:b3:d5:80:00:03');
  });
});
