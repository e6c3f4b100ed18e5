import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest, type Server } from 'node:http';
import { responseJson } from '#api/proto-json.js';
import { RefusedError, refusalReasons, refusals } from '#api/refusal.js';
import {
  accessService,
  agentService,
  certificateService,
  clusterService,
  joinService,
  operatorService,
} from '#api/services.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { defaultAdmissionLimits } from '#master/access/admission.js';
import { httpServer } from '#master/server/http-server.js';
import { TestMasters } from '#master/testing/test-masters.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';
import { byAddress } from '#tls/caller.js';

const list = operatorService.listAgents.path;
const find = operatorService.getAgent.path;
const json = { 'content-type': 'application/json' };
const boundMs = 10_000;

describe('calls in the form of Connect', () => {
  let time: VirtualTime;
  let masters: TestMasters;
  let server: Server;
  let base: string;
  let admitted: string[] = [];
  let refusal: RefusedError | undefined;
  const observed: string[] = [];

  before(async () => {
    time = new VirtualTime();
    const limits = { admission: { ...defaultAdmissionLimits, callsPerClient: 1 } };
    masters = await TestMasters.start({ clock: time, limits });
    const { services } = masters.master(0);
    server = httpServer({
      plan: services.plan,
      metrics: { page: async () => '', contentType: 'text/plain' },
      calls: services.unaryCalls((path, _, refused) => observed.push(`${path} ${refused?.reason ?? 'done'}`)),
      notReady: () => undefined,
      report: (error) => assert.fail(String(error)),
      hosts: [],
      access: { open: 'change', advice: '' },
      callers: {
        admit: (_, path) => {
          admitted.push(path);
          if (refusal !== undefined) throw refusal;
          return byAddress('10.0.0.9:1');
        },
      },
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    base = `http://127.0.0.1:${address !== null && typeof address === 'object' ? address.port : 0}`;
    for (const id of ['agent-1', 'agent-2']) await masters.register(id);
  });
  beforeEach(() => {
    admitted = [];
    refusal = undefined;
    observed.length = 0;
  });
  after(async () => {
    server.close();
    server.closeAllConnections();
    await masters[Symbol.asyncDispose]();
  });

  type Answer = { readonly code: number; readonly type: string | null; readonly body: string };
  async function ask(path: string, init: RequestInit = {}): Promise<Answer> {
    const response = await fetch(base + path, init);
    return { code: response.status, type: response.headers.get('content-type'), body: await response.text() };
  }
  const post = (path: string, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = json) =>
    ask(path, { method: 'POST', body, headers });
  /** The HTTP status, Connect's code and the message. */
  async function fault(answer: Promise<Answer>): Promise<readonly [number, string, string]> {
    const { code, body } = await answer;
    const { code: name, message } = JSON.parse(body);
    return [code, name, message];
  }

  it('answers a POST of JSON with the JSON that the command line prints', async () => {
    const { code, type, body } = await post(list, '{"pageSize":1}', { ...json, 'connect-protocol-version': '1' });
    assert.deepEqual([code, type], [200, 'application/json']);
    const direct = operatorService.listAgents.request.encode({ pageSize: 1 }).finish();
    const { services } = masters.master(0);
    const expected = await services.call(list, direct, byAddress('10.0.0.9:1'), 1_000);
    const response = operatorService.listAgents.response.decode(expected);
    assert.deepEqual(JSON.parse(body), responseJson(operatorService.listAgents, response));
    assert.deepEqual(admitted, [list]);
    assert.deepEqual(observed, [`${list} done`], 'is counted once');
  });

  it('takes fields by their names in the .proto file, too, and the media type with its parameters', async () => {
    const { body } = await post(list, '{"page_size":1}', { 'content-type': 'Application/JSON; charset=utf-8' });
    assert.equal(JSON.parse(body).agents.length, 1);
  });

  it('carries out a change', async () => {
    const reserve = { overlay: 'dcos', subnet: '9.0.9.0/24', agentId: 'agent-9' };
    assert.equal((await post(operatorService.reserve.path, JSON.stringify(reserve))).code, 200);
    const { body } = await post(operatorService.listReservations.path, '{}');
    assert.deepEqual(JSON.parse(body).reservations, [reserve]);
  });

  it('takes and answers protobuf', async () => {
    const { request, response } = operatorService.getAgent;
    const sent = await fetch(base + find, {
      method: 'POST',
      headers: { 'content-type': 'application/proto' },
      body: Uint8Array.from(request.encode({ agentId: 'agent-1' }).finish()),
    });
    assert.equal(sent.headers.get('content-type'), 'application/proto');
    assert.equal(response.decode(new Uint8Array(await sent.arrayBuffer())).agent?.nodeIp, '10.0.0.1');
  });

  it('answers a GET of a method that only looks, and of no other', async () => {
    const message = encodeURIComponent('{"agentId":"agent-1"}');
    const { code, body } = await ask(`${find}?connect=v1&encoding=json&message=${message}`);
    assert.deepEqual([code, JSON.parse(body).agent.nodeIp], [200, '10.0.0.1']);
    const base64 = Buffer.from('{"agentId":"agent-2"}').toString('base64url');
    assert.match((await ask(`${find}?encoding=json&base64=1&message=${base64}`)).body, /"nodeIp":"10\.0\.0\.2"/);
    const change = await fetch(`${base + operatorService.reserve.path}?encoding=json&message=%7B%7D`);
    assert.deepEqual([change.status, change.headers.get('allow')], [405, 'POST']);
    const put = await fetch(base + find, { method: 'PUT', body: '{}', headers: json });
    assert.deepEqual([put.status, put.headers.get('allow')], [405, 'GET, POST']);
    for (const wrong of ['connect=v2', 'encoding=xml', 'compression=gzip', 'base64=2']) {
      const [, name, text] = await fault(ask(`${find}?message=%7B%7D&${wrong}`));
      assert.deepEqual([name, text.startsWith(`${wrong.split('=')[0]} is "`)], ['invalid_argument', true], text);
    }
    assert.match((await fault(ask(find)))[2], /^message: the request is expected there/);
  });

  it('serves every unary method of the API but that of another port, and no stream', async () => {
    const services = [agentService, operatorService, clusterService, certificateService, accessService];
    for (const { path, requestStream, responseStream } of services.flatMap((each) => Object.values(each))) {
      // The body is no JSON, so nothing is carried out: a method that is served says so.
      const [code, name] = await fault(post(path, ''));
      const isStream = requestStream || responseStream;
      assert.deepEqual([code, name], isStream ? [404, 'unimplemented'] : [400, 'invalid_argument'], path);
    }
    assert.equal((await post(joinService.join.path, '{}')).code, 404);
    assert.equal((await post('/sublet.v1.OperatorService/Nothing', '{}')).code, 404);
  });

  it('gives errors as Connect does: the code by name, its HTTP status, and the reason in the details', async () => {
    const { code, body } = await post(find, '{"agentId":"missing"}');
    const { details, ...error } = JSON.parse(body);
    assert.deepEqual([code, error.code], [404, 'not_found']);
    assert.match(error.message, /missing/);
    const [{ type, value, debug }] = details;
    assert.equal(type, 'google.rpc.ErrorInfo');
    assert.equal(debug.reason, 'NOT_FOUND');
    assert.ok(Buffer.from(value, 'base64').includes('NOT_FOUND') && !value.includes('='));
  });

  it('has an HTTP status for each reason of a refusal', async () => {
    const statuses: Readonly<Record<number, number>> = {
      2: 500,
      3: 400,
      4: 504,
      5: 404,
      6: 409,
      7: 403,
      8: 429,
      9: 400,
      10: 409,
      12: 501,
      13: 500,
      14: 503,
    };
    for (const reason of refusalReasons) {
      refusal = new RefusedError(reason, 'the spec says so');
      const [code, , message] = await fault(post(list, '{}'));
      assert.deepEqual([code, message], [statuses[refusals[reason].code], 'the spec says so'], reason);
    }
  });

  it('judges the caller before it reads the body', async () => {
    refusal = new RefusedError('permission-denied', 'not this one');
    assert.deepEqual(await fault(post(list, 'no JSON')), [403, 'permission_denied', 'not this one']);
  });

  it('names what is wrong with a request', async () => {
    for (const [path, body, expected] of [
      [list, '', /the request is not JSON/],
      [list, '[', /the request is not JSON/],
      [list, new Uint8Array([34, 255, 34]), /the request is not JSON/],
      [list, '[]', /ListAgentsRequest: expected object/],
      [list, '{"pageSiz":1}', /ListAgentsRequest: unknown field: "pageSiz"/],
      [list, '{"__proto__":{}}', /unknown field: "__proto__"/],
      [list, '{"pageSize":-1}', /pageSize|page_size/],
      [list, '{"pageSize":"x"}', /invalid integer: "x"/],
      [list, '{"presence":"PRESENCE_STATE_ASLEEP"}', /presence: unknown enum value: "PRESENCE_STATE_ASLEEP"/],
      [operatorService.listHistory.path, '{"since":"yesterday"}', /since|Timestamp|timestamp/],
      [operatorService.listHistory.path, '{"fromRevision":"18446744073709551615"}', /from_revision is beyond/],
    ] as const) {
      const [code, name, message] = await fault(post(path, body));
      assert.deepEqual([code, name], [400, 'invalid_argument'], String(body));
      assert.match(message, expected);
    }
    const bad = await fault(post(find, Uint8Array.from([0xff]), { 'content-type': 'application/proto' }));
    assert.deepEqual(bad.slice(0, 2), [400, 'invalid_argument']);
  });

  it('refuses other versions, encodings and timeouts by their headers', async () => {
    for (const [header, value, expected] of [
      ['connect-protocol-version', '2', [400, 'invalid_argument']],
      ['content-encoding', 'gzip', [501, 'unimplemented']],
      ['connect-timeout-ms', '1s', [400, 'invalid_argument']],
      ['connect-timeout-ms', '12345678901', [400, 'invalid_argument']],
      ['origin', base, [403, 'permission_denied']],
    ] as const) {
      const answer = await fault(post(list, '{}', { ...json, [header]: value }));
      assert.deepEqual(answer.slice(0, 2), expected, header);
    }
    const text = await fetch(base + list, { method: 'POST', body: '{}', headers: { 'content-type': 'text/plain' } });
    assert.deepEqual([text.status, text.headers.get('accept-post')], [415, 'application/json, application/proto']);
    assert.deepEqual(admitted, []);
  });

  it('bounds the body as gRPC bounds a message, whether or not its length is known beforehand', async () => {
    const sent = (chunked: boolean): Promise<readonly [number, string, string]> =>
      new Promise((resolve, reject) => {
        const body = Buffer.alloc(1024 * 1024 + 1, ' ');
        const length = chunked ? {} : { 'content-length': String(body.length) };
        const asked = httpRequest(base + list, { method: 'POST', agent: false, headers: { ...json, ...length } });
        asked.on('response', (response) => {
          let text = '';
          response.on('data', (part) => {
            text += part;
          });
          response.on('end', () => {
            asked.destroy();
            const { code, message } = JSON.parse(text);
            resolve([response.statusCode ?? 0, code, message]);
          });
        });
        asked.on('error', reject);
        asked.write(body);
      });
    for (const chunked of [true, false]) {
      assert.deepEqual(await sent(chunked), [429, 'resource_exhausted', 'the body is larger than 1.0 MiB']);
    }
  });

  it('holds callers to the limits of admission, and gives up a call at its time', async () => {
    const { services, member } = masters.master(0);
    const held: (() => void)[] = [];
    member.held = held;
    const waiting = fault(post(operatorService.getNetwork.path, '{}', { ...json, 'connect-timeout-ms': '700' }));
    await until('the call is under way', boundMs, async () => holds(services.admission.total.calls === 1));
    assert.deepEqual((await fault(post(list, '{}'))).slice(0, 2), [429, 'resource_exhausted']);
    await time.runFor(701);
    const [code, name, message] = await waiting;
    assert.deepEqual([code, name], [504, 'deadline_exceeded']);
    assert.match(message, /^\/sublet\.v1\.OperatorService\/GetNetwork: not done within /);
    // The call itself goes on, and keeps its place until it has ended.
    assert.equal(services.admission.total.calls, 1);
    member.held = undefined;
    for (const release of held) release();
    await until('the call has ended', boundMs, async () => holds(services.admission.total.calls === 0));
  });
});
