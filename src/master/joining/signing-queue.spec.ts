import assert from 'node:assert/strict';
import { RefusedError } from '#api/refusal.js';
import { SigningQueue, signaturesPerSecond, signingQueueMax } from '#master/joining/signing-queue.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';

describe('the turns to sign', () => {
  it('come 50 times a second, in order, at once after a pause', async () => {
    const time = new VirtualTime();
    const queue = new SigningQueue(time);
    const served: number[] = [];
    for (let at = 0; at < 3; at++) void queue.turn().then(() => served.push(at));
    await settled();
    assert.deepEqual(served, [0]);
    await time.runFor(1_000 / signaturesPerSecond);
    assert.deepEqual(served, [0, 1]);
    await time.runFor(1_000);
    assert.deepEqual(served, [0, 1, 2]);
    void queue.turn().then(() => served.push(3));
    await settled();
    assert.deepEqual(served, [0, 1, 2, 3]);
  });

  it('are refused beyond the bound, and there is room again as the queue moves', async () => {
    const time = new VirtualTime();
    const queue = new SigningQueue(time);
    for (let at = 0; at <= signingQueueMax; at++) void queue.turn();
    await assert.rejects(queue.turn(), (error) => error instanceof RefusedError && error.reason === 'overloaded');
    await time.runFor(1_000);
    void queue.turn();
  });
});

function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
