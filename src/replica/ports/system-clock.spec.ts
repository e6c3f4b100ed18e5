import { clockContract } from '#replica/contracts/clock-contract.js';
import { systemClock } from '#replica/ports/system-clock.js';

describe('the clock of the system', () => {
  const pass = async (ms: number): Promise<void> => {
    const end = systemClock.now() + ms;
    // A timer may run a little early.
    do await new Promise<void>((resolve) => systemClock.after(ms, resolve));
    while (systemClock.now() < end);
  };

  for (const { name, run } of clockContract(async () => ({ clock: systemClock, pass }))) it(name, run);
});
