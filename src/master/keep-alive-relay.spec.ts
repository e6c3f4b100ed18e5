import assert from 'node:assert/strict';
import { parseAgentId } from '#ipam/identity.js';
import { Admission, defaultAdmissionLimits } from '#master/access/admission.js';
import { forwardMethods } from '#master/forward/forward-method.js';
import { KeepAliveService } from '#master/leases/keep-alive-service.js';
import { memberId } from '#raft/log/entry.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';
import { byAddress } from '#tls/caller.js';

/** A follower, and what it has passed on to its leader, which answers at once. */
function follower() {
  const time = new VirtualTime();
  const passed: { readonly atMs: number; readonly count: number }[] = [];
  const { request, response } = forwardMethods.keepAlives;
  const service = new KeepAliveService({
    office: {
      keepAlive: () => assert.fail('a follower judges no keep-alive'),
      streams: () => assert.fail('a follower judges no stream'),
    },
    via: 'm2-1',
    leadership: {
      onChange: () => () => undefined,
      seat: { kind: 'member', member: { id: memberId(1), name: 'm1', peer: 'm1:7071', storeId: '' } },
    },
    router: {
      serve: async (_, bytes) => {
        const { keepAlives } = request.decode(bytes);
        passed.push({ atMs: time.now(), count: keepAlives.length });
        const results = keepAlives.map(({ epoch }) =>
          epoch === 1 ? { response: { nextInMs: 10_000, revision: 7 } } : { reason: 'aborted', message: 'stale' },
        );
        return Buffer.from(response.encode({ results }).finish());
      },
    },
    plan: { clusterId: 'test', incarnation: '' },
    admission: new Admission(defaultAdmissionLimits),
    clock: time,
    foreign: () => undefined,
    report: (error) => assert.fail(String(error)),
  });
  const keepAlive = (number: number, epoch = 1) =>
    service.keepAlive(
      { agentId: parseAgentId(`a${number}`), instanceId: 'i', epoch },
      service.open(byAddress('10.0.0.1:4000')),
    );
  return { time, passed, keepAlive };
}

describe('keep-alives: a follower passes them on', () => {
  it('in one batch per second, however steadily they come', async () => {
    const { time, passed, keepAlive } = follower();
    const answers: Promise<unknown>[] = [];
    for (let at = 0; at < 100; at++) {
      answers.push(keepAlive(at));
      await time.runFor(100);
    }
    await time.until(Promise.all(answers), 2_000);
    assert.deepEqual(
      passed.map(({ atMs }) => atMs),
      Array.from({ length: 11 }, (_, second) => second * 1_000),
    );
    assert.equal(
      passed.reduce((sum, { count }) => sum + count, 0),
      100,
    );
  });

  it('in messages of 4,096 at most', async () => {
    const { time, passed, keepAlive } = follower();
    const answers = Promise.all(Array.from({ length: 10_000 }, (_, at) => keepAlive(at)));
    await time.until(answers, 2_000);
    assert.deepEqual(
      passed.map(({ count }) => count),
      [4_096, 4_096, 1_808],
    );
  });

  it('and pass to each agent what the leader answered it', async () => {
    const { time, keepAlive } = follower();
    const answers = Promise.allSettled([keepAlive(1), keepAlive(2, 5), keepAlive(3)]);
    const outcomes = await time.until(answers, 2_000);
    assert.deepEqual(
      outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value.revision : outcome.reason.message)),
      [7, 'stale', 7],
    );
  });
});
