/** The worked example of docs/rules.md, through real processes, with a DC/OS cluster's own files. */
import assert from 'node:assert/strict';
import { MasterClient } from '#api/master-client.js';
import { operatorService } from '#api/services.js';
import { type AgentProcess, Agents } from '#cluster-test/process/agents.js';
import { sublet } from '#cluster-test/process/child.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { fixture, showOnFailure } from '#cluster-test/process/fixture.js';
import { Masters } from '#cluster-test/process/masters.js';

const vxlan = (number: number) => ({
  vni: 1024,
  vtepName: 'vtep1024',
  vtepIp: `44.128.0.${number}/20`,
  vtepMac: `70:b3:d5:80:00:0${number}`,
  vtepIp6: `fd01:a::${number}/64`,
  vxlanPort: 64000,
});

const dcos = (third: number) => ({
  info: { name: 'dcos', subnet: '9.0.0.0/8', prefix: 24, enabled: true },
  subnet: `9.0.${third}.0/24`,
  mesosBridge: { name: 'm-dcos', ip: `9.0.${third}.0/25` },
  dockerBridge: { name: 'd-dcos', ip: `9.0.${third}.128/25` },
});

const dcos6 = (piece: string, upper: string) => ({
  info: { name: 'dcos6', subnet6: 'fd01:b::/64', prefix6: 80, enabled: true },
  subnet6: `${piece}/80`,
  mesosBridge: { name: 'm-dcos6', ip6: `${piece}/81` },
  dockerBridge: { name: 'd-dcos6', ip6: `${upper}/81` },
});

