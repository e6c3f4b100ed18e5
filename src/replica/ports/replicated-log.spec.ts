import { replicatedLogContract } from '#replica/testing/replicated-log-contract.js';
import { TestCluster, type TestMember } from '#replica/testing/test-cluster.js';

const boundMs = 60_000;

describe('the log of a replica', () => {
  for (const { name, run } of replicatedLogContract(async () => {
    const cluster = await TestCluster.start();
    const first = await cluster.leader();
    const [second, third] = cluster.members.filter((member) => member !== first) as [TestMember, TestMember];
    const { time, hub } = cluster;
    const elect = (): Promise<void> => {
      first.replica.transferLeadership(second.disk.memberId);
      return time.runUntil(() => cluster.ready === second, boundMs, 'the transfer');
    };
    const depose = async (): Promise<void> => {
      const all = cluster.members.map(({ peer }) => peer);
      for (const peer of all) {
        hub.isolate(
          peer,
          all.filter((other) => other !== peer),
        );
      }
      const known = () => cluster.members.every(({ replica }) => replica.status().leader === undefined);
      await time.runUntil(known, boundMs, 'the end of all leaders');
      // The core knows it a turn before the rest of the member.
      await time.runFor(1);
    };
    return {
      value: {
        logs: [first.replica, second.replica, third.replica],
        elect,
        depose,
        settled: (promise) => time.until(promise, boundMs),
        until: (what, holds) => time.runUntil(holds, boundMs, what),
      },
    };
  })) {
    it(name, run);
  }
});
