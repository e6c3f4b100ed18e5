import assert from 'node:assert/strict';
import { systemClock } from '#replica/ports/system-clock.js';

describe('the clock of a real process', () => {
  it('does not take a wait of a month for one that is over at once', async () => {
    let over = false;
    const cancel = systemClock.after(31 * 24 * 3600 * 1000, () => {
      over = true;
    });
    // A timer that is due earlier runs earlier: after this one, one of a ms would have run.
    await new Promise<void>((resolve) => systemClock.after(20, resolve));
    cancel();
    assert.equal(over, false);
  });

  it('calls once, unless it is cancelled', async () => {
    const calls: string[] = [];
    const cancel = systemClock.after(1, () => calls.push('cancelled'));
    cancel();
    systemClock.after(1, () => calls.push('called'));
    await new Promise<void>((resolve) => systemClock.after(20, resolve));
    cancel();
    assert.deepEqual(calls, ['called']);
  });
});
