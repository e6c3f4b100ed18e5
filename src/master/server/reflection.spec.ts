import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { Duplex } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Method } from '#api/method.js';
import { responseJson } from '#api/proto-json.js';
import { clusterService, operatorService } from '#api/services.js';
import { Admission } from '#master/access/admission.js';
import { addReflection } from '#master/server/reflection.js';
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

  it('serve buf curl with no files at hand, and its JSON is ours', async () => {
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

  it('lists the public services, and not what masters say to each other', async () => {
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

  it('reports whether the master serves', async () => {
    const { api, health } = masters.master(0);
    const path = '/grpc.health.v1.Health/Check';
    assert.deepEqual(JSON.parse(await curl(api, path)), { status: 'NOT_SERVING' });
    health.serving(true);
    assert.deepEqual(JSON.parse(await curl(api, path)), { status: 'SERVING' });
    const service = { service: 'sublet.v1.AgentService' };
    assert.deepEqual(JSON.parse(await curl(api, path, service)), { status: 'SERVING' });
  });
});

describe('a stream of reflection', () => {
  const listServices = Buffer.from([0x3a, 1, 0x2a]);
  const malformed = Buffer.from([0x22, 5, 1]);

  /** A call with these requests waiting, of which answers are taken one at a time by `take`. */
  function call(requests: readonly Buffer[]) {
    const admission = new Admission({ callsPerClient: 1, calls: 1, streamsPerClient: 1, streams: 1 });
    const taken: Uint8Array[] = [];
    let take: () => void = () => undefined;
    const stream = new Duplex({
      objectMode: true,
      writableHighWaterMark: 1,
      readableHighWaterMark: requests.length + 1,
      read: () => undefined,
      write: (answer: Uint8Array, _encoding, done) => {
        taken.push(answer);
        take = done;
      },
    });
    let open: ((stream: never) => void) | undefined;
    const register = (_path: string, handle: unknown): boolean => {
      // The handler of both versions is one: that which is registered last is called here.
      open = handle as typeof open;
      return true;
    };
    addReflection({ register }, admission);
    for (const request of requests) stream.push(request);
    open?.(Object.assign(stream, { getPeer: () => '192.0.2.1:1' }) as never);
    return { stream, admission, taken, take: () => take() };
  }
  async function rest(): Promise<void> {
    for (let turns = 0; turns < 10; turns++) await turn();
  }

  it('reads the next request when the answer before was taken', async () => {
    const { stream, taken, take } = call(Array.from({ length: 20 }, () => listServices));
    await rest();
    assert.equal(taken.length, 1);
    assert.ok(stream.readableLength >= 18, `${stream.readableLength} requests wait`);
    take();
    await rest();
    assert.equal(taken.length, 2);
    assert.ok(stream.readableLength >= 17, `${stream.readableLength} requests wait`);
    stream.destroy();
  });

  it('ends with the first request that is none, and gives its place back', async () => {
    const { stream, admission, taken } = call([malformed, listServices]);
    const error = await new Promise<Error>((resolve) => stream.once('error', resolve));
    assert.match(error.message, /the request is not a ServerReflectionRequest/);
    await rest();
    assert.deepEqual(taken, []);
    stream.destroy();
    await rest();
    assert.equal(admission.total.streams, 0);
  });
});
