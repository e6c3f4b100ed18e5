import assert from 'node:assert/strict';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { reasonOf } from '#api/error-info.js';
import { isServiceError, type MasterClient } from '#api/master-client.js';
import { agentService, clusterService } from '#api/services.js';
import { until as untilSeen } from '#cluster-test/process/condition.js';
import { silentLog } from '#master/master-log.js';
import { refusal } from '#master/testing/refusal.js';
import { TestMasters } from '#master/testing/test-masters.js';
import { until } from '#master/testing/until.js';
import type { sublet } from '#proto/sublet.js';

/** Below the 15 s after which the leader forgets a stream that it hears no more of. */
const forgottenMs = 10_000;

type Stream = ClientDuplexStream<sublet.v1.KeepAliveRequest.$Properties, sublet.v1.KeepAliveResponse>;

/** A keep-alive stream as a caller of its own makes it, with or without a run_id. */
class RawStream {
  readonly answers: sublet.v1.KeepAliveResponse[] = [];
  error: Error | undefined;
  readonly #stream: Stream;
  readonly #request: sublet.v1.KeepAliveRequest.$Properties;

  constructor(client: MasterClient, request: sublet.v1.KeepAliveRequest.$Properties) {
    this.#request = request;
    this.#stream = client.bidiStream(agentService.keepAlive);
    this.#stream.on('data', (answer: sublet.v1.KeepAliveResponse) => this.answers.push(answer));
    this.#stream.on('error', (error: Error) => {
      this.error ??= error;
    });
    this.send();
  }

  send(): void {
    this.#stream.write(this.#request);
  }

  close(): void {
    this.#stream.cancel();
  }

  get reason(): string | undefined {
    return isServiceError(this.error) ? reasonOf(this.error) : undefined;
  }

  answered(count = 1): Promise<void> {
    return until(`${count} answers`, () => this.answers.length >= count);
  }

  refused(): Promise<void> {
    return until('the stream is refused', () => this.error !== undefined);
  }
}

function register(client: MasterClient, agentId: string, sequence: number, nodeIp: string, runId = '') {
  return client.call(
    agentService.register,
    { agentId, instanceId: 'i', sequence, nodeIp, runId },
    { idempotent: true },
  );
}

async function warnings(masters: TestMasters, at: number): Promise<readonly string[]> {
  const status = await masters.client(at).call(clusterService.getStatus, {}, { idempotent: true });
  return status.warnings.map(({ message }) => message ?? '').filter((message) => message.includes('two processes'));
}

describe('one lease, two callers without a run_id', () => {
  it('on one connection: the second keep-alive is refused, and both addresses are named in status and log', async () => {
    const logged: object[] = [];
    const logger = { ...silentLog, warn: (details: object) => void logged.push(details) };
    await using masters = await TestMasters.start({ count: 2, logger });
    const client = masters.client();
    const { lease } = await register(client, 'h', 5, '10.0.0.1');
    const keepAlive = { agentId: 'h', instanceId: 'i', epoch: lease?.epoch ?? 0 };
    const first = new RawStream(client, keepAlive);
    await first.answered();
    assert.equal(first.answers[0]?.nodeIp, '10.0.0.1');
    await register(client, 'h', 6, '10.0.0.2');
    const second = new RawStream(client, keepAlive);
    await second.refused();
    assert.equal(second.reason, 'held-elsewhere');
    first.send();
    await first.answered(2);
    assert.equal(first.answers[1]?.nodeIp, '10.0.0.2', 'it sees that its address is another one');
    for (const at of [0, 1]) {
      const [warning = ''] = await warnings(masters, at);
      assert.match(warning, /agent h: two processes ask for its lease: one at 10\.0\.0\.1 .*one at 10\.0\.0\.2 /);
    }
    assert.match(JSON.stringify(logged), /10\.0\.0\.1.*10\.0\.0\.2/);
    first.close();
  });

  it('on two connections: the second registration is refused, and changes nothing', async () => {
    await using masters = await TestMasters.start();
    const client = masters.client();
    const { lease } = await register(client, 'h', 5, '10.0.0.1');
    const first = new RawStream(client, { agentId: 'h', instanceId: 'i', epoch: lease?.epoch ?? 0 });
    await first.answered();
    const other = masters.client();
    const refused = await refusal(register(other, 'h', 6, '10.0.0.2'));
    assert.equal(refused.reason, 'held-elsewhere');
    assert.match(refused.message, /10\.0\.0\.2 .*10\.0\.0\.1 /);
    first.send();
    await first.answered(2);
    assert.equal(first.answers[1]?.nodeIp, '10.0.0.1');
    // The first one goes on with the next sequence, and may change its address.
    assert.equal((await register(client, 'h', 6, '10.0.0.9')).agent?.nodeIp, '10.0.0.9');
    first.close();
  });
});

