import assert from 'node:assert/strict';
import { SerialQueue } from '#storage/serial-queue.js';

describe('serial queue', () => {
  it('begins within the call when nothing is before, and else in the order asked for, one at a time', async () => {
    const queue = new SerialQueue(10);
    const told: string[] = [];
    const piece = (name: string) => async (): Promise<string> => {
      told.push(`${name} begins`);
      await new Promise((resolve) => setImmediate(resolve));
      told.push(`${name} ends`);
      return name;
    };
    const first = queue.run(piece('a'));
    assert.deepEqual(told, ['a begins']);
    const rest = [queue.run(piece('b')), queue.run(piece('c'))];
    assert.deepEqual(told, ['a begins']);
    assert.deepEqual(await Promise.all([first, ...rest]), ['a', 'b', 'c']);
    assert.deepEqual(told, ['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
    // When a piece of work has ended, the queue is idle.
    const again = queue.run(piece('d'));
    assert.equal(told.at(-1), 'd begins');
    await again;
    await queue.idle();
  });

  it('goes on after a piece that failed, which only its asker hears of', async () => {
    const queue = new SerialQueue(10);
    const failed = queue.run(() => Promise.reject(new Error('broken')));
    const next = queue.run(() => Promise.resolve('whole'));
    await assert.rejects(failed, /broken/);
    assert.equal(await next, 'whole');
  });

  it('refuses more than may wait', async () => {
    const queue = new SerialQueue(2);
    const pieces = [1, 2, 3].map((piece) => queue.run(() => Promise.resolve(piece)));
    const outcomes = await Promise.allSettled(pieces);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'fulfilled', 'rejected'],
    );
  });
});
