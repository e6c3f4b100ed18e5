import assert from 'node:assert/strict';
import type { ClientReadableStream, ServiceError } from '@grpc/grpc-js';
import { status } from '@grpc/grpc-js';
import { agentService } from '#api/services.js';
import { TestMasters } from '#master/testing/test-masters.js';
import { TestWatcher } from '#master/testing/test-watcher.js';
import { until } from '#master/testing/until.js';
import type { sublet } from '#proto/sublet.js';

/** Feeds what a stream brings to a watcher's copy. */
function follow(stream: ClientReadableStream<sublet.v1.WatchResponse>, watcher: TestWatcher): { ended?: ServiceError } {
  const end: { ended?: ServiceError } = {};
  stream.on('data', (response: sublet.v1.WatchResponse) =>
    watcher.take(agentService.watch.response.encode(response).finish()),
  );
  stream.on('error', (error: ServiceError) => {
    end.ended = error;
  });
  return end;
}

function watchFrom(
  masters: TestMasters,
  at: number,
  watcher: TestWatcher,
): ClientReadableStream<sublet.v1.WatchResponse> {
  const { clusterId, revision: fromRevision, branch } = watcher;
  return masters.client(at).serverStream(agentService.watch, { clusterId, fromRevision, branch });
}

describe('a watch stream', () => {
  it('brings the plan and its changes, at any master, and resumes at another', async () => {
    await using masters = await TestMasters.start({ count: 3 });
    await masters.register('agent-1');
    const first = new TestWatcher();
    const stream = watchFrom(masters, 1, first);
    follow(stream, first);
    await until('the first agent is seen', () => first.agents.size === 1);
    await masters.register('agent-2', {}, 2);
    await until('the second agent is seen', () => first.agents.size === 2);
    stream.cancel();
    await until('the hub has forgotten it', () => masters.master(1).services.hub.size === 0);
    masters.cluster.elect(2);
    await masters.register('agent-3', {}, 2);
    const second = TestWatcher.resume(first);
    follow(watchFrom(masters, 2, second), second);
    await until('the third agent is seen', () => second.agents.size === 3);
    assert.equal(second.snapshots, 0);
    second.assertSameAs(masters.master(2).machine, { repeated: true });
  });

  it('is ended when the master stops, so that its agent turns to another', async () => {
    await using masters = await TestMasters.start();
    const watcher = new TestWatcher();
    const end = follow(watchFrom(masters, 0, watcher), watcher);
    await until('it has begun', () => watcher.snapshots === 1);
    masters.master(0).services.endStreams();
    await until('it has ended', () => end.ended !== undefined);
    assert.equal(end.ended?.code, status.UNAVAILABLE);
    assert.match(end.ended?.details ?? '', /is stopping/);
  });

  it('is refused while the plan is not loaded', async () => {
    await using masters = await TestMasters.start();
    masters.master(0).services.close('this master is starting');
    const watcher = new TestWatcher();
    const end = follow(watchFrom(masters, 0, watcher), watcher);
    await until('it is refused', () => end.ended !== undefined);
    assert.equal(end.ended?.code, status.UNAVAILABLE);
    assert.equal(watcher.messages.length, 0);
  });
});

describe('a keep-alive stream', () => {
  it('is answered at a follower by the leader’s account', async () => {
    await using masters = await TestMasters.start({ count: 2, settings: { reclaimMs: 60_000 } });
    const { lease } = await masters.register('agent-1');
    const { office } = masters.master(0).services;
    assert.equal(office.counted, 0);
    const stream = masters.client(1).bidiStream(agentService.keepAlive);
    const answers: sublet.v1.KeepAliveResponse[] = [];
    stream.on('data', (answer: sublet.v1.KeepAliveResponse) => answers.push(answer));
    stream.on('error', () => undefined); // It is cancelled at the end.
    const keepAlive = { agentId: 'agent-1', instanceId: 'agent-1-1', epoch: lease?.epoch ?? 0 };
    stream.write(keepAlive);
    stream.write(keepAlive);
    await until('both are answered', () => answers.length === 2);
    assert.equal(office.counted, 2);
    assert.equal(answers[0]?.ttlLeftMs, 60_000);
    assert.equal(answers[0]?.nextInMs, 10_000);
    assert.equal(masters.commands.length, 2, 'nothing of it is logged');
    stream.cancel();
    const { admission } = masters.master(1).services;
    await until('it is over', () => admission.total.streams === 0);
  });

  it('of a follower goes on through a change of the leader', async () => {
    await using masters = await TestMasters.start({ count: 3 });
    const { lease } = await masters.register('agent-1');
    const stream = masters.client(1).bidiStream(agentService.keepAlive);
    let answers = 0;
    stream.on('data', () => {
      answers += 1;
    });
    const errors: Error[] = [];
    stream.on('error', (error: Error) => errors.push(error));
    const keepAlive = { agentId: 'agent-1', instanceId: 'agent-1-1', epoch: lease?.epoch ?? 0 };
    stream.write(keepAlive);
    await until('it is answered', () => answers === 1);
    masters.cluster.elect(undefined);
    stream.write(keepAlive);
    await until('it waits for a leader', () => masters.master(1).services.leadership.waiting === 1);
    masters.cluster.elect(2);
    await until('it is answered by the next leader', () => answers === 2);
    assert.equal(masters.master(2).services.office.counted, 1);
    assert.deepEqual(errors, []);
    stream.cancel();
  });

  it('shares one message a second to the leader with all others of its master', async () => {
    await using masters = await TestMasters.start({ count: 2 });
    const leader = masters.master(0).member;
    const streams = await Promise.all(
      Array.from({ length: 20 }, async (_, at) => {
        const agentId = `agent-${at}`;
        const { lease } = await masters.register(agentId);
        return { agentId, instanceId: `${agentId}-1`, epoch: lease?.epoch ?? 0 };
      }),
    );
    const client = masters.client(1);
    let answers = 0;
    const before = leader.barriers;
    for (const keepAlive of streams) {
      const stream = client.bidiStream(agentService.keepAlive);
      stream.on('data', () => {
        answers += 1;
      });
      stream.on('error', () => undefined); // They end with the masters.
      stream.write(keepAlive);
    }
    await until('all are answered', () => answers === streams.length);
    // One round for the first caller, one for all the others.
    assert.ok(leader.barriers - before <= 2, `${leader.barriers - before} rounds`);
  });

  it('is ended when the master stops, so that its agent turns to another', async () => {
    await using masters = await TestMasters.start();
    const stream = masters.client().bidiStream(agentService.keepAlive);
    let ended: ServiceError | undefined;
    stream.on('data', () => undefined);
    stream.on('error', (error: ServiceError) => {
      ended = error;
    });
    const { services } = masters.master(0);
    await until('it is open', () => services.admission.total.streams === 1);
    services.endStreams();
    await until('it has ended', () => ended !== undefined);
    assert.equal(ended?.code, status.UNAVAILABLE);
  });
});
