import assert from 'node:assert/strict';
import { Ticker } from '#replica/ticker.js';

/** A clock and an event loop that are moved by hand. */
class Loop {
  nowMs = 0;
  readonly gaps: number[] = [];
  timer: { readonly atMs: number; readonly run: () => void } | undefined;
  deferred: (() => void) | undefined;
  readonly ticker = new Ticker(
    {
      now: () => this.nowMs,
      after: (delayMs, run) => {
        this.timer = { atMs: this.nowMs + delayMs, run };
        return () => {
          this.timer = undefined;
        };
      },
    },
    (run) => {
      this.deferred = run;
    },
    100,
    (gapMs) => this.gaps.push(gapMs),
  );

  /** The timer fires, `lateMs` after it was due. */
  fire(lateMs = 0): void {
    const { timer } = this;
    if (timer === undefined) throw new Error('no timer');
    this.nowMs = timer.atMs + lateMs;
    this.timer = undefined;
    timer.run();
  }

  /** What had arrived is taken in. */
  drain(): void {
    const { deferred } = this;
    this.deferred = undefined;
    deferred?.();
  }
}

describe('ticker', () => {
  it('counts a tick only after what had arrived was taken in', () => {
    const loop = new Loop();
    loop.ticker.start();
    loop.fire();
    assert.deepEqual(loop.gaps, []);
    loop.drain();
    assert.deepEqual(loop.gaps, [100]);
  });

  it('counts one tick after a stall, however long it was, and returns how long', () => {
    const loop = new Loop();
    loop.ticker.start();
    loop.fire(5000);
    loop.drain();
    assert.deepEqual(loop.gaps, [5100]);
    assert.equal(loop.timer?.atMs, 5200);
  });

  it('keeps its rhythm when the clock is a little late', () => {
    const loop = new Loop();
    loop.ticker.start();
    for (let tick = 0; tick < 10; tick += 1) {
      loop.fire(7);
      loop.drain();
    }
    assert.ok(loop.nowMs <= 1010, `${loop.nowMs} ms for 10 ticks`);
  });

  it('is silent once stopped', () => {
    const loop = new Loop();
    loop.ticker.start();
    loop.fire();
    loop.ticker.stop();
    loop.drain();
    assert.deepEqual([loop.gaps, loop.timer], [[], undefined]);
  });
});
