/** How full a host's ranges are, and addresses of containers that are gone: real agents, plugins and Docker. */
import assert from 'node:assert/strict';
import { readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DeadOfNetwork, findDead } from '#cli/local/agent-prune.js';
import { CniContainer } from '#cluster-test/host/cni-container.js';
import { cniTools } from '#cluster-test/host/requirements.js';
import { type AgentHost, Scene } from '#cluster-test/host/scene.js';
import { sublet } from '#cluster-test/process/child.js';
import { until } from '#cluster-test/process/condition.js';
import { requires } from '#cluster-test/requirement.js';
import { addressReservations, freeDead, reservedNetworks } from '#host/apply/reservations.js';
import { processRunner } from '#host/tools/runner.js';

describe('how full a host is', function () {
  this.timeout(120_000);
  let scene: Scene;
  let agent: AgentHost;
  let container: CniContainer;
  let folder: string;

  before(async function () {
    requires(this, ...cniTools);
    scene = new Scene();
    const master = join(scene.folder, 'master.json');
    const config = join(scene.folder, 'agent.json');
    writeFileSync(
      master,
      JSON.stringify({ network: { overlays: [{ name: 'dcos', subnet: '9.0.0.0/8', prefix: 24 }] } }),
    );
    writeFileSync(config, JSON.stringify({ network_config: { docker_bridge: false, split: false } }));
    await scene.startMasters(['10.0.0.1'], master);
    agent = await scene.startAgent({ id: 'a1', nodeIp: '10.0.0.11', config });
    folder = join(scene.folder, 'a1', 'networks', 'dcos');
    container = await CniContainer.attach('live', agent.netns, join(agent.cniDir, 'dcos.conflist'));
  });

  after(async () => {
    await container?.detach();
    await scene?.remove();
  });

  /** As an engine leaves it that ended before it could give the address back; `ageS` old. */
  function leave(address: string, ageS: number): void {
    const path = join(folder, address);
    writeFileSync(path, 'gone-container\neth0');
    const seconds = Date.now() / 1_000 - ageS;
    utimesSync(path, seconds, seconds);
  }
  const dataDir = (): string => join(scene.folder, 'a1', 'networks');
  async function found(): Promise<DeadOfNetwork> {
    const networks = reservedNetworks(
      [{ name: 'dcos', mesosBridge: { name: 'm-dcos', cidr: '9.0.0.0/24' } }],
      dataDir(),
    );
    const [first] = await findDead(networks, Date.now(), processRunner);
    assert.ok(first);
    return first;
  }
  const files = (): string[] => readdirSync(folder).filter((name) => name.startsWith('9.'));
  const prune = (...flags: string[]) =>
    sublet(['agent', 'prune', '--cni-data-dir', dataDir(), ...flags], {
      prefix: agent.netns.enter,
    });

  it('is in the status, the metrics and the check of its agent', async () => {
    const status = JSON.parse(await scene.agentHttp(agent, '/status'));
    assert.deepEqual(status.addresses, [
      { overlay: 'dcos', bridge: 'm-dcos', family: 4, range: '9.0.0.0/24', size: 253, used: 1 },
    ]);
    const metrics = await scene.agentHttp(agent, '/metrics');
    assert.match(metrics, /^sublet_agent_addresses_used\{overlay="dcos",bridge="m-dcos",family="4"\} 1$/m);
    assert.match(metrics, /^sublet_agent_addresses_size\{overlay="dcos",bridge="m-dcos",family="4"\} 253$/m);
    const shown = await sublet(['agent', 'status'], { prefix: agent.netns.enter });
    assert.match(shown.stdout, /m-dcos 1 of 253/);
  });

  it('finds what no container has, says so, and frees it and nothing else', async () => {
    leave('9.0.0.77', 3_600);
    leave('9.0.0.78', 30);
    await until('both are counted', 10_000, async () => {
      const { addresses } = JSON.parse(await scene.agentHttp(agent, '/status'));
      return addresses[0].used === 3 ? true : undefined;
    });
    const { network, dead } = await found();
    // Where a process of this machine is hidden, its namespace may have any address, and nothing is said to be unused.
    if (dead === undefined) {
      const refused = await prune('--yes');
      assert.equal(refused.code, 1);
      assert.match(refused.output, /not all network namespaces of this host can be seen/);
    } else {
      const check = await sublet(['agent', 'check', '--cni-data-dir', dataDir(), '-o', 'json'], {
        prefix: agent.netns.enter,
      });
      assert.match(check.stdout, /1 of the addresses reserved on m-dcos are in no network namespace/);
      const shown = await prune('--dry-run');
      assert.match(
        shown.stdout,
        /9\.0\.0\.77 is freed: no network namespace has the address \(of gone-container eth0\)/,
      );
      assert.ok(!shown.stdout.includes('9.0.0.78') && !shown.stdout.includes(container.endpoint.address), shown.stdout);
    }
    assert.equal(files().length, 3, 'neither a preview nor a refusal changes anything');
    const [gone] = addressReservations(network).filter(({ address }) => address === '9.0.0.77');
    assert.ok(gone);
    assert.equal(
      await freeDead(network, [{ ...gone, stamp: `${gone.stamp}0` }], processRunner),
      0,
      'another file by now',
    );
    assert.equal(await freeDead(network, [gone], processRunner), 1);
    assert.deepEqual(files().sort(), [container.endpoint.address, '9.0.0.78'].sort());
  });
});