describe('a keep-alive stream at a follower', () => {
  it('that is closed is known to the leader at once, so that a process that starts anew does not wait', async () => {
    await using masters = await TestMasters.start({ count: 2 });
    const client = masters.client(1);
    const { lease } = await register(client, 'h', 1, '10.0.0.1', 'r1');
    const stream = new RawStream(client, { agentId: 'h', instanceId: 'i', epoch: lease?.epoch ?? 0, runId: 'r1' });
    await stream.answered();
    assert.equal((await refusal(register(client, 'h', 2, '10.0.0.1', 'r2'))).reason, 'held-elsewhere');
    stream.close();
    // The request that is refused changes nothing, so it can be sent until it is not.
    await untilSeen('the next process is registered', forgottenMs, () => register(client, 'h', 2, '10.0.0.1', 'r2'));
  });

  it('keeps a copy of its process from giving the lease back', async () => {
    await using masters = await TestMasters.start({ count: 2 });
    const client = masters.client(1);
    const { lease } = await register(client, 'h', 1, '10.0.0.1', 'r1');
    const key = { agentId: 'h', instanceId: 'i', epoch: lease?.epoch ?? 0 };
    const stream = new RawStream(client, { ...key, runId: 'r1' });
    await stream.answered();
    const leave = (runId: string) => masters.client().call(agentService.leave, { ...key, runId }, { idempotent: true });
    assert.equal((await refusal(leave('r2'))).reason, 'held-elsewhere');
    stream.send();
    await stream.answered(2);
    await leave('r1');
    stream.close();
  });

  it('is reported to a new leader, which accepts no other process for it', async () => {
    await using masters = await TestMasters.start({ count: 3 });
    const client = masters.client(2);
    const { lease } = await register(client, 'h', 1, '10.0.0.1');
    const keepAlive = { agentId: 'h', instanceId: 'i', epoch: lease?.epoch ?? 0 };
    const stream = new RawStream(client, keepAlive);
    await stream.answered();
    masters.cluster.elect(1);
    const { processes } = masters.master(1).services.office;
    await until('the new leader knows the stream', () => processes.known > 0);
    const second = new RawStream(masters.client(1), keepAlive);
    await second.refused();
    assert.equal(second.reason, 'held-elsewhere');
    stream.send();
    await stream.answered(2);
    stream.close();
  });
});

describe('node addresses that were shuffled among live hosts', () => {
  it('settle after one round of requests', async () => {
    await using masters = await TestMasters.start();
    const client = masters.client();
    const ids = ['a', 'b', 'c'];
    const streams: RawStream[] = [];
    for (const [at, agentId] of ids.entries()) {
      const { lease } = await register(client, agentId, 1, `10.0.0.${at + 1}`);
      streams.push(new RawStream(client, { agentId, instanceId: 'i', epoch: lease?.epoch ?? 0 }));
    }
    await Promise.all(streams.map((stream) => stream.answered()));
    const ask = (sequence: number) =>
      Promise.all(
        ids.map((agentId, at) =>
          register(client, agentId, sequence, `10.0.0.${((at + 1) % 3) + 1}`).catch(() => undefined),
        ),
      );
    await ask(2);
    await ask(3);
    const now = (await ask(4)).map((answer) => answer?.agent?.nodeIp);
    assert.deepEqual(now, ['10.0.0.2', '10.0.0.3', '10.0.0.1']);
    for (const stream of streams) stream.close();
  });

  it('go to no other agent while their holders stay', async () => {
    await using masters = await TestMasters.start();
    const client = masters.client();
    await register(client, 'a', 1, '10.0.0.1');
    await register(client, 'b', 1, '10.0.0.2');
    assert.equal((await refusal(register(client, 'a', 2, '10.0.0.2'))).reason, 'already-exists');
    await register(client, 'a', 3, '10.0.0.1');
    assert.equal(
      (await refusal(register(client, 'b', 2, '10.0.0.1'))).reason,
      'already-exists',
      'it is back at its own',
    );
  });
});
