import assert from 'node:assert/strict';
import { memberId } from '#raft/log/entry.js';
import { ProposeError } from '#replica/ports/replicated-log.js';
import { TestCluster, type TestMember } from '#replica/testing/test-cluster.js';

/** What a proposal of the later kind is refused with; undefined: it was not. */
async function refusal(cluster: TestCluster, member: TestMember, text = 'mark it'): Promise<ProposeError | undefined> {
  const outcome = cluster.propose(member, text).then(
    () => undefined,
    (error: unknown) => error,
  );
  const error = await cluster.time.until(outcome, 5000);
  if (error === undefined || error instanceof ProposeError) return error;
  throw error;
}

/** Restarts the member with the program of the second release. */
async function upgrade(cluster: TestCluster, member: TestMember): Promise<void> {
  member.release = 'second';
  cluster.restart(member);
  await cluster.leader();
  await cluster.converged();
  // Members report every 5 s.
  await cluster.time.runFor(6000);
}

describe('a command of a kind that came with a later release', () => {
  it('is proposed only once every member knows it, and then applied by all', async () => {
    const cluster = await TestCluster.start();
    for (const member of cluster.members.slice(0, 2)) await upgrade(cluster, member);
    const [a, , c] = cluster.members;
    if (a === undefined || c === undefined) throw new Error('three members');
    const old = c;
    if (cluster.ready === old) {
      old.replica.transferLeadership(a.disk.memberId);
      await cluster.time.runUntil(() => cluster.ready !== undefined && cluster.ready !== old, 5000, 'another leader');
    }
    const refused = await refusal(cluster, await cluster.leader());
    assert.equal(refused?.code, 'not-known-by-all');
    assert.match(refused.message, /kind "mark": member c at c:7071 runs a release that does not know it.*upgrade it/);
    assert.equal((await cluster.commit(await cluster.leader(), 'one')).output, '1: one');
    await upgrade(cluster, old);
    assert.equal(await refusal(cluster, await cluster.leader()), undefined);
    await cluster.converged();
    for (const { ledger } of cluster.members) assert.equal(ledger.text, '1 one\n2 mark it');
  });

  it('waits for the word of each member, also of one that is down, unless the log holds one already', async () => {
    const cluster = await TestCluster.start();
    for (const member of cluster.members) await upgrade(cluster, member);
    const gone = cluster.follower();
    cluster.crash(gone);
    const restartOthers = async (): Promise<TestMember> => {
      for (const member of cluster.members) if (member !== gone) cluster.restart(member);
      const leader = await cluster.leader();
      await cluster.time.runFor(6000);
      return leader;
    };
    const refused = await refusal(cluster, await restartOthers());
    assert.equal(refused?.code, 'not-known-by-all');
    assert.match(refused.message, new RegExp(`member ${gone.name} .*has not said yet which commands it knows`));
    cluster.boot(gone);
    await cluster.time.runFor(6000);
    assert.equal(await refusal(cluster, await cluster.leader()), undefined);
    await cluster.converged();
    // Until it is stored what was applied, and nothing is applied anew after a restart.
    await cluster.time.runFor(3000);
    cluster.crash(gone);
    const leader = await restartOthers();
    assert.equal(await refusal(cluster, leader), undefined, 'it is in use');
    assert.equal((await refusal(cluster, leader, 'note it'))?.code, 'not-known-by-all', 'the other one is not');
  });

  it('needs no report of a member that was just added: what it said when it was asked counts until it reports', async () => {
    const cluster = await TestCluster.start({ names: ['a'] });
    const a = cluster.member('a');
    await upgrade(cluster, a);
    const add = async (name: string, commandKinds?: readonly string[]): Promise<TestMember> => {
      const member = cluster.add(name);
      const { peer, disk } = member;
      const added = { kind: 'add-learner', name, peer, storeId: disk.storeId, commandKinds } as const;
      await cluster.time.until(a.replica.changeMembership(added), 5000);
      return member;
    };
    const b = await add('b');
    assert.match((await refusal(cluster, a))?.message ?? '', /member b .*has not said yet which commands it knows/);
    await cluster.time.until(a.replica.changeMembership({ kind: 'remove', member: memberId(2) }), 5000);
    cluster.members.splice(cluster.members.indexOf(b), 1);

    const c = await add('c', ['line', 'mark']);
    assert.equal(await refusal(cluster, a), undefined);
    assert.match((await refusal(cluster, a, 'note it'))?.message ?? '', /member c .*runs a release that does not know/);
    c.release = 'second';
    cluster.boot(c, { founders: [a, c] });
    await cluster.converged();
    await cluster.time.runFor(6000);
    assert.equal(await refusal(cluster, a, 'note it'), undefined, 'it has reported more since');
    await cluster.converged();
    assert.equal(c.ledger.text, a.ledger.text);
  });

  it('stops a member that does not know it, with the message, and no other', async () => {
    const cluster = await TestCluster.start();
    for (const member of cluster.members) await upgrade(cluster, member);
    const back = cluster.follower();
    cluster.crash(back);
    assert.equal(await refusal(cluster, await cluster.leader()), undefined);
    back.release = 'first';
    cluster.boot(back);
    await cluster.time.runFor(5000);
    const fatal = back.events.find((event) => event.kind === 'fatal');
    assert.match(fatal?.error.message ?? '', /kind "mark" is not known to this version/);
    assert.equal((await cluster.commit(await cluster.leader(), 'two')).output, '2: two');
  });
});
