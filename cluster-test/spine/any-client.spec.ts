/** Any call to any master, by any gRPC client: reflection, health, stubs of another language, and the JSON that all agree on. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { benchConfig } from '#cluster-test/bench/plan.js';
import { sublet } from '#cluster-test/process/child.js';
import { until } from '#cluster-test/process/condition.js';
import { fixture, showOnFailure } from '#cluster-test/process/fixture.js';
import { Masters } from '#cluster-test/process/masters.js';
import { PersistentRegistrar } from '#cluster-test/process/persistent-registrar.js';
import { command, condition, requires } from '#cluster-test/requirement.js';

const top = join(dirname(fileURLToPath(import.meta.url)), '../../..');
const python = '/usr/bin/python3';
const boundMs = 60_000;

function run(
  program: string,
  args: readonly string[],
): { readonly status: number | null; readonly out: string; readonly all: string } {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', cwd: top, timeout: boundMs });
  return { status, out: stdout ?? '', all: `${stdout}${stderr}` };
}

function bufCurl(address: string, method: string, request: object, more: readonly string[] = []) {
  const flags = [
    '--protocol',
    'grpc',
    '--http2-prior-knowledge',
    '--reflect',
    '--reflect-protocol',
    'grpc-v1',
    ...more,
  ];
  const url = `http://${address}/${method}`;
  return run(join(top, 'node_modules/.bin/buf'), ['curl', ...flags, '-d', JSON.stringify(request), url]);
}

describe('any master, by any gRPC client', function () {
  this.timeout(180_000);
  let masters: Masters;
  let leader: string;
  let follower: string;
  before(async () => {
    masters = await Masters.start({ count: 3, config: benchConfig() });
    using registrar = new PersistentRegistrar(masters.addresses);
    for (let number = 0; number < 3; number++) await registrar.register(number);
    leader = (await masters.leader()).api;
    follower = masters.addresses.find((address) => address !== leader) ?? '';
  });
  after(() => masters?.[Symbol.asyncDispose]());
  afterEach(function () {
    showOnFailure(this, masters?.masters);
  });

  it('answers a call to a follower as one to the leader, writes too', async () => {
    const add = ['overlay', 'add', 'second', '--subnet', '10.128.0.0/9', '--prefix', '24', '--master', follower];
    const added = await sublet(add);
    assert.equal(added.code, 0, added.output);
    const answers = await Promise.all(
      [leader, follower].map((address) => sublet(['overlays', '-o', 'json', '--master', address])),
    );
    assert.equal(answers[0]?.code, 0, answers[0]?.output);
    assert.match(answers[0]?.stdout ?? '', /"second"/);
    assert.equal(answers[0]?.stdout, answers[1]?.stdout);
  });

  it('is asked past a master that is not there', async () => {
    const { code, output } = await sublet(['overlays', '--master', `127.0.0.1:1,${follower}`]);
    assert.equal(code, 0, output);
  });

  it('says that no master is reachable, which were asked, and exits 3', async () => {
    for (const args of [['status'], ['agents'], ['release', 'a'], ['overlay', 'disable', 'bench']]) {
      const { code, output } = await sublet([...args, '--master', '127.0.0.1:1,127.0.0.1:2']);
      assert.equal(code, 3, output);
      assert.match(output, /no master reachable/);
      assert.match(output, /127\.0\.0\.1:1/);
      assert.match(output, /127\.0\.0\.1:2/);
    }
  });

  const equal: readonly (readonly [readonly string[], string, object])[] = [
    [['overlays'], 'sublet.v1.OperatorService/ListOverlays', {}],
    [['agents'], 'sublet.v1.OperatorService/ListAgents', { pageSize: 1000 }],
    [['agents', 'agent-1'], 'sublet.v1.OperatorService/GetAgent', { agentId: 'agent-1' }],
    [['lookup', '9.0.1.200'], 'sublet.v1.OperatorService/Lookup', { ip: '9.0.1.200' }],
    [['lookup', '8.8.8.8'], 'sublet.v1.OperatorService/Lookup', { ip: '8.8.8.8' }],
    [['network'], 'sublet.v1.OperatorService/GetNetwork', {}],
    [['history'], 'sublet.v1.OperatorService/ListHistory', {}],
    [['reservations'], 'sublet.v1.OperatorService/ListReservations', {}],
  ];
  for (const [args, method, request] of equal) {
    it(`prints with "${args.join(' ')} -o json" what buf curl prints`, async () => {
      const ask = async (): Promise<string> => {
        const { code, stdout, output } = await sublet([...args, '-o', 'json', '--master', follower]);
        assert.equal(code, 0, output);
        return stdout;
      };
      // An agent may fall silent between two calls: then they are made again.
      const { ours, theirs } = await until(`${method} at rest`, boundMs, async () => {
        const before = await ask();
        const { status, out, all } = bufCurl(follower, method, request);
        assert.equal(status, 0, all);
        return before === (await ask()) ? { ours: before, theirs: out } : undefined;
      });
      assert.deepEqual(JSON.parse(ours), JSON.parse(theirs));
    });
  }

  it('describes itself: reflection v1 and v1alpha', () => {
    for (const version of ['grpc-v1', 'grpc-v1alpha']) {
      const flags = ['--protocol', 'grpc', '--http2-prior-knowledge', '--reflect', '--reflect-protocol', version];
      const listed = run(join(top, 'node_modules/.bin/buf'), [
        'curl',
        ...flags,
        '--list-methods',
        `http://${follower}`,
      ]);
      assert.equal(listed.status, 0, listed.all);
      for (const method of [
        'AgentService/Register',
        'AgentService/Watch',
        'OperatorService/Lookup',
        'ClusterService/GetStatus',
      ]) {
        assert.ok(listed.out.includes(`sublet.v1.${method}`), `${method} in ${listed.out}`);
      }
    }
  });

  it('says of itself that it is healthy', () => {
    for (const service of ['', 'sublet.v1.AgentService']) {
      const { out, all } = bufCurl(follower, 'grpc.health.v1.Health/Check', { service });
      assert.deepEqual(JSON.parse(out || JSON.stringify(all)), { status: 'SERVING' });
    }
  });

  it('refuses with the code and the message of the table, also to buf curl', () => {
    const { status, all } = bufCurl(follower, 'sublet.v1.OperatorService/GetAgent', { agentId: 'nobody' });
    assert.notEqual(status, 0);
    assert.match(all, /not_found/);
    assert.match(all, /nobody/);
  });

  it('answers buf curl in the form of Connect over HTTP, with protobuf and without reflection', () => {
    const { http = '' } = masters.masters.find(({ api }) => api === follower) ?? {};
    const curl = (method: string, request: object) =>
      run(join(top, 'node_modules/.bin/buf'), [
        ...['curl', '--protocol', 'connect', '--schema', 'proto', '-d', JSON.stringify(request)],
        `http://${http}/sublet.v1.OperatorService/${method}`,
      ]);
    const { status, out, all } = curl('GetAgent', { agentId: 'agent-1' });
    assert.equal(status, 0, all);
    assert.equal(JSON.parse(out).agent.agentId, 'agent-1');
    const refused = curl('GetAgent', { agentId: 'missing' });
    assert.notEqual(refused.status, 0);
    assert.match(refused.all, /not_found/);
    assert.match(refused.all, /"reason": ?"NOT_FOUND"/);
  });

  it('is understood by Python, with stubs made from the .proto files', function () {
    const imports = run(python, ['-c', 'import grpc, google.protobuf']);
    requires(
      this,
      condition(imports.status === 0, 'no python3-grpcio'),
      command('protoc'),
      command('grpc_python_plugin'),
    );
    const stubs = mkdtempSync(join(tmpdir(), 'sublet-stubs-'));
    try {
      const files = ['agent_service', 'network', 'operator_service'].map((name) => `sublet/v1/${name}.proto`);
      const plugin = run('which', ['grpc_python_plugin']).out.trim();
      const outs = [`--python_out=${stubs}`, `--grpc_out=${stubs}`, `--plugin=protoc-gen-grpc=${plugin}`];
      // Debian's protoc comes without google/protobuf/timestamp.proto; what buf made of the same files has it in it.
      const made = run('protoc', [`--descriptor_set_in=dist/proto/sublet.binpb`, ...outs, ...files]);
      assert.equal(made.status, 0, made.all);
      const spoken = run(python, [fixture('register_and_list.py'), stubs, follower]);
      assert.equal(spoken.status, 0, spoken.all);
      const said = JSON.parse(spoken.out);
      assert.equal(said.registered.agent.agentId, 'python');
      assert.equal(said.registered.agent.overlays[0].mesosBridge.name, 'm-bench');
      assert.equal(said.registered.agent.overlays[0].dockerBridge, undefined);
      assert.ok(said.nextInMs > 0);
      assert.equal(said.firstOfWatch, 'snapshot_begin');
      assert.deepEqual(said.listed, ['agent-0', 'agent-1', 'agent-2', 'python']);
      assert.equal(said.refused, 'NOT_FOUND');
    } finally {
      rmSync(stubs, { recursive: true, force: true });
    }
  });
});
