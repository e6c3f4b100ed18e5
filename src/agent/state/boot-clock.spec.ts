import assert from 'node:assert/strict';
import { CheckedBootClock, hasOwnUptime, startOf, systemBootClock } from '#agent/state/boot-clock.js';

describe('The boot clock', () => {
  /** ms; the uptime has a resolution of 10 ms. */
  let monotonicMs: number;
  let uptimeMs: number;
  let clock: CheckedBootClock;

  beforeEach(() => {
    monotonicMs = 500;
    uptimeMs = 100_000_000;
    clock = new CheckedBootClock({
      bootId: 'boot',
      uptimeMs: () => Math.floor(uptimeMs / 10) * 10,
      monotonicMs: () => monotonicMs,
    });
  });

  function pass(ms: number): void {
    monotonicMs += ms;
    uptimeMs += ms;
  }

  const near = (expectedMs: number): void => {
    const now = clock.now();
    assert.ok(Math.abs(now - expectedMs) <= 10, `${now} ms is not within 10 ms of ${expectedMs} ms`);
  };

  it('is the uptime', () => {
    near(100_000_000);
    pass(86_400_000);
    near(186_400_000);
  });

  it('counts what the host slept', () => {
    uptimeMs += 3_600_000;
    near(103_600_000);
    pass(1_000);
    near(103_601_000);
  });

  it('does not run fast because the uptime has a coarse resolution', () => {
    for (let step = 0; step < 100_000; step++) {
      pass(0.3);
      clock.now();
    }
    near(100_030_000);
  });

  it('goes on when the uptime goes back, and counts sleep from there', () => {
    pass(5_000);
    near(100_005_000);
    uptimeMs = 5_000;
    near(100_005_000);
    pass(60_000);
    near(100_065_000);
    uptimeMs += 600_000;
    near(100_665_000);
  });

  it('goes on when the uptime stands still, and counts sleep from there', () => {
    for (let step = 0; step < 100; step++) {
      monotonicMs += 500;
      clock.now();
    }
    near(100_050_000);
    pass(1_000);
    uptimeMs += 600_000;
    const now = clock.now();
    assert.ok(now >= 100_651_000 - 1_010, `${now}`);
  });

  it('never goes back, whatever the uptime does', () => {
    let before = clock.now();
    for (const jump of [-100_000_000, 40_000, -3, 900, -900, -2_000, 86_400_000, -86_400_000]) {
      uptimeMs += jump;
      monotonicMs += 7;
      const now = clock.now();
      assert.ok(now >= before + 7, `${jump}: ${now} after ${before}`);
      before = now;
    }
  });

  it('of this system moves with the time', () => {
    const { bootId, ...rest } = { bootId: systemBootClock().bootId, now: systemBootClock().now() };
    assert.ok(bootId.length > 0);
    assert.ok(rest.now > 0);
  });

  it('knows a container by what is mounted over its uptime', () => {
    const proc = '23 28 0:21 / /proc rw,nosuid shared:12 - proc proc rw';
    const lxcfs = '812 790 0:50 /proc/uptime /proc/uptime rw,nosuid - fuse.lxcfs lxcfs rw';
    assert.equal(hasOwnUptime(`${proc}\n`), false);
    assert.equal(hasOwnUptime(`${proc}\n812 790 0:50 /proc/uptime /mnt/uptime rw - fuse.lxcfs lxcfs rw\n`), false);
    assert.equal(hasOwnUptime(`${proc}\n${lxcfs}\n`), true);
  });

  it('reads when a process began, whatever its name', () => {
    const fields = Array.from({ length: 50 }, (_, at) => String(at + 3));
    assert.equal(startOf(`1 (a) b (c)) ${fields.join(' ')}\n`), '22');
  });
});
