import assert from 'node:assert/strict';
import { connect } from 'node:http2';
import { Client, type ClientReadableStream, credentials, type ServiceError, status } from '@grpc/grpc-js';
import { reasonOf } from '#api/error-info.js';
import { rawCodecs } from '#master/server/api-server.js';
import { TestMasters } from '#master/testing/test-masters.js';
import { until } from '#master/testing/until.js';

const path = '/grpc.health.v1.Health';
/** A HealthCheckRequest. */
const named = (service: string): Buffer => Buffer.concat([Buffer.from([10, service.length]), Buffer.from(service)]);
/** 40,000 requests, 1.4 MB: many times what a stream's buffers hold. */
const batchesMax = 200;
/** A reader takes a batch in far less. */
const stallMs = 2_000;
const { requestSerialize, responseDeserialize } = rawCodecs;

describe('health and reflection', () => {
  let masters: TestMasters;
  let client: Client;
  afterEach(async () => {
    client.close();
    await masters[Symbol.asyncDispose]();
  });
  async function start(options: Parameters<typeof TestMasters.start>[0] = {}): Promise<void> {
    masters = await TestMasters.start(options);
    client = new Client(masters.master(0).api, credentials.createInsecure());
  }
  const watch = (service: string): ClientReadableStream<Buffer> =>
    client.makeServerStreamRequest(`${path}/Watch`, requestSerialize, responseDeserialize, named(service));
  const endOf = (stream: ClientReadableStream<Buffer>): Promise<ServiceError> =>
    new Promise((resolve) => stream.on('error', resolve).resume());
  const check = (service: string): Promise<Buffer | ServiceError> =>
    new Promise((resolve) =>
      client.makeUnaryRequest(`${path}/Check`, requestSerialize, responseDeserialize, named(service), (error, answer) =>
        resolve(error ?? answer ?? Buffer.alloc(0)),
      ),
    );

  it('sends a watcher each change', async () => {
    await start();
    const { health } = masters.master(0);
    const told: number[] = [];
    const stream = watch('sublet.v1.AgentService').on('data', (message: Buffer) => told.push(message[1] ?? 0));
    const ended = endOf(stream);
    await until('the first status', () => told.length === 1);
    health.serving(true);
    await until('the change', () => told.length === 2);
    assert.deepEqual(told, [2, 1]);
    stream.cancel();
    assert.equal((await ended).code, status.CANCELLED);
    await until('it is forgotten', () => health.watchers === 0);
  });

  it('row 49: keep nothing for names that there are not', async () => {
    await start();
    const ends = await Promise.all(Array.from({ length: 200 }, (_, n) => endOf(watch(`made-up-${n}`))));
    for (const { code, details } of ends) {
      assert.equal(code, status.NOT_FOUND);
      assert.match(details, /there is none of this name; there are: sublet\.v1\.AgentService/);
    }
    assert.equal(masters.master(0).health.watchers, 0);
    const answer = await check('made-up');
    assert.equal(answer instanceof Error && answer.code, status.NOT_FOUND);
  });

  it('row 49: allow one client only so many watches', async () => {
    await start();
    const streams = Array.from({ length: 16 }, () => watch(''));
    const ended = streams.map(endOf);
    await until('all are heard', () => masters.master(0).health.watchers === 16);
    const refused = await endOf(watch(''));
    assert.equal(refused.code, status.RESOURCE_EXHAUSTED);
    assert.match(refused.details, /watches of health of 127\.0\.0\.1: 16, and 16 are allowed/);
    for (const stream of streams) stream.cancel();
    await Promise.all(ended);
    await until('all are forgotten', () => masters.master(0).health.watchers === 0);
    assert.equal(masters.master(0).services.admission.total.streams, 0);
  });

  it('stand behind admission', async () => {
    await start({ limits: { admission: { callsPerClient: 0, calls: 1, streamsPerClient: 0, streams: 1 } } });
    const checked = await check('');
    assert.equal(checked instanceof Error && reasonOf(checked), 'overloaded');
    assert.equal(reasonOf(await endOf(watch(''))), 'overloaded');
    const reflection = client.makeBidiStreamRequest(
      '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
      requestSerialize,
      responseDeserialize,
    );
    assert.equal(reasonOf(await endOf(reflection)), 'overloaded');
  });

  it('row 50: are read no further while answers are not taken', async () => {
    await start();
    const { services, api } = masters.master(0);
    // A client that takes one byte of an answer.
    const session = connect(`http://${api}`, { settings: { initialWindowSize: 1 } });
    const stream = session.request({
      ':method': 'POST',
      ':path': '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.on('error', () => undefined).pause();
    // file_containing_symbol (4), whose answer is some kilobytes.
    const symbol = 'sublet.v1.OperatorService';
    const length = symbol.length + 2;
    const request = Buffer.concat([Buffer.from([0, 0, 0, 0, length, 34, symbol.length]), Buffer.from(symbol)]);
    const batch = Buffer.concat(Array.from({ length: 200 }, () => request));
    let isRead = true;
    for (let batches = 0; batches < batchesMax && isRead; batches++) {
      if (stream.write(batch)) continue;
      let timer: NodeJS.Timeout | undefined;
      isRead = await Promise.race([
        new Promise<boolean>((resolve) => stream.once('drain', () => resolve(true))),
        new Promise<boolean>((resolve) => {
          timer = setTimeout(resolve, stallMs, false);
        }),
      ]);
      clearTimeout(timer);
    }
    assert.equal(isRead, false, 'it goes on reading though nothing is taken');
    assert.equal(services.admission.total.streams, 1);
    session.destroy();
    await until('it is forgotten', () => services.admission.total.streams === 0);
  });
});
