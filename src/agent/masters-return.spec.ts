/** A thousand agents, masters that go and come back, and a time that the test owns. */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { awayBackoff } from '#agent/away-backoff.js';
import { answerTimeoutMs, KeepAlive } from '#agent/lease/keep-alive.js';
import { FakeMasters } from '#agent/testing/fake-masters.js';
import { SeededRandom } from '#replica/testing/seeded-random.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';

const agents = 1_000;

describe('agents whose masters come back', () => {
  let time: VirtualTime;
  let seed: number;
  let crowd: FakeMasters[];
  let answeredAt: number[];

  beforeEach(() => {
    time = new VirtualTime();
    seed = randomInt(1, 2 ** 31);
    const chance = new SeededRandom(seed);
    answeredAt = Array.from({ length: agents }, () => -1);
    crowd = answeredAt.map((_, number) => {
      const masters = new FakeMasters(time);
      const keepAlive = new KeepAlive({
        api: masters,
        clock: time,
        bootClock: { bootId: 'boot-1', now: () => time.now() },
        random: () => chance.below(1_000_000) / 1_000_000,
        agents: () => agents,
        answered: () => {
          answeredAt[number] = time.now();
        },
        held: () => assert.fail('nobody else has the lease'),
        fenced: (error) => assert.fail(error),
        refused: (error) => assert.fail(error),
        away: () => {},
      });
      keepAlive.start({ agentId: `agent-${number}`, instanceId: 'instance-1', epoch: 7 });
      return masters;
    });
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.error(`seed ${seed}`);
  });

  const sent = (): number => crowd.reduce((sum, { keepAlives }) => sum + keepAlives.length, 0);
  const setDown = (down: boolean): void => {
    for (const masters of crowd) masters.setDown(down);
  };

  for (const awayMs of [200, 3_000, 60_000]) {
    it(`are all heard within 1.1 s when they were away for ${awayMs} ms`, async () => {
      await time.runFor(5_000);
      setDown(true);
      await time.runFor(awayMs);
      setDown(false);
      const backAt = time.now();
      await time.runFor(1_100);
      // An agent that slept between two keep-alives meanwhile has noticed by the end of its stream.
      assert.equal(answeredAt.filter((at) => at < backAt).length, 0);
    });
  }

  it('do not come back at the same moment', async () => {
    await time.runFor(1_000);
    setDown(true);
    await time.runFor(60_000);
    setDown(false);
    let most = 0;
    for (let window = 0; window < 12; window++) {
      const before = sent();
      await time.runFor(100);
      most = Math.max(most, sent() - before);
    }
    // Waits of up to 1 s bring about a fifth of the agents in the first tenth of a second, and fewer in each that follows.
    assert.ok(most < agents / 3, `${most} in 100 ms`);
  });

  it('leave masters that take calls and do not answer ever longer alone', async () => {
    for (const masters of crowd) masters.onKeepAlive = () => 'silence';
    await time.runFor(60_000);
    const before = sent();
    await time.runFor(120_000);
    // Each waits for its answer and then 4 s on average.
    const expected = (agents * 120_000) / (answerTimeoutMs + 4_000);
    assert.ok(Math.abs(sent() - before - expected) < expected / 10, `${sent() - before}, expected ${expected}`);
  });
});

describe('how long an agent waits for masters that are away', () => {
  it('is the longer the more agents there are, within bounds', () => {
    const capOf = (count: number | undefined): number => awayBackoff(count).capMs;
    assert.deepEqual([3, 5_000, 20_000, 40_000, 65_000].map(capOf), [1_000, 1_000, 4_000, 8_000, 8_000]);
  });

  it('is some seconds at most while it does not know how many there are', () => {
    assert.equal(awayBackoff(undefined).capMs, 5_000);
  });
});
