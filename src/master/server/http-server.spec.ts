import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Server } from 'node:http';
import type { DcosAgentInfo } from '#api/dcos-json.js';
import { Metrics } from '#master/process/metrics.js';
import { httpServer } from '#master/server/http-server.js';
import { TestMasters } from '#master/testing/test-masters.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';

/** Beyond the 30 s after which an agent counts as silent. */
const silentMs = 31_000;

describe('HTTP', () => {
  let time: VirtualTime;
  let masters: TestMasters;
  let server: Server;
  let base: string;
  let notReady: string | undefined;

  before(async () => {
    time = new VirtualTime();
    masters = await TestMasters.start({ clock: time });
    const { services, member } = masters.master(0);
    const metrics = new Metrics({
      services,
      status: () => member.status(),
      storeBytes: async () => 4_096,
      version: '1.2.3',
    });
    metrics.observe('/sublet.v1.AgentService/Register', 3, undefined);
    metrics.observeWrite(2);
    server = httpServer({
      plan: services.plan,
      metrics,
      calls: services.unaryCalls((path, ms, refused) => metrics.observe(path, ms, refused)),
      notReady: () => notReady,
      report: (error) => assert.fail(String(error)),
      hosts: [],
      access: { open: 'change', advice: '' },
      callers: { admit: () => ({ principal: { role: 'operator', id: 'alice' }, address: '127.0.0.1:1' }) },
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    base = `http://127.0.0.1:${address !== null && typeof address === 'object' ? address.port : 0}`;
    await masters.register('agent-1');
    await masters.register('agent-2');
  });
  after(async () => {
    server.close();
    server.closeAllConnections();
    await masters[Symbol.asyncDispose]();
  });

  const get = async (path: string): Promise<{ code: number; body: string }> => {
    const response = await fetch(base + path);
    return { code: response.status, body: await response.text() };
  };
  const remove = async (body: string): Promise<{ code: number; body: string }> => {
    const response = await fetch(`${base}/overlay-master/agents/delete`, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json' },
    });
    return { code: response.status, body: await response.text() };
  };

  it('lists the agents as targets of Prometheus, at the port that is asked for', async () => {
    const { code, body } = await get('/sd/agents');
    assert.equal(code, 200);
    const groups: { targets: string[]; labels: Record<string, string> }[] = JSON.parse(body);
    const group = groups.find(({ labels }) => labels.__meta_sublet_agent === 'agent-1');
    const ip = group?.labels.__meta_sublet_node_ip;
    assert.deepEqual(group?.targets, [`${ip}:7073`]);
    assert.deepEqual(Object.keys(group?.labels ?? {}), [
      '__meta_sublet_agent',
      '__meta_sublet_hostname',
      '__meta_sublet_node_ip',
    ]);
    const other = JSON.parse((await get('/sd/agents?port=9100')).body);
    assert.deepEqual(
      other.map(({ targets }: { targets: string[] }) => targets[0]?.split(':')[1]),
      groups.map(() => '9100'),
    );
    for (const port of ['0', '65536', 'x', '-1', '']) {
      assert.equal((await get(`/sd/agents?port=${port}`)).code, 400, port);
    }
  });

  it('reports the state as DC/OS does', async () => {
    const { code, body } = await get('/overlay-master/state');
    assert.equal(code, 200);
    const state = JSON.parse(body);
    assert.deepEqual(state.network, {
      vtep_subnet: '44.128.0.0/20',
      vtep_mac_oui: '70:b3:d5:00:00:00',
      overlays: [{ name: 'dcos', subnet: '9.0.0.0/8', prefix: 24, enabled: true }],
    });
    assert.deepEqual(
      state.agents.map(({ ip }: { ip: string }) => ip),
      ['10.0.0.1', '10.0.0.2'],
    );
    assert.deepEqual(state.agents[1].overlays[0].backend.vxlan, {
      vni: 1024,
      vtep_name: 'vtep1024',
      vtep_ip: '44.128.0.2/20',
      vtep_mac: '70:b3:d5:80:00:02',
    });
  });

  it('has metrics for Prometheus', async () => {
    const { code, body } = await get('/metrics');
    assert.equal(code, 200);
    for (const line of [
      'sublet_agents 2',
      'sublet_agents_presence{state="live"} 2',
      'sublet_blocks{overlay="dcos",family="ipv4",state="held"} 2',
      'sublet_registrations_total 1',
      'sublet_calls_total{method="/sublet.v1.AgentService/Register",reason=""} 1',
      'sublet_raft_is_leader 1',
      'sublet_storage_writes_total 0',
      'sublet_storage_entries_written_total 0',
      'sublet_watchers 0',
      'sublet_storage_bytes 4096',
      'sublet_storage_write_seconds_bucket{le="0.0025"} 1',
      'sublet_info{version="1.2.3"} 1',
    ]) {
      assert.ok(body.includes(`${line}\n`), line);
    }
  });

  it('has no metric that the documentation does not name, and the other way round', async () => {
    const { body } = await get('/metrics');
    const served = [...body.matchAll(/^# HELP (sublet_\w+) (.*)$/gm)].map(
      ([, name, help]) => `| \`${name}\` | ${help} |`,
    );
    const page = readFileSync('docs/reference/http.md', 'utf8');
    const told = /<!-- metrics -->\n\n(.*)\n\n<!-- end -->/s.exec(page)?.[1]?.split('\n').slice(2);
    assert.deepEqual(told, served.sort());
  });

  it('is healthy while it answers, and ready when it serves', async () => {
    assert.deepEqual(await get('/healthz'), { code: 200, body: 'ok\n' });
    assert.deepEqual(await get('/readyz'), { code: 200, body: 'ready\n' });
    notReady = 'there is no leader';
    assert.deepEqual(await get('/readyz'), { code: 503, body: 'there is no leader\n' });
    assert.equal((await get('/healthz')).code, 200);
    notReady = undefined;
  });

  it('releases agents by their node addresses, all or none', async () => {
    const unknown = await remove('{"agents":["10.0.0.2","10.0.0.99"]}');
    assert.deepEqual(unknown, { code: 404, body: 'agents: no agent has the node address 10.0.0.99\n' });
    const live = await remove('{"agents":["10.0.0.2"]}');
    assert.equal(live.code, 409);
    assert.match(live.body, /release agent_id "agent-2".*force/s);
    assert.equal(masters.master(0).machine.ipam.agentCount, 2);
  });

  it('says what is wrong with a request', async () => {
    assert.match((await remove('{')).body, /the body is not JSON/);
    assert.match((await remove('{"agents":"10.0.0.2"}')).body, /agents: a list of node addresses is expected/);
    assert.equal((await remove('{"agents":["x"]}')).code, 400);
    assert.equal((await remove('{"agents":[]}')).body, 'agents is empty: name at least one node address\n');
    const many = JSON.stringify({ agents: Array.from({ length: 1_001 }, () => '10.0.0.2') });
    assert.match((await remove(many)).body, /^agents has 1001 entries: \d+ at most are allowed\n$/);
    assert.equal((await remove(' '.repeat(1024 * 1024 + 1))).code, 413);
    const missing = await get('/nothing');
    assert.equal(missing.code, 404);
    assert.match(missing.body, /GET \/overlay-master\/state/);
    assert.deepEqual(await get('/overlay-master/agents/delete'), {
      code: 405,
      body: '/overlay-master/agents/delete takes POST, not GET\n',
    });
  });

  it('has each node address once in the state, with the subnets of its present holder', async () => {
    await time.runFor(silentMs);
    await masters.register('agent-3', { nodeIp: '10.0.0.1' });
    const { agents } = JSON.parse((await get('/overlay-master/state')).body);
    assert.deepEqual(
      agents.map((agent: DcosAgentInfo) => `${agent.ip} ${agent.overlays[0]?.subnet}`),
      ['10.0.0.2 9.0.1.0/24', '10.0.0.1 9.0.2.0/24'],
    );
    const groups = JSON.parse((await get('/sd/agents')).body);
    assert.deepEqual(
      groups.map(({ targets }: { targets: string[] }) => targets.join()),
      ['10.0.0.2:7073', '10.0.0.1:7073'],
    );
    // It holds what it held all the same, and is there again once it has an address of its own.
    assert.equal(masters.master(0).machine.ipam.agentCount, 3);
    await masters.register('agent-1', { nodeIp: '10.0.0.9', sequence: 2 });
    const state = JSON.parse((await get('/overlay-master/state')).body);
    assert.equal(state.agents[0].ip, '10.0.0.9');
    assert.equal(state.agents[0].overlays[0].subnet, '9.0.0.0/24');
  });

  it('names in the history the principal that released agents', async () => {
    assert.equal((await remove('{"agents":["10.0.0.2"]}')).code, 200);
    const [entry] = masters.master(0).machine.ipam.history({ after: 0, limit: 1, what: new Set(['release']) });
    assert.equal(entry?.who, 'operator/alice@127.0.0.1');
  });
});
