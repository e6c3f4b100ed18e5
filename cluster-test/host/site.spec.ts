/**
 * What sites bring to an agent: routes that move, a host that is renamed, a boot that leaves addresses behind, a user
 * without rights, and leaving in every order. On real kernels, with the real plugins.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { CniContainer } from '#cluster-test/host/cni-container.js';
import { HostDriver } from '#cluster-test/host/host-driver.js';
import type { Netns } from '#cluster-test/host/netns.js';
import { Underlay } from '#cluster-test/host/netns.js';
import { cniTools } from '#cluster-test/host/requirements.js';
import { type AgentHost, type AgentStatusJson, Scene } from '#cluster-test/host/scene.js';
import { inputFor, leaseOf, settingsFor, withoutDocker } from '#cluster-test/host/scene-input.js';
import { Child, sublet } from '#cluster-test/process/child.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { fixture } from '#cluster-test/process/fixture.js';
import { command, requires } from '#cluster-test/requirement.js';

const boundMs = 30_000;
/** An agent looks for its node address every 30 s. */
const lookedBoundMs = 90_000;
const config = fixture('dcos-agent.json');
const flags = ['--docker-bridge', 'false', '--cni-style', 'standard'];

describe('an agent at a site', function () {
  this.timeout(240_000);
  let scene: Scene;
  let agent: AgentHost;

  before(async function () {
    requires(this, ...cniTools, command('curl'), command('setpriv'), command('unshare'));
    scene = new Scene();
    await scene.startMasters(['10.0.0.11'], fixture('dcos-master.json'));
    agent = await scene.startAgent({ id: 'agent-1', nodeIp: '10.0.0.1', findsNodeIp: true, config, flags });
  });

  after(async () => {
    await scene?.remove();
  });

  /** An agent that changes nothing, beside whatever else is on the host; it is ended when `use` is done. */
  async function withPlanAgent<T>(
    netns: Netns,
    name: string,
    more: readonly string[],
    use: (child: Child, status: () => Promise<AgentStatusJson & { agent_id: string }>) => Promise<T>,
    prefix: readonly string[] = [],
  ): Promise<T> {
    const http = '127.0.0.1:7083';
    const stateDir = join(scene.folder, name, 'state');
    const args = ['agent', '--network', 'plan', '--state-dir', stateDir, '--http-listen', http, ...more];
    const child = new Child(args, { prefix: [...netns.enter, ...prefix] });
    try {
      return await use(child, async () =>
        JSON.parse((await netns.run(['curl', '-sS', `http://${http}/status`])).stdout),
      );
    } finally {
      await child.kill();
    }
  }

  const nodeIpOf = (status: () => Promise<AgentStatusJson>): Promise<string> =>
    until('it has a lease', boundMs, async () => (await status()).lease?.node_ip);

  it('finds its node address by itself, and passes over masters that report none', async () => {
    assert.equal((await scene.agentStatus(agent)).lease?.node_ip, '10.0.0.1');
    const masters = ['--id', 'agent-2', '--master', `127.0.0.1:7070,${scene.masterList}`];
    const host = scene.host('agent-2', '10.0.0.2');
    assert.equal(await withPlanAgent(host, 'agent-2', masters, (_, status) => nodeIpOf(status)), '10.0.0.2');
  });

  it('says what is needed where no master reports an address', async () => {
    const masters = ['--id', 'agent-3', '--master', '127.0.0.1:7070'];
    await withPlanAgent(agent.netns, 'agent-3', masters, (child) =>
      until('it says so', boundMs, () =>
        holds(/loopback address.*give one with node_ip \(--node-ip\)/.test(child.output)),
      ),
    );
  });

  it('keeps its node address when a VPN becomes the way to the masters; one that is new takes the VPN’s', async () => {
    const [master] = scene.masters;
    agent.netns.sh('ip link add vpn0 type bridge && ip address add 100.64.0.1/32 dev vpn0 && ip link set vpn0 up');
    agent.netns.sh('ip route replace 10.0.0.11/32 dev eth0 src 100.64.0.1');
    master?.netns.sh('ip route add 100.64.0.1/32 dev eth0');
    await agent.child.kill();
    scene.restartAgent(agent);
    const { lease } = await scene.agentReady(agent);
    assert.deepEqual([lease?.source, lease?.node_ip], ['masters', '10.0.0.1']);
    const other = ['--id', 'agent-4', '--master', scene.masterList];
    assert.equal(await withPlanAgent(agent.netns, 'agent-4', other, (_, status) => nodeIpOf(status)), '100.64.0.1');
    await scene.operate('release', 'agent-4', '--force', '--yes');
    agent.netns.sh('ip route del 10.0.0.11/32; ip link del vpn0');
    master?.netns.sh('ip route del 100.64.0.1/32');
  });

  it('says that its node address has gone, and has it back when its device comes back', async () => {
    agent.netns.sh('ip address del 10.0.0.1/24 dev eth0');
    await until('it says so', lookedBoundMs, async () =>
      holds(
        (await scene.agentStatus(agent)).problems.some((problem) =>
          /has no address that the others reach/.test(problem),
        ),
      ),
    );
    agent.netns.sh('ip address add 10.0.0.1/24 dev eth0');
    await until('all is well', lookedBoundMs, async () => {
      const { lease, problems, ready } = await scene.agentStatus(agent);
      return holds(ready && problems.length === 0 && lease?.node_ip === '10.0.0.1');
    });
    assert.doesNotMatch(agent.child.output, /node_ip changes/);
  });

  it('goes on under its id when the host is renamed', async () => {
    const host = scene.host('renamed', '10.0.0.5');
    const named = (name: string) => ['unshare', '--uts', 'sh', '-c', `hostname ${name}; exec "$@"`, 'sh'];
    const run = (name: string) =>
      withPlanAgent(
        host,
        'renamed',
        ['--master', scene.masterList],
        async (child, status) => {
          await nodeIpOf(status);
          const { agent_id, lease } = await status();
          return {
            id: agent_id,
            subnet: lease?.overlays[0]?.subnet,
            warned: /goes on under that id/.test(child.output),
          };
        },
        named(name),
      );
    const before = await run('a');
    assert.deepEqual([before.id, before.warned], ['a', false]);
    assert.deepEqual(await run('a.example.com'), { ...before, warned: true });
  });

  it('says at once that it may not change the network, and takes no lease', async () => {
    const prefix = [...agent.netns.enter, 'setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--'];
    const { code, output } = await sublet(['agent', '--id', 'agent-6', '--master', scene.masterList], { prefix });
    assert.equal(code, 1);
    assert.match(output, /which this user may not do\n.*CAP_NET_ADMIN/);
    assert.doesNotMatch((await scene.operate('agents')).stdout, /agent-6/);
  });

  describe('that leaves', () => {
    const leave = (...more: readonly string[]) => {
      const [, ...settings] = agent.args;
      return sublet(['agent', 'leave', ...settings, ...more], { prefix: agent.netns.enter });
    };
    const has = (device: string): boolean => agent.netns.sh('ip -o link show').includes(`: ${device}`);
    let container: CniContainer;

    before(async () => {
      container = await CniContainer.attach('container', agent.netns, join(agent.cniDir, 'dcos.conflist'));
      // The agent marks the bridge that came with the container; without its mark it is no bridge of ours.
      await until('the bridge is marked', boundMs, () =>
        holds(/alias sublet:/.test(agent.netns.sh('ip link show m-dcos'))),
      );
      await agent.child.kill();
    });

    it('has changed nothing when the masters refuse it: another installation has its id', async () => {
      const taker = scene.host('taker', '10.0.0.7');
      await withPlanAgent(
        taker,
        'taker',
        ['--id', 'agent-1', '--takeover', '--master', scene.masterList],
        async (_, status) => {
          await nodeIpOf(status);
          const { code, output } = await leave();
          assert.equal(code, 1, output);
          assert.match(output, /held by another instance now[\s\S]*Nothing was changed[\s\S]*--host-only/);
          assert.deepEqual([has('vtep1024'), has('m-dcos')], [true, true]);
        },
      );
    });

    it('leaves what carries a container, and says so by its exit code', async () => {
      const { code, output } = await leave('--host-only');
      assert.equal(code, 1, output);
      assert.match(output, /left .*m-dcos[\s\S]*could not be taken off/);
      assert.deepEqual([has('vtep1024'), has('m-dcos')], [false, true]);
    });

    it('takes off the rest when the container is gone', async () => {
      await container.endpoint.stop();
      container.netns.remove();
      await until('the container is gone', boundMs, () => holds(!agent.netns.sh('ip -o link show').includes('veth')));
      const { code, output } = await leave();
      assert.equal(code, 0, output);
      assert.deepEqual([has('vtep1024'), has('m-dcos')], [false, false]);
      const again = await leave();
      assert.deepEqual([again.code, /holds nothing/.test(again.output)], [1, true], again.output);
    });
  });
});