describe('the worked example, by three masters and their agents as processes', function () {
  this.timeout(120_000);
  let masters: Masters;
  let agents: Agents;
  let first: AgentProcess;
  let second: AgentProcess;
  let third: AgentProcess;

  before(async () => {
    agents = new Agents();
    masters = await Masters.start({ count: 3, config: fixture('dcos-master.json') });
    const config = fixture('dcos-agent.json');
    // One after the other, so that the order of arrival is known; each asks another master first.
    const [a = '', b = '', c = ''] = masters.addresses;
    first = await agents.start({ id: 'agent-1', nodeIp: '10.0.0.1', masters: [a, b, c], config });
    await agents.ready(first);
    second = await agents.start({ id: 'agent-2', nodeIp: '10.0.0.2', masters: [b, c, a], config });
    await agents.ready(second);
    const onMaster = fixture('dcos-agent-on-master.json');
    third = await agents.start({ id: 'agent-on-master', nodeIp: '10.0.0.3', masters: [c, a, b], config: onMaster });
    await agents.ready(third);
  });
  after(async () => {
    await agents?.[Symbol.asyncDispose]();
    await masters?.[Symbol.asyncDispose]();
  });
  afterEach(function () {
    showOnFailure(this, masters?.masters, agents?.agents);
  });

  it('leases to the first and the second agent exactly what the design says', async () => {
    for (const master of masters.addresses) {
      const { exit, json } = await command(['agents', '-o', 'json', '--master', master]);
      assert.equal(exit, 0);
      const seen = json.agents.map(({ agentId, nodeIp, vxlan, overlays }: Record<string, unknown>) => ({
        agentId,
        nodeIp,
        vxlan,
        overlays: Array.isArray(overlays) ? overlays.map(({ state: _, ...overlay }) => overlay) : [],
      }));
      assert.deepEqual(seen, [
        {
          agentId: 'agent-1',
          nodeIp: '10.0.0.1',
          vxlan: vxlan(1),
          overlays: [dcos(0), dcos6('fd01:b::', 'fd01:b::8000:0:0')],
        },
        {
          agentId: 'agent-2',
          nodeIp: '10.0.0.2',
          vxlan: vxlan(2),
          overlays: [dcos(1), dcos6('fd01:b:0:0:1::', 'fd01:b::1:8000:0:0')],
        },
        { agentId: 'agent-on-master', nodeIp: '10.0.0.3', vxlan: vxlan(3), overlays: [] },
      ]);
    }
  });

  it('plans on the first agent a route to the second one’s subnet by its VTEP, and changes nothing', async () => {
    const lines = await until('the plan of the first agent', 15_000, () => {
      const seen = first.child.stdout;
      return seen.includes('44.128.0.3') ? seen.split('\n') : undefined;
    });
    const route = lines.find((line) => line.includes('9.0.1.0/24') && line.includes('44.128.0.2'));
    assert.match(route ?? lines.join('\n'), /9\.0\.1\.0\/24 via 44\.128\.0\.2 dev vtep1024/);
    const bridge = lines.join('\n');
    assert.ok(!bridge.includes('9.0.0.0/24 via'), 'no route to its own subnet');
  });

  it('shows an agent’s own part as DC/OS did', async () => {
    const info = Object(await agents.get(first, '/overlay-agent/overlay'));
    assert.equal(info.ip, '10.0.0.1');
    const { state, ...overlay } = info.overlays[0];
    assert.deepEqual(overlay, {
      info: { name: 'dcos', subnet: '9.0.0.0/8', prefix: 24, enabled: true },
      subnet: '9.0.0.0/24',
      backend: {
        vxlan: {
          vni: 1024,
          vtep_name: 'vtep1024',
          vtep_ip: '44.128.0.1/20',
          vtep_mac: '70:b3:d5:80:00:01',
          vtep_ip6: 'fd01:a::1/64',
        },
      },
      mesos_bridge: { name: 'm-dcos', ip: '9.0.0.0/25' },
      docker_bridge: { name: 'd-dcos', ip: '9.0.0.128/25' },
    });
    assert.equal(state.status, 'STATUS_CONFIGURING');
  });

  it('shows the state of all as DC/OS did, at each master', async () => {
    for (const { http } of masters.masters) {
      const state = Object(await (await fetch(`http://${http}/overlay-master/state`)).json());
      assert.equal(state.network.vtep_subnet, '44.128.0.0/20');
      assert.equal(state.network.vtep_mac_oui.toLowerCase(), '70:b3:d5:00:00:00');
      const subnets = state.agents.map((agent: { ip: string; overlays: { subnet?: string }[] }) => [
        agent.ip,
        agent.overlays.find(({ subnet }) => subnet !== undefined)?.subnet,
      ]);
      assert.deepEqual(subnets, [
        ['10.0.0.1', '9.0.0.0/24'],
        ['10.0.0.2', '9.0.1.0/24'],
        ['10.0.0.3', undefined],
      ]);
    }
  });

  it('names the holder of an address, and which half it is in', async () => {
    const { json } = await command(['lookup', '9.0.1.200', '-o', 'json', '--master', masters.addresses.join(',')]);
    assert.equal(json.agentId, 'agent-2');
    assert.equal(json.bridge, 'd-dcos');
    assert.equal(json.subnet, '9.0.1.0/24');
  });

  it('gives an agent the same back after it was killed, without its masters even', async () => {
    const before = await agent('agent-1');
    await first.child.kill();
    agents.restart(first);
    await agents.ready(first);
    assert.deepEqual(await agent('agent-1'), before);
    const status = Object(await agents.get(first, '/status'));
    assert.equal(status.watch.snapshots, 0, 'it asks only for what changed');
  });

  it('stops an agent cleanly on SIGTERM, keeping its lease', async () => {
    const before = await agent('agent-2');
    assert.deepEqual(await second.child.stop(), { code: 0, signal: null });
    assert.deepEqual(await agent('agent-2'), before);
    agents.restart(second);
    await agents.ready(second);
  });

  it('refuses a second agent on the same state directory, with exit code 1', async () => {
    const args = second.args.map((arg) => (arg === second.http ? '127.0.0.1:0' : arg));
    const { code, output } = await sublet(args);
    assert.equal(code, 1, output);
    assert.match(output, /used by another sublet agent/);
  });

  it('ends an agent whose settings the masters refuse, with exit code 1 and their reason', async () => {
    const wrong = await agents.start({ id: 'wrong', nodeIp: '9.0.0.5', masters: masters.addresses });
    assert.deepEqual(await wrong.child.exited, { code: 1, signal: null }, wrong.child.output);
    assert.match(wrong.child.output, /node_ip 9\.0\.0\.5 lies in overlay/);
  });

  it('brings agents up from their cache while all masters are down', async () => {
    await Promise.all(masters.masters.map(({ child }) => child.kill()));
    await first.child.kill();
    agents.restart(first);
    await agents.ready(first);
    const status = Object(await agents.get(first, '/status'));
    assert.equal(status.lease.source, 'cache');
    await until('the plan from the cache', 15_000, () =>
      holds(first.child.stdout.includes('9.0.1.0/24 via 44.128.0.2')),
    );
    for (const master of masters.masters) masters.restart(master);
    await masters.ready();
    await until('agent-1 confirmed by the masters', 30_000, async () => {
      return holds(Object(await agents.get(first, '/status')).lease.source === 'masters');
    });
  });

  async function command(args: readonly string[]) {
    const { code, stdout, output } = await sublet(args);
    if (code !== 0) throw new Error(`sublet ${args.join(' ')} ended with ${code}:\n${output}`);
    return { exit: code, json: Object(JSON.parse(stdout)) };
  }

  /** What is granted to an agent, without what changes by itself. */
  async function agent(agentId: string) {
    const client = new MasterClient({ masters: masters.addresses });
    try {
      const { agent } = await client.call(operatorService.getAgent, { agentId }, { idempotent: true });
      const { vxlan, overlays, lease, nodeIp, registeredAt } = agent ?? {};
      return { vxlan, overlays, lease, nodeIp, registeredAt };
    } finally {
      client.close();
    }
  }
});
