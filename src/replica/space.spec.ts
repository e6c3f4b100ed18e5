import assert from 'node:assert/strict';
import { ProposeError } from '#replica/ports/replicated-log.js';
import { roomy, scarce } from '#replica/testing/memory-log-store.js';
import { TestCluster, type TestMember } from '#replica/testing/test-cluster.js';

const mebibyte = 1024 * 1024;

function code(error: unknown): string {
  return error instanceof ProposeError ? error.code : String(error);
}

/** A cluster whose members have heard of each other's disks. */
async function started(): Promise<{ readonly cluster: TestCluster; readonly leader: TestMember }> {
  const cluster = await TestCluster.start();
  await cluster.time.runFor(2000);
  return { cluster, leader: await cluster.leader() };
}

describe('a disk without room', () => {
  it('of the leader makes it hand over to a member with room; commands go on there, and none is lost', async () => {
    const { cluster, leader } = await started();
    await cluster.commit(leader, 'one');
    leader.disk.space = scarce(3 * mebibyte);
    // It says that it does not lead, so that the caller asks the next leader.
    await assert.rejects(cluster.propose(leader, 'too early'), (error) => {
      assert.ok(error instanceof ProposeError);
      assert.equal(error.code, 'not-leader');
      assert.match(error.message, /^member \w hands over to \w or \w, which has room: 3 MiB free; 80 MiB are needed$/);
      return true;
    });
    await cluster.time.runUntil(() => cluster.ready !== undefined && cluster.ready !== leader, 500, 'the handover');
    const next = await cluster.leader();
    await cluster.commit(next, 'two');
    const low = leader.events.find((event) => event.kind === 'space-low' && event.handsOverTo !== undefined);
    assert.ok(low?.kind === 'space-low' && low.handsOverTo === next.disk.memberId);
    await cluster.converged();
    for (const { ledger } of cluster.members) assert.equal(ledger.text, '1 one\n2 two');
    // Nothing brings leadership back while the disk is as it is.
    await cluster.time.runFor(20_000);
    assert.equal(cluster.ready, next);
    const seen = next.replica.status().peers.find(({ member }) => member.id === leader.disk.memberId)?.report;
    assert.deepEqual(seen?.space, { freeBytes: 3 * mebibyte, neededBytes: 80 * mebibyte, low: true });
    leader.disk.space = roomy;
    await cluster.time.runFor(200);
    assert.ok(leader.events.some(({ kind }) => kind === 'space-back'));
  });

  it('of the leader and of a follower: it hands over to the third, however far the follower is', async () => {
    const { cluster, leader } = await started();
    const [scanty, third] = cluster.members.filter((member) => member !== leader);
    if (scanty === undefined || third === undefined) throw new Error('three members are needed');
    scanty.disk.space = scarce(mebibyte);
    await cluster.time.runFor(200);
    leader.disk.space = scarce(mebibyte);
    await cluster.time.runUntil(() => cluster.ready === third, 500, 'the handover');
    assert.equal((await cluster.commit(third, 'two')).output, '1: two');
  });

  it('of all members: the leader stays, takes nothing, and reports the room of each; with room it goes on', async () => {
    const { cluster, leader } = await started();
    const { term } = leader.replica.status();
    const spaces = new Map(cluster.members.map((member, at) => [member, scarce((at + 1) * mebibyte)]));
    for (const [member, space] of spaces) if (member !== leader) member.disk.space = space;
    await cluster.time.runFor(200);
    leader.disk.space = spaces.get(leader) ?? roomy;
    await cluster.time.runFor(10_000);
    assert.equal(leader.replica.status().term, term, 'nobody else campaigned');
    await assert.rejects(cluster.propose(leader, 'x'), (error) => {
      assert.equal(code(error), 'no-space');
      const each = ['a: 1.0 MiB free', 'b: 2.0 MiB free', 'c: 3.0 MiB free'].map((one) => `${one}, 80.0 MiB needed`);
      assert.ok(error instanceof Error && error.message.includes(`(${each.join('; ')})`), String(error));
      assert.match(String(error), /Free some space on one of them/);
      return true;
    });
    assert.match(leader.replica.status().refusal ?? '', /no member that votes and answers has room/);
    assert.equal(leader.events.filter(({ kind }) => kind === 'no-space').length, 1);
    assert.ok(leader.events.every((event) => event.kind !== 'space-low' || event.handsOverTo === undefined));
    const follower = cluster.follower();
    follower.disk.space = roomy;
    await cluster.time.runUntil(() => cluster.ready === follower, 500, 'the handover to the one with room');
    await cluster.commit(follower, 'y');
  });

  it('of the leader while no member with room answers: it says so, and hands over when one is back', async () => {
    const { cluster, leader } = await started();
    const [scanty, away] = cluster.members.filter((member) => member !== leader);
    if (scanty === undefined || away === undefined) throw new Error('three members are needed');
    cluster.crash(away);
    scanty.disk.space = scarce(mebibyte);
    await cluster.time.runFor(20_000);
    leader.disk.space = scarce(2 * mebibyte);
    await cluster.time.runFor(5000);
    assert.equal(cluster.ready, leader);
    await assert.rejects(cluster.propose(leader, 'x'), (error) => {
      assert.equal(code(error), 'no-space');
      assert.match(String(error), new RegExp(`${away.name}: not heard of`));
      return true;
    });
    cluster.boot(away);
    await cluster.time.runUntil(() => cluster.ready === away, 3000, 'the handover to the one that is back');
  });

  it('of a cluster of one refuses commands, and takes them again with room', async () => {
    const cluster = await TestCluster.start({ names: ['a'] });
    const leader = cluster.member('a');
    leader.disk.space = scarce(mebibyte);
    await assert.rejects(cluster.propose(leader, 'x'), (error) => code(error) === 'no-space');
    await cluster.time.runFor(1000);
    assert.ok(leader.events.some(({ kind }) => kind === 'no-space'));
    leader.disk.space = roomy;
    await cluster.commit(leader, 'y');
  });

  it('of a follower has the one with room go first in an election', async () => {
    for (let seed = 1; seed <= 8; seed += 1) {
      const cluster = await TestCluster.start({ seed });
      await cluster.time.runFor(2000);
      const leader = await cluster.leader();
      const [scanty, fit] = cluster.members.filter((member) => member !== leader);
      if (scanty === undefined || fit === undefined) throw new Error('three members are needed');
      scanty.disk.space = scarce(mebibyte);
      await cluster.time.runFor(200);
      cluster.crash(leader);
      const next = await cluster.leader();
      assert.equal(next, fit, `seed ${seed}`);
      assert.equal(scanty.replica.status().term, fit.replica.status().term);
    }
  });

  it('of the only follower that has all of the log does not keep it from being elected, and from handing over then', async () => {
    const { cluster, leader } = await started();
    const [scanty, behind] = cluster.members.filter((member) => member !== leader);
    if (scanty === undefined || behind === undefined) throw new Error('three members are needed');
    cluster.hub.cut(leader.peer, behind.peer);
    await cluster.commit(leader, 'one');
    scanty.disk.space = scarce(mebibyte);
    await cluster.time.runFor(200);
    cluster.crash(leader);
    cluster.hub.heal();
    await cluster.time.runUntil(() => cluster.ready === scanty, 15_000, 'the election of the one with the log');
    await cluster.time.runUntil(() => cluster.ready === behind, 3000, 'the handover to the one with room');
    await cluster.commit(behind, 'two');
    assert.equal(behind.ledger.text, '1 one\n2 two');
  });

  it('is the last choice of a leader that stops', async () => {
    const { cluster, leader } = await started();
    const [scanty, fit] = cluster.members.filter((member) => member !== leader);
    if (scanty === undefined || fit === undefined) throw new Error('three members are needed');
    scanty.disk.space = scarce(mebibyte);
    await cluster.time.runFor(200);
    assert.equal(leader.replica.transferLeadership(), fit.disk.memberId);
    await cluster.time.runUntil(() => cluster.ready === fit, 500, 'the handover');
  });
});
