import assert from 'node:assert/strict';
import { TurnWaits } from '#replica/driver/turn-waits.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';

describe('waiting for something to become true', () => {
  it('ends with the turn after which it is', async () => {
    const time = new VirtualTime();
    const waits = new TurnWaits(time);
    let there = false;
    const wait = waits.until(() => there, 1000);
    waits.check();
    there = true;
    waits.check();
    await wait;
    assert.equal(time.now(), 0);
  });

  it('that has no limit leaves nothing armed, and ends with the turn after which it is', async () => {
    const timers: number[] = [];
    const after = (delayMs: number) => {
      timers.push(delayMs);
      return () => {};
    };
    const waits = new TurnWaits({ now: () => 0, after });
    let there = false;
    let ended = false;
    const wait = waits
      .until(() => there)
      .then(() => {
        ended = true;
      });
    waits.check();
    await new Promise(setImmediate);
    assert.equal(ended, false);
    there = true;
    waits.check();
    await wait;
    assert.deepEqual(timers, []);
  });

  it('is given up after a while, and not looked at any more', async () => {
    const time = new VirtualTime();
    const waits = new TurnWaits(time);
    let looks = 0;
    const wait = waits.until(() => {
      looks += 1;
      return false;
    }, 1000);
    await time.until(wait, 1000);
    const before = looks;
    waits.check();
    assert.equal(looks, before);
  });
});
