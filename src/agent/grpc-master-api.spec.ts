import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { GrpcMasterApi } from '#agent/grpc-master-api.js';
import type { MasterError, StreamEvents } from '#agent/master-api.js';
import { refusalMetadata } from '#api/error-info.js';
import { MasterClient } from '#api/master-client.js';
import { definition } from '#api/method.js';
import { type RefusalReason, RefusedError } from '#api/refusal.js';
import { agentService } from '#api/services.js';
import { holds, until } from '#cluster-test/process/condition.js';

const boundMs = 10_000;

describe('what an agent makes of a refusal', () => {
  const server = new Server();
  let reason: RefusalReason = 'unavailable';
  let client: MasterClient;
  let api: GrpcMasterApi;

  before(async () => {
    const { register, watch, keepAlive } = agentService;
    const refusal = (): object => {
      const refused = new RefusedError(reason, 'no');
      return { code: refused.code, details: refused.message, metadata: refusalMetadata(refused) };
    };
    const refuse = (call: NodeJS.EventEmitter): void => void call.emit('error', refusal());
    server.addService(
      { register: definition(register), watch: definition(watch), keepAlive: definition(keepAlive) },
      {
        register: (_: object, done: (error: object) => void) => done(refusal()),
        watch: refuse,
        keepAlive: (call: NodeJS.EventEmitter) => call.on('data', () => refuse(call)),
      },
    );
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      ),
    );
    client = new MasterClient({ masters: [`127.0.0.1:${port}`], timeoutMs: boundMs });
    api = new GrpcMasterApi(client);
  });
  after(() => {
    client.close();
    server.forceShutdown();
  });

  /** What a stream ends with. */
  async function end<Message>(open: (events: StreamEvents<Message>) => unknown): Promise<MasterError> {
    let ended: MasterError | undefined;
    open({ message: () => assert.fail('it was not refused'), ended: (error) => (ended = error) });
    await until('the stream ends', boundMs, () => holds(ended !== undefined));
    return ended ?? assert.fail();
  }

  for (const [given, kind] of [
    ['aborted', 'aborted'],
    ['not-found', 'aborted'],
    ['already-exists', 'refused'],
    ['failed-precondition', 'refused'],
    ['invalid-argument', 'invalid'],
    ['overloaded', 'overloaded'],
    ['resource-exhausted', 'exhausted'],
    ['unavailable', 'unavailable'],
    // None of its cluster's masters: what the agent holds is still its own, and another one may be.
    ['other-incarnation', 'unavailable'],
  ] as const) {
    it(`is ${kind} for ${given}, from a call and from a stream`, async () => {
      reason = given;
      const called = api.register({}).then(
        () => assert.fail('it was not refused'),
        (error: MasterError) => error,
      );
      assert.equal((await called).kind, kind);
      assert.equal((await end((events) => api.watch({}, events))).kind, kind);
      assert.equal((await end((events) => api.keepAlive(events).send({}))).kind, kind);
    });
  }
});

describe('a stream to a master with which no handshake comes about', () => {
  it('ends with the cause, which is looked for once', async () => {
    const server = createServer((socket) => socket.destroy());
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    let asked = 0;
    const explain = (): Promise<string> => {
      asked += 1;
      return Promise.resolve('it is of another authority');
    };
    const client = new MasterClient({ masters: [`127.0.0.1:${address.port}`], explain });
    const api = new GrpcMasterApi(client);
    for (let turn = 0; turn < 2; turn++) {
      let ended: MasterError | undefined;
      const events = { message: () => assert.fail('nothing answers'), ended: (error: MasterError) => (ended = error) };
      const stream = api.keepAlive(events);
      stream.send({ agentId: 'a', instanceId: 'i', epoch: 1 });
      await until('the stream ends', boundMs, () => holds(ended !== undefined));
      assert.equal(ended?.message, 'it is of another authority');
      assert.equal(ended?.kind, 'unavailable');
    }
    assert.equal(asked, 1);
    client.close();
    server.close();
  });
});
