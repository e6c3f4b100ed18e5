import { FakeMasters, refusedAnswer } from '#agent/testing/fake-masters.js';
import { masterApiContract } from '#agent/testing/master-api-contract.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';

describe('masters in memory', () => {
  for (const { name, check } of masterApiContract) {
    it(name, async () => {
      const time = new VirtualTime();
      const api = new FakeMasters(time, ['m1:7070', 'm2:7070']);
      const grants = api.onRegister;
      await check({
        api,
        play: ({ watched, refuses, keptAlive }) => {
          api.onRegister = (request) => (refuses ? refusedAnswer : grants(request));
          api.onWatch = (watch) => watch.send(...watched);
          api.onKeepAlive = () => keptAlive;
        },
        goDown: () => api.setDown(true),
        until: (what, holds) => time.runUntil(holds, 60_000, what),
      });
    });
  }
});
