import { clockContract } from '#replica/contracts/clock-contract.js';
import { HandClock } from '#storage/testing/hand-clock.js';

describe('a clock that a test turns', () => {
  for (const { name, run } of clockContract(async () => {
    const clock = new HandClock();
    return { clock, pass: async (ms) => clock.turn(ms) };
  })) {
    it(name, run);
  }
});
