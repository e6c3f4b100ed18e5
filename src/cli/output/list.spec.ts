/** What `-o`, `--no-headers`, `--sort-by` and the selectors make of lists. */
import assert from 'node:assert/strict';
import { parse } from 'yaml';
import { clusterService, operatorService } from '#api/services.js';
import { run } from '#cli/program.js';
import { CannedMaster } from '#cli/testing/canned-master.js';
import { RecordedTerminal } from '#cli/testing/recorded-terminal.js';
import { agent1, agent2, history, sampleOverlays, status } from '#cli/testing/samples.js';

describe('lists', () => {
  let master: CannedMaster;
  // It takes no subnet of the overlay.
  const agent10 = {
    ...agent2,
    overlays: [{ info: { name: 'dcos' } }],
    agentId: 'agent-10',
    nodeIp: '10.0.0.10',
    lease: { epoch: 5 },
  };

  before(async () => {
    master = await new CannedMaster()
      .on(clusterService.getStatus, () => status)
      .on(clusterService.listMembers, () => ({ members: status.members, leader: 'm1', accountOf: 'm1' }))
      .on(operatorService.listAgents, () => ({ agents: [agent1, agent10, agent2], revision: 9 }))
      .on(operatorService.listOverlays, () => sampleOverlays)
      .on(operatorService.listHistory, () => history)
      .on(operatorService.listReservations, () => ({
        reservations: [
          { overlay: 'dcos', subnet: '9.0.50.0/24', agentId: 'db-1' },
          { overlay: 'dcos', subnet: '9.64.0.0/10' },
          { overlay: 'blue', subnet: '10.1.0.0/24', agentId: 'db-1' },
        ],
        revision: 9,
      }))
      .listen();
  });
  after(() => master[Symbol.asyncDispose]());

  async function shown(columns: number | undefined, ...args: readonly string[]): Promise<string> {
    const terminal = new RecordedTerminal(columns);
    const code = await run([...args, '--master', master.address], terminal);
    assert.equal(terminal.notes, '');
    assert.equal(code, 0);
    return terminal.out;
  }

  async function refused(...args: readonly string[]): Promise<string> {
    const terminal = new RecordedTerminal();
    assert.equal(await run([...args, '--master', master.address], terminal), 2);
    assert.equal(terminal.out, '');
    return terminal.notes;
  }

  const lines = (text: string) => text.trimEnd().split('\n');

  it('name what other commands take', async () => {
    assert.equal(await shown(80, 'agents', '-o', 'name'), 'agent-1\nagent-10\nagent-2\n');
    assert.equal(await shown(80, 'overlays', '-o', 'name'), 'dcos\ndcos6\n');
    assert.equal(await shown(80, 'members', '-o', 'name'), 'm1\nm2\nm3\n');
    assert.equal(
      await shown(80, 'reservations', '-o', 'name'),
      'dcos 9.0.50.0/24\ndcos 9.64.0.0/10\nblue 10.1.0.0/24\n',
    );
  });

  it('are the same in YAML as in JSON', async () => {
    for (const command of ['agents', 'overlays', 'members', 'reservations', 'history', 'status']) {
      const json = JSON.parse(await shown(80, command, '-o', 'json'));
      const yaml = await shown(80, command, '-o', 'yaml');
      assert.deepEqual(parse(yaml), json, command);
      assert.doesNotMatch(yaml, /^[{[]/, command);
    }
    assert.match(await shown(80, 'agents', '-o', 'yaml'), /^agents:\n {2}- agentId: agent-1\n/);
  });

  it('have more columns when wide, and a line for each row on any terminal', async () => {
    const wide = lines(await shown(40, 'agents', '-o', 'wide'));
    assert.match(
      wide[0] ?? '',
      /^AGENT +NODE IP +PRESENCE +VTEP +VTEP MAC +HOST NAME +EPOCH +LAST HEARD +OVERLAY +SUBNET +ON/,
    );
    assert.match(wide[1] ?? '', /^agent-1 .* 70:b3:d5:80:00:01 +host-1\.example +7 +4s +dcos +9\.0\.0\.0\/24 +ok$/);
    assert.match(wide[2] ?? '', /^agent-1 .* dcos6 +fd01:b::\/80 +failed: Docker does not answer/);
    assert.equal(wide.length, 5);
    assert.match(await shown(40, 'overlays', '-o', 'wide'), /FREE +TOTAL +USED\ndcos .* 49,148 +65,536 +25\.0%\n/);
    assert.match(await shown(40, 'members', '-o', 'wide'), /MAY STOP +API +STOP RISK\nm1 .* 10\.0\.0\.11:7070 +-\n/);
  });

  it('are rows alone with --no-headers, in a table and when there is none', async () => {
    assert.match(await shown(80, 'agents', '--no-headers'), /^agent-1 .*\n.*\nagent-10 .*\nagent-2 .* -$/m);
    assert.doesNotMatch(await shown(80, 'agents', '--no-headers'), /AGENT|3 agents|!/);
    assert.equal(lines(await shown(undefined, 'overlays', '--no-headers')).length, 2);
    assert.equal(lines(await shown(undefined, 'members', '-o', 'wide', '--no-headers')).length, 3);
    assert.equal(lines(await shown(80, 'reservations', '--no-headers')).length, 3);
    assert.doesNotMatch(await shown(undefined, 'history', '--no-headers'), /REVISION/);
    for (const command of ['agents', 'overlays']) {
      const none = command === 'agents' ? ['--overlay', 'none'] : ['--state', 'draining'];
      assert.equal(await shown(80, command, ...none, '--no-headers'), '');
    }
  });

  it('are ordered by a field of the JSON, numbers in texts as numbers, in every form', async () => {
    const ids = async (...args: readonly string[]) => lines(await shown(80, 'agents', '-o', 'name', ...args));
    assert.deepEqual(await ids('--sort-by', 'agentId'), ['agent-1', 'agent-2', 'agent-10']);
    assert.deepEqual(await ids('--sort-by', '{.lease.epoch}'), ['agent-10', 'agent-1', 'agent-2']);
    // What has no such value comes first.
    assert.deepEqual(await ids('--sort-by', '.overlays[0].subnet'), ['agent-10', 'agent-2', 'agent-1']);
    const json = JSON.parse(await shown(80, 'agents', '-o', 'json', '--sort-by', 'agentId'));
    assert.deepEqual(
      json.agents.map(({ agentId }: { agentId: string }) => agentId),
      ['agent-1', 'agent-2', 'agent-10'],
    );
    assert.deepEqual(lines(await shown(80, 'overlays', '-o', 'name', '--sort-by', 'usage6.free')), ['dcos', 'dcos6']);
    assert.match(await shown(80, 'history', '--sort-by', 'who', '--no-headers'), /^ +2 .*\n.*\n +7 .*agent-1/);
  });

  it('are not ordered by what is no field', async () => {
    assert.match(
      await refused('agents', '--sort-by', 'nodeip'),
      /^sublet: --sort-by: an agent has no field "nodeip": there is agentId, instanceId, nodeIp, hostname, vxlan, overlays, lease, /,
    );
    assert.match(
      await refused('agents', '--sort-by', 'lease.ttl'),
      /lease has no field "ttl": there is epoch, ttlSeconds\n/,
    );
    assert.match(await refused('agents', '--sort-by', 'agentId.x'), /agentId has no field "x"\n/);
    assert.match(await refused('agents', '--sort-by', 'a['), /--sort-by: "a\[": at character 4: a number/);
  });

  it('are selected by overlay and by how it is on the host', async () => {
    const ids = async (...args: readonly string[]) => shown(80, 'agents', '-o', 'name', ...args);
    assert.equal(await ids('--overlay', 'dcos'), 'agent-1\n');
    assert.equal(await ids('--state', 'failed'), 'agent-1\n');
    assert.equal(await ids('--overlay', 'dcos', '--state', 'failed'), '');
    assert.equal(await ids('--overlay', 'dcos6', '--state', 'failed'), 'agent-1\n');
    assert.equal(await shown(80, 'agents', '--overlay', 'none'), 'No agent is like that.\n');
    const table = await shown(80, 'agents', '--state', 'ok');
    assert.match(table, /dcos +9\.0\.0\.0\/24 +ok\n1 agent\n$/);
    assert.doesNotMatch(table, /dcos6/);
    const json = JSON.parse(await shown(80, 'agents', '--state', 'ok', '-o', 'json'));
    assert.equal(json.agents[0].overlays.length, 2, 'JSON has the whole agent');
  });

  it('are selected by state, role, overlay and agent', async () => {
    assert.equal(await shown(80, 'overlays', '--state', 'enabled', '-o', 'name'), 'dcos\n');
    assert.equal(await shown(80, 'overlays', '--state', 'disabled', '-o', 'name'), 'dcos6\n');
    assert.equal(await shown(80, 'overlays', '--state', 'draining'), 'No overlay is like that.\n');
    assert.doesNotMatch(await shown(80, 'overlays', '--state', 'enabled'), /VTEPs/);
    assert.equal(await shown(80, 'members', '--role', 'leader', '-o', 'name'), 'm1\n');
    assert.equal(await shown(80, 'reservations', '--state', 'excluded', '-o', 'name'), 'dcos 9.64.0.0/10\n');
    assert.equal(await shown(80, 'reservations', '--overlay', 'blue', '-o', 'name'), 'blue 10.1.0.0/24\n');
    assert.equal(lines(await shown(80, 'reservations', '--for', 'db-1', '-o', 'name')).length, 2);
  });

  it('come out of a template as it is written, its tabs included', async () => {
    const template = '{range .agents[*]}{.agentId}{"\\t"}{.nodeIp}{"\\n"}{end}';
    assert.equal(
      await shown(80, 'agents', '-o', `jsonpath=${template}`),
      'agent-1\t10.0.0.1\nagent-10\t10.0.0.10\nagent-2\t10.0.0.2\n',
    );
    assert.equal(await shown(80, 'agents', '-o', 'jsonpath=.revision'), '9\n');
    assert.equal(await shown(80, '-o', 'jsonpath={.clusterId}', 'status'), 'sublet\n');
  });
});