describe('addresses that host-local keeps', function () {
  this.timeout(120_000);
  let underlay: Underlay;
  let host: Netns;
  const settings = settingsFor('reservations');
  const folder = join(settings.cniDataDir ?? '', 'dcos');
  const file = join(settings.cniDir, 'dcos.conflist');
  const input = inputFor(1, [2], settings, withoutDocker(leaseOf(1)).slice(0, 1));

  before(function () {
    requires(this, ...cniTools);
    underlay = new Underlay();
    host = underlay.host('host', '10.0.0.1/24');
  });

  after(() => underlay?.remove());

  /** As a boot does: the agent starts on a host that has what `between` left. */
  async function boot(between: () => void = () => {}): Promise<void> {
    const driver = new HostDriver(host);
    await driver.update(input);
    await driver.allOk();
    await driver.stop();
    between();
  }

  const kept = (): readonly string[] => readdirSync(folder).filter((name) => /^9\.0\.0\./.test(name));

  it('are free after a boot took the containers', async () => {
    await boot();
    const containers = [await CniContainer.attach('c1', host, file), await CniContainer.attach('c2', host, file)];
    for (const { endpoint, netns } of containers) {
      await endpoint.stop();
      netns.remove();
    }
    host.sh('ip link del m-dcos');
    assert.equal(kept().length, 2, 'nobody else frees them');
    await boot();
    assert.deepEqual(kept(), []);
    assert.ok(existsSync(join(folder, 'lock')));
  });

  it('are kept for a container that lives, also when its bridge was deleted', async () => {
    const container = await CniContainer.attach('c3', host, file);
    await boot();
    assert.equal(kept().length, 1, 'with its bridge');
    host.sh('ip link del m-dcos');
    await boot();
    assert.equal(kept().length, 1, 'without it');
    await container.endpoint.stop();
    container.netns.remove();
  });
});
