import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Method } from '#api/method.js';
import { responseJson } from '#api/proto-json.js';
import { clusterService, operatorService } from '#api/services.js';
import { TestMasters } from '#master/testing/test-masters.js';

const run = promisify(execFile);

/** What `buf curl` prints, with no files at hand. */
async function curl(api: string, path: string, request: object = {}): Promise<string> {
  const flags = ['curl', '--protocol', 'grpc', '--http2-prior-knowledge', '--data', JSON.stringify(request)];
  const { stdout } = await run('node_modules/.bin/buf', [...flags, `http://${api}${path}`]);
  return stdout;
}

describe('reflection and health', () => {
  let masters: TestMasters;
  before(async () => {
    masters = await TestMasters.start();
    await masters.register('agent-1');
    await masters.register('agent-2');
  });
  after(() => masters[Symbol.asyncDispose]());

  it('let buf curl call with no files at hand, and its JSON is ours', async function () {
    this.timeout(60_000);
    const { api } = masters.master(0);
    const client = masters.client();
    const same = async <Request, Decoded extends Request, Response, ResponseDecoded extends Response>(
      method: Method<Request, Decoded, Response, ResponseDecoded>,
      request: Request & object,
    ): Promise<void> => {
      const ours = responseJson(method, await client.call(method, request, { idempotent: true }));
      assert.deepEqual(JSON.parse(await curl(api, method.path, request)), ours, method.path);
    };
    await same(operatorService.listAgents, {});
    await same(operatorService.listOverlays, {});
    await same(operatorService.getNetwork, {});
    await same(operatorService.listHistory, { limit: 2 });
    await same(operatorService.lookup, { ip: '9.0.1.200' });
    await same(clusterService.getStatus, {});
  });

  it('lists the public services, and not what masters say to each other', async function () {
    this.timeout(60_000);
    const flags = ['curl', '--protocol', 'grpc', '--http2-prior-knowledge', '--list-services'];
    const { stdout } = await run('node_modules/.bin/buf', [...flags, `http://${masters.master(0).api}`]);
    const services = stdout.trim().split('\n');
    assert.ok(services.includes('sublet.v1.AgentService'));
    assert.ok(services.includes('sublet.v1.OperatorService'));
    assert.ok(services.includes('sublet.v1.ClusterService'));
    assert.ok(services.includes('grpc.health.v1.Health'));
    assert.deepEqual(
      services.filter((name) => name.startsWith('sublet.') && !name.startsWith('sublet.v1.')),
      [],
    );
  });

  it('tells whether the master serves', async function () {
    this.timeout(60_000);
    const { api, health } = masters.master(0);
    const path = '/grpc.health.v1.Health/Check';
    assert.deepEqual(JSON.parse(await curl(api, path)), { status: 'NOT_SERVING' });
    health.serving(true);
    assert.deepEqual(JSON.parse(await curl(api, path)), { status: 'SERVING' });
    const service = { service: 'sublet.v1.AgentService' };
    assert.deepEqual(JSON.parse(await curl(api, path, service)), { status: 'SERVING' });
  });
});
