import assert from 'node:assert/strict';
import { Client, credentials, Metadata, Server, ServerCredentials, status } from '@grpc/grpc-js';
import { detailsOf, MasterClient, NoMasterError } from '#api/master-client.js';
import { definition } from '#api/method.js';
import { agentService } from '#api/services.js';

const boundMs = 10_000;
/** Nothing listens there. */
const deadProxy = 'http://127.0.0.1:1';
const variables = ['http_proxy', 'https_proxy', 'grpc_proxy'] as const;

describe('A client of the masters', () => {
  const server = new Server();
  let master: string;
  const environment = new Map(variables.map((name) => [name, process.env[name]]));

  before(async () => {
    const { leave } = agentService;
    server.addService(
      { leave: definition(leave) },
      { leave: (_: object, done: (e: null, a: object) => void) => done(null, {}) },
    );
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      ),
    );
    master = `127.0.0.1:${port}`;
  });
  afterEach(() => {
    for (const [name, value] of environment) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  });
  after(() => server.forceShutdown());

  for (const name of variables) {
    it(`row 62: asks them and not the proxy in ${name}`, async () => {
      process.env[name] = deadProxy;
      const client = new MasterClient({ masters: [master], timeoutMs: boundMs });
      try {
        await client.call(agentService.leave, {}, { idempotent: true });
      } finally {
        client.close();
      }
    });
  }

  it('would ask the proxy, were it a client like any other', async () => {
    process.env.http_proxy = deadProxy;
    const { path, encodeRequest, decodeResponse } = agentService.leave;
    const client = new Client(master, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
    try {
      const outcome = await new Promise<string>((resolve) =>
        client.makeUnaryRequest(path, encodeRequest, decodeResponse, {}, (error) =>
          resolve(error?.details ?? 'answered'),
        ),
      );
      assert.match(outcome, /No connection established/);
    } finally {
      client.close();
    }
  });

  it('names each address that did not answer, and why', async () => {
    const client = new MasterClient({ masters: ['127.0.0.1:1'], timeoutMs: boundMs });
    try {
      await assert.rejects(
        () => client.call(agentService.leave, {}, { idempotent: true }),
        (error) => error instanceof NoMasterError && /127\.0\.0\.1:1 \(.*ECONNREFUSED/.test(error.message),
      );
    } finally {
      client.close();
    }
  });

  for (const [given, expected] of [
    [
      'No connection established. Last error: undefined',
      'No connection established. Last error: the connection was not made',
    ],
    [
      'No connection established. Last error: null. Resolution note: ',
      'No connection established. Last error: the connection was not made. Resolution note: ',
    ],
    ['No connection established. Last error: ', 'No connection established. Last error: the connection was not made'],
    ['No connection established. Last error: ECONNREFUSED', 'No connection established. Last error: ECONNREFUSED'],
    ['', 'UNAVAILABLE'],
  ] as const) {
    it(`says ${JSON.stringify(expected)} for ${JSON.stringify(given)}`, () => {
      const error = Object.assign(new Error(given), {
        code: status.UNAVAILABLE,
        details: given,
        metadata: new Metadata(),
      });
      assert.equal(detailsOf(error), expected);
    });
  }
});
