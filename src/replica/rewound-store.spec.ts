import assert from 'node:assert/strict';
import { StoreError } from '#replica/ports/log-store.js';
import { TestCluster, type TestMember } from '#replica/testing/test-cluster.js';

/** Why the member's last process did not take part. */
async function startFailure(cluster: TestCluster, member: TestMember): Promise<unknown> {
  const { started } = member.process ?? assert.fail(`${member.name} is not running`);
  return cluster.time.until(
    started.then(
      () => undefined,
      (error: unknown) => error,
    ),
    5_000,
  );
}

function rewoundSeen({ events }: TestMember): readonly string[] {
  return events.flatMap((event) => (event.kind === 'peer-rewound' ? [event.message] : []));
}

/** Stops the member as a process does that is killed, and returns what a backup of its disk holds. */
function backup(cluster: TestCluster, member: TestMember) {
  cluster.crash(member);
  return member.disk.copy();
}

describe('a store that was put back to an earlier state', () => {
  it('does not take part: a peer has seen a later session of it', async () => {
    const cluster = await TestCluster.start();
    const follower = cluster.follower();
    const copy = backup(cluster, follower);
    cluster.boot(follower);
    await cluster.converged();
    cluster.crash(follower);
    follower.disk = copy;
    cluster.boot(follower);
    const error = await startFailure(cluster, follower);
    assert.ok(error instanceof StoreError && error.code === 'amnesia', String(error));
    assert.match(error.message, /store of member \w was put back to an earlier state, as \w knows: it counts 2 starts/);
    assert.match(error.message, /to rejoin, remove it with `sublet members remove/);
    for (let restarts = 0; restarts < 3; restarts++) {
      cluster.restart(follower);
      assert.match(String(await startFailure(cluster, follower)), /and start 2 was another one/);
    }
    const leader = await cluster.leader();
    assert.equal(rewoundSeen(leader).length, 4, 'each with its own number of starts');
    await cluster.commit(leader, 'the others go on');
  });

  it('takes part after an ordinary crash, also when it is killed again and again', async () => {
    const cluster = await TestCluster.start();
    const follower = cluster.follower();
    for (let round = 0; round < 4; round++) {
      cluster.restart(follower);
      assert.equal(await startFailure(cluster, follower), undefined);
      await cluster.converged();
    }
    assert.deepEqual(cluster.members.flatMap(rewoundSeen), []);
  });

  it('is found by a peer that was restarted since, from what that one has kept', async () => {
    const cluster = await TestCluster.start();
    const [a, b, c] = cluster.members as [TestMember, TestMember, TestMember];
    const copy = backup(cluster, c);
    cluster.boot(c);
    await cluster.converged();
    for (const member of [a, b, c]) cluster.crash(member);
    c.disk = copy;
    cluster.boot(a);
    await cluster.time.runFor(100);
    cluster.boot(c);
    assert.match(String(await startFailure(cluster, c)), /was put back to an earlier state, as a knows/);
  });

  it('is found when it went back within the session that its peers know', async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const follower = cluster.follower();
    // A snapshot of the disk under a process that goes on.
    const copy = follower.disk.copy();
    for (let at = 0; at < 5; at++) await cluster.commit(leader, `entry ${at}`);
    await cluster.converged();
    await cluster.time.runFor(2_000);
    for (const member of cluster.members) cluster.crash(member);
    follower.disk = copy;
    cluster.boot(leader);
    await cluster.time.runFor(100);
    cluster.boot(follower);
    assert.match(
      String(await startFailure(cluster, follower)),
      /its log ended at \d+, and it had acknowledged index \d+/,
    );
  });

  it('is stopped when the peer that knows is reached late, and its messages are not heard before', async () => {
    const cluster = await TestCluster.start();
    const [a, b, c] = cluster.members as [TestMember, TestMember, TestMember];
    const copy = backup(cluster, c);
    cluster.boot(c);
    await cluster.converged();
    for (const member of [a, b, c]) cluster.crash(member);
    c.disk = copy;
    // There is no member to ask.
    cluster.boot(c);
    assert.equal(await startFailure(cluster, c), undefined);
    cluster.boot(a);
    await cluster.time.runUntil(
      () => c.events.some((event) => event.kind === 'fatal'),
      10_000,
      'the end of the member that was put back',
    );
    const fatal = c.events.find((event) => event.kind === 'fatal');
    assert.match(fatal?.error.message ?? '', /was put back to an earlier state, as a knows/);
    assert.equal(cluster.ready, undefined, 'a leads by nobody else');
  });

  it('is refused when two machines run copies of one store', async () => {
    const cluster = await TestCluster.start();
    const follower = cluster.follower();
    const copy = follower.disk.copy();
    // The original is started anew; its twin then counts the same start.
    cluster.restart(follower);
    await cluster.converged();
    cluster.crash(follower);
    let nonce = 1000;
    copy.nonce = () => nonce++;
    follower.disk = copy;
    cluster.boot(follower);
    assert.match(String(await startFailure(cluster, follower)), /counts 2 starts, and start 2 was another one/);
  });
});
