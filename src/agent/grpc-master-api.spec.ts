import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import { GrpcMasterApi } from '#agent/grpc-master-api.js';
import type { MasterError, StreamEvents } from '#agent/master-api.js';
import { grant } from '#agent/testing/fake-masters.js';
import { type MasterScript, masterApiContract } from '#agent/testing/master-api-contract.js';
import { refusalMetadata } from '#api/error-info.js';
import { MasterClient } from '#api/master-client.js';
import { definition } from '#api/method.js';
import { type RefusalReason, RefusedError } from '#api/refusal.js';
import { agentService } from '#api/services.js';
import { holds, until } from '#cluster-test/process/condition.js';
import type { sublet } from '#proto/sublet.js';

const boundMs = 10_000;

type Stream = NodeJS.EventEmitter & { write(message: object): void };
type Done = sendUnaryData<object>;

/** A master that answers by a script. */
class ScriptedMaster {
  readonly #server = new Server();
  script: MasterScript | undefined;

  constructor() {
    const { register, reportStatus, leave, watch, keepAlive } = agentService;
    this.#server.addService(
      {
        register: definition(register),
        reportStatus: definition(reportStatus),
        leave: definition(leave),
        watch: definition(watch),
        keepAlive: definition(keepAlive),
      },
      {
        register: ({ request }: ServerUnaryCall<sublet.v1.RegisterRequest.$Properties, object>, done: Done) => {
          const refused = new RefusedError('already-exists', 'it is held');
          const { code, message: details } = refused;
          if (this.script?.refuses) done({ code, details, metadata: refusalMetadata(refused) });
          else done(null, grant(request));
        },
        reportStatus: (_: object, done: Done) => done(null, {}),
        leave: (_: object, done: Done) => done(null, {}),
        watch: (call: Stream) => {
          for (const message of this.script?.watched ?? []) call.write(message);
        },
        keepAlive: (call: Stream) => call.on('data', () => call.write(this.script?.keptAlive ?? {})),
      },
    );
  }

  listen(): Promise<number> {
    return new Promise((resolve, reject) =>
      this.#server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(error) : resolve(port),
      ),
    );
  }

  stop(): void {
    this.#server.forceShutdown();
  }
}

describe('the masters over gRPC', () => {
  for (const { name, check } of masterApiContract) {
    it(name, async () => {
      const masters = [new ScriptedMaster(), new ScriptedMaster()];
      const ports = await Promise.all(masters.map((master) => master.listen()));
      const client = new MasterClient({ masters: ports.map((port) => `127.0.0.1:${port}`), timeoutMs: boundMs });
      const goDown = (): void => {
        for (const master of masters) master.stop();
      };
      try {
        await check({
          api: new GrpcMasterApi(client),
          play: (script) => {
            for (const master of masters) master.script = script;
          },
          goDown,
          until: async (what, met) => void (await until(what, boundMs, () => holds(met()))),
        });
      } finally {
        client.close();
        goDown();
      }
    });
  }
});

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
