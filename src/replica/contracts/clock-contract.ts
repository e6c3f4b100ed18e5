/** What every `Clock` does. */
import assert from 'node:assert/strict';
import { type ContractCase, contractCase } from '#replica/contracts/contract.js';
import type { Clock } from '#replica/ports/clock.js';

/** `pass` resolves once at least `ms` have passed on the clock, and what was due by then has run. */
export type ContractClock = { readonly clock: Clock; readonly pass: (ms: number) => Promise<void> };

/** A system counts the delays of its timers in whole ms, and `now` does not: so much earlier a timer may run. */
const earlyMaxMs = 1;

/** The delays are a few ms, so that the clock of a machine passes them soon. */
export function clockContract(make: () => Promise<ContractClock>): readonly ContractCase[] {
  const clockCase = (name: string, check: (subject: ContractClock) => Promise<void>): ContractCase =>
    contractCase(async () => ({ value: await make() }), name, check);
  return [
    clockCase('goes on, and never back', async ({ clock, pass }) => {
      let before = clock.now();
      for (const ms of [1, 5, 2]) {
        await pass(ms);
        const now = clock.now();
        assert.ok(now >= before + ms, `${ms} ms passed from ${before} to ${now}`);
        before = now;
      }
    }),
    clockCase('runs a timer once, after its delay', async ({ clock, pass }) => {
      const began = clock.now();
      const ran: number[] = [];
      clock.after(5, () => ran.push(clock.now() - began));
      await pass(6);
      await pass(20);
      assert.equal(ran.length, 1);
      assert.ok(
        ran.every((ms) => ms > 5 - earlyMaxMs),
        `after ${ran.join()} ms`,
      );
    }),
    clockCase('runs nothing within the call that asks for it, without a delay either', async ({ clock, pass }) => {
      let ran = 0;
      clock.after(0, () => {
        ran += 1;
      });
      assert.equal(ran, 0);
      await pass(2);
      assert.equal(ran, 1);
    }),
    clockCase('runs timers in order of time, and of arrival at equal delays', async ({ clock, pass }) => {
      const ran: string[] = [];
      for (const [name, ms] of [
        ['late', 9],
        ['first', 3],
        ['second', 3],
        ['third', 3],
        ['middle', 6],
      ] as const) {
        clock.after(ms, () => ran.push(name));
      }
      await pass(12);
      assert.deepEqual(ran, ['first', 'second', 'third', 'middle', 'late']);
    }),
    clockCase('does not run a timer that was cancelled, by another that is due with it either', async (subject) => {
      const { clock, pass } = subject;
      const ran: string[] = [];
      clock.after(2, () => ran.push('cancelled at once'))();
      clock.after(3, () => {
        ran.push('cancels');
        cancel();
      });
      const cancel = clock.after(3, () => ran.push('cancelled'));
      await pass(10);
      assert.deepEqual(ran, ['cancels']);
    }),
    clockCase('does nothing when a timer is cancelled that has run, or was cancelled', async ({ clock, pass }) => {
      const ran: string[] = [];
      const cancelRun = clock.after(1, () => ran.push('run'));
      const cancelled = clock.after(1, () => ran.push('cancelled'));
      cancelled();
      cancelled();
      await pass(5);
      cancelRun();
      clock.after(1, () => ran.push('next'));
      cancelRun();
      cancelled();
      await pass(5);
      assert.deepEqual(ran, ['run', 'next']);
    }),
    clockCase('runs a timer that a timer asks for, after its delay from then', async ({ clock, pass }) => {
      const ran: number[] = [];
      clock.after(2, () => {
        const armed = clock.now();
        clock.after(4, () => ran.push(clock.now() - armed));
      });
      await pass(4);
      await pass(8);
      assert.equal(ran.length, 1);
      assert.ok(
        ran.every((ms) => ms > 4 - earlyMaxMs),
        `after ${ran.join()} ms`,
      );
    }),
    clockCase('waits out a delay of more ms than 31 bits count', async ({ clock, pass }) => {
      let ran = 0;
      const cancel = clock.after(2 ** 31, () => {
        ran += 1;
      });
      await pass(5);
      cancel();
      assert.equal(ran, 0);
    }),
  ];
}
