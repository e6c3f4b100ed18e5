import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ClusterTime, decodeStamped, encodeStamped } from '#replica/requests/cluster-time.js';
import { TestCluster } from '#replica/testing/test-cluster.js';

describe('cluster time', () => {
  it('travels with the command', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.uint8Array(), (time, command) => {
        const decoded = decodeStamped(encodeStamped({ time, command }));
        assert.deepEqual([decoded.time, [...decoded.command]], [time, [...command]]);
      }),
    );
    assert.throws(() => decodeStamped(new Uint8Array(7)), RangeError);
  });

  it('goes on from the last applied time at the pace of the leader', () => {
    let now = 5_000_000;
    const time = new ClusterTime({ now: () => now, after: () => () => {} });
    time.beginOffice(300);
    assert.equal(time.now(), 300);
    now += 1234.7;
    assert.equal(time.now(), 1534);
    now -= 10_000;
    assert.equal(time.now(), 300);
  });

  it('never goes back over changes of leaders whose clocks differ, and not far from what has passed', async () => {
    const cluster = new TestCluster();
    // Clocks that started long apart, and run 10 % fast and slow.
    const [a, b, c] = cluster.members;
    if (a === undefined || b === undefined || c === undefined) throw new Error('three members');
    a.clock = { offsetMs: 1e9, rate: 1 };
    b.clock = { offsetMs: 5, rate: 1.1 };
    c.clock = { offsetMs: 4e6, rate: 0.9 };
    for (const member of cluster.members) cluster.boot(member);
    let leader = await cluster.leader();
    const beginMs = cluster.time.now();
    for (let change = 0; change < 6; change += 1) {
      for (let nth = 0; nth < 5; nth += 1) {
        await cluster.commit(leader, `${change}/${nth}`);
        await cluster.time.runFor(200);
      }
      const before = leader;
      leader.replica.transferLeadership();
      await cluster.time.runUntil(() => cluster.ready !== undefined && cluster.ready !== before, 3000);
      leader = await cluster.leader();
    }
    const passedMs = cluster.time.now() - beginMs;
    await cluster.converged();
    const times = leader.ledger.lines.map(({ time }) => time);
    assert.deepEqual(
      times,
      [...times].sort((one, other) => one - other),
    );
    const last = times.at(-1) ?? 0;
    assert.ok(last > passedMs * 0.5 && last < passedMs * 1.1, `${last} of ${passedMs} ms`);
    for (const { ledger } of cluster.members) assert.deepEqual(ledger.lines, leader.ledger.lines);
  });

  it('stands still while there is no leader, and survives a restart', async () => {
    const cluster = await TestCluster.start({ names: ['a'] });
    const [a] = cluster.members;
    if (a === undefined) throw new Error('no member');
    await cluster.time.runFor(1000);
    const { time: before } = await cluster.commit(a, 'one');
    assert.ok(before >= 1000 && before < 1100);
    cluster.crash(a);
    await cluster.time.runFor(100_000);
    cluster.boot(a);
    await cluster.leader();
    const { time: after } = await cluster.commit(a, 'two');
    assert.ok(after >= before && after < before + 1000, `${before}, ${after}`);
  });
});
