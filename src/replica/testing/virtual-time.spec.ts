/** Time that a test owns: it must move on whatever is asked of it, and say so when it can't. */
import assert from 'node:assert/strict';
import { clockContract } from '#replica/contracts/clock-contract.js';
import { TimeStandsStill, VirtualTime } from '#replica/testing/virtual-time.js';

/** Late enough that 10^-11 ms are less than what a double tells apart. */
const lateMs = 132_358.350_794_438_9;

describe('virtual time', () => {
  for (const { name, run } of clockContract(async () => {
    const clock = new VirtualTime();
    return { clock, pass: (ms) => clock.runFor(ms) };
  })) {
    it(name, run);
  }

  it('moves on by the smallest delay above none, so that a rest left by rounding is waited out', async () => {
    const time = new VirtualTime();
    const seen: number[] = [];
    time.after(lateMs, () => {
      time.after(1e-11, () => seen.push(time.now()));
    });
    await time.work(() => seen.length === 0);
    const [at] = seen;
    assert.ok(at !== undefined && at > lateMs && at < lateMs + 0.001, String(at));
  });

  it('keeps what has no delay at the same instant, in order', async () => {
    const time = new VirtualTime();
    const seen: string[] = [];
    time.after(0, () => {
      time.after(1e-11, () => seen.push(`later ${time.now() > 0}`));
      time.after(0, () => seen.push(`second ${time.now()}`));
      seen.push(`first ${time.now()}`);
    });
    await time.work(() => seen.length < 3);
    assert.deepEqual(seen, ['first 0', 'second 0', 'later true']);
  });

  for (const [how, drive] of [
    ['working', (time: VirtualTime) => time.work(() => time.events < 30_000)],
    ['running for a while', (time: VirtualTime) => time.runFor(1)],
  ] as const) {
    it(`ends a loop at one instant while ${how}`, async () => {
      const time = new VirtualTime();
      const again = (): void => {
        time.after(0, again);
      };
      again();
      await assert.rejects(drive(time), TimeStandsStill);
      assert.equal(time.now(), 0);
    });
  }
});
