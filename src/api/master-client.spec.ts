import assert from 'node:assert/strict';
import { Client, credentials, Metadata, Server, ServerCredentials, status } from '@grpc/grpc-js';
import { refusalMetadata } from '#api/error-info.js';
import { detailsOf, isServiceError, MasterClient, NoMasterError } from '#api/master-client.js';
import { definition } from '#api/method.js';
import { RefusedError } from '#api/refusal.js';
import { agentService } from '#api/services.js';

const boundMs = 10_000;
/** Nothing listens there. */
const deadProxy = 'http://127.0.0.1:1';
const variables = ['http_proxy', 'https_proxy', 'grpc_proxy'] as const;

describe('A client of the masters', () => {
  const server = new Server();
  let master: string;
  /** HOST:PORT of the connection of each call. */
  const callers: string[] = [];
  const environment = new Map(variables.map((name) => [name, process.env[name]]));

  before(async () => {
    const { leave } = agentService;
    server.addService(
      { leave: definition(leave) },
      {
        leave: (call: { getPeer(): string }, done: (e: null, a: object) => void) => {
          callers.push(call.getPeer());
          done(null, {});
        },
      },
    );
    master = `127.0.0.1:${await listen(server)}`;
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

  it('has one connection, and another one once it is to connect anew', async () => {
    const client = new MasterClient({ masters: [master], timeoutMs: boundMs });
    callers.length = 0;
    try {
      for (const calls of [2, 1]) {
        for (let call = 0; call < calls; call++) await client.call(agentService.leave, {}, { idempotent: true });
        client.reconnect();
      }
    } finally {
      client.close();
    }
    const [first, second, third] = callers;
    assert.equal(first, second);
    assert.notEqual(third, first);
  });

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

  for (const [what, refusal, expected] of [
    ['asks the next master where one can not serve', new RefusedError('unavailable', 'this master is starting'), ''],
    ['asks no other master where the outcome is unknown', new RefusedError('unknown-outcome', 'lost'), 'lost'],
  ] as const) {
    it(`${what}, also for a call that may not be sent twice`, async () => {
      const refusing = new Server();
      const { leave } = agentService;
      const failure = { code: refusal.code, details: refusal.message, metadata: refusalMetadata(refusal) };
      refusing.addService(
        { leave: definition(leave) },
        { leave: (_: object, done: (e: object, a: null) => void) => done(failure, null) },
      );
      const port = await listen(refusing);
      const client = new MasterClient({ masters: [`127.0.0.1:${port}`, master], timeoutMs: boundMs });
      try {
        const outcome = await client.call(leave, {}, { idempotent: false }).then(
          () => '',
          (error: unknown) => (isServiceError(error) ? error.details : String(error)),
        );
        assert.equal(outcome, expected);
      } finally {
        client.close();
        refusing.forceShutdown();
      }
    });
  }

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

/** The port on loopback at which the server listens now. */
function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
}
