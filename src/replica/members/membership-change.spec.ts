import assert from 'node:assert/strict';
import type { MemberId } from '#raft/log/entry.js';
import { MembershipRefusedError } from '#replica/members/membership-change.js';
import { ProposeError } from '#replica/ports/replicated-log.js';
import { TestCluster, type TestMember } from '#replica/testing/test-cluster.js';

async function add(cluster: TestCluster, name: string): Promise<TestMember> {
  const leader = await cluster.leader();
  const member = cluster.add(name);
  cluster.boot(member, { founders: [leader, member] });
  const { peer, disk } = member;
  await cluster.time.until(
    leader.replica.changeMembership({ kind: 'add-learner', name, peer, storeId: disk.storeId }),
    5000,
  );
  await cluster.time.runUntil(() => disk.memberId !== undefined, 10_000, 'joining');
  await cluster.converged();
  return member;
}

async function promote(cluster: TestCluster, learner: TestMember): Promise<void> {
  const leader = await cluster.leader();
  const memberId = await caughtUp(cluster, leader, learner);
  await cluster.time.until(leader.replica.changeMembership({ kind: 'promote', member: memberId }), 5000);
}

/** Waits until the leader knows that the learner has something of the log. Returns its id. */
async function caughtUp(cluster: TestCluster, leader: TestMember, { disk }: TestMember): Promise<MemberId> {
  const { memberId } = disk;
  if (memberId === undefined) throw new Error('not joined');
  const match = () => leader.replica.status().peers.find(({ member }) => member.id === memberId)?.matchIndex ?? 0;
  await cluster.time.runUntil(() => match() > 0, 5000, 'the learner has something');
  return memberId;
}

async function remove(cluster: TestCluster, { disk }: TestMember): Promise<void> {
  const leader = await cluster.leader();
  if (disk.memberId === undefined) throw new Error('not joined');
  await cluster.time.until(leader.replica.changeMembership({ kind: 'remove', member: disk.memberId }), 5000);
}

describe('membership', () => {
  it('grows from one to three and shrinks back, commands going on', async () => {
    const cluster = await TestCluster.start({ names: ['a'] });
    const [a] = cluster.members;
    if (a === undefined) throw new Error('no member');
    await cluster.commit(a, 'alone');
    const b = await add(cluster, 'b');
    assert.equal(a.replica.status().peers[0]?.role, 'learner');
    // A learner does not count: the leader alone is the quorum.
    cluster.crash(b);
    await cluster.commit(a, 'still alone');
    cluster.boot(b, { founders: [a, b] });
    await cluster.converged();
    await promote(cluster, b);
    const c = await add(cluster, 'c');
    await promote(cluster, c);
    await cluster.converged();
    for (const { replica } of cluster.members) {
      assert.deepEqual(replica.status().membership.confState.voters, [1, 2, 3]);
      assert.deepEqual(
        replica.status().membership.members.map(({ name }) => name),
        ['a', 'b', 'c'],
      );
    }
    cluster.crash(c);
    await cluster.commit(a, 'two of three');
    cluster.boot(c, { founders: [a, c] });
    await cluster.converged();
    // Removing a leader hands over first.
    const leader = await cluster.leader();
    await assert.rejects(remove(cluster, leader), /leads the cluster: transfer leadership first/);
    leader.replica.transferLeadership();
    await cluster.time.runUntil(() => cluster.ready !== undefined && cluster.ready !== leader, 3000);
    await remove(cluster, leader);
    await cluster.time.runFor(2000);
    const others = cluster.members.filter((member) => member !== leader);
    for (const { replica } of others) assert.equal(replica.status().membership.members.length, 2);
    cluster.crash(leader);
    const next = await cluster.leader();
    assert.equal((await cluster.commit(next, 'without')).output, '4: without');
    cluster.members.splice(cluster.members.indexOf(leader), 1);
    await cluster.converged();
    assert.deepEqual(cluster.promises.violations, []);
  });

  it('survives restarts: all members know the same membership afterwards, and ids are not used again', async () => {
    const cluster = await TestCluster.start();
    // The last member that joined: without it the highest id is one that was given before it.
    const gone = cluster.member('c');
    const [a] = cluster.members;
    if (cluster.ready === gone) gone.replica.transferLeadership(a?.disk.memberId);
    await cluster.time.runUntil(() => cluster.ready !== undefined && cluster.ready !== gone, 5000, 'another leader');
    await remove(cluster, gone);
    cluster.crash(gone);
    cluster.members.splice(cluster.members.indexOf(gone), 1);
    await cluster.converged();
    await cluster.time.runFor(3000);
    for (const member of cluster.members) cluster.restart(member);
    const leader = await cluster.leader();
    assert.equal(leader.replica.status().membership.members.length, 2);
    assert.equal(leader.replica.status().membership.nextMemberId, 4);
    const d = await add(cluster, 'd');
    assert.equal(d.disk.memberId, 4);
  });

  it('a replaced member can be removed at once, also when it is dead', async () => {
    const cluster = await TestCluster.start();
    const gone = cluster.follower();
    const newcomer = await add(cluster, 'd');
    const leader = await cluster.leader();
    const by = await caughtUp(cluster, leader, newcomer);
    const member = gone.disk.memberId;
    if (member === undefined) throw new Error('not bootstrapped');
    cluster.crash(gone);
    await cluster.time.until(leader.replica.changeMembership({ kind: 'replace', member, by }), 5000);
    const { members } = await cluster.time.until(leader.replica.changeMembership({ kind: 'remove', member }), 5000);
    assert.ok(members.length === 3 && !members.some(({ id }) => id === member));
  });

  it('a removed member learns of it and stops', async () => {
    const cluster = await TestCluster.start();
    const gone = cluster.follower();
    await remove(cluster, gone);
    await cluster.time.runFor(2000);
    const removed = gone.events.find((event) => event.kind === 'removed');
    assert.match(removed?.message ?? '', /was removed from the cluster/);
    await assert.rejects(
      gone.replica.readBarrier(),
      (error) => error instanceof ProposeError && error.code === 'stopped',
    );
  });

  it('changes are refused that would do harm, with the reason', async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const follower = cluster.follower();
    const { disk, name, peer } = follower;
    const id = disk.memberId;
    const own = leader.disk.memberId;
    if (id === undefined || own === undefined) throw new Error('not bootstrapped');
    const refused = (reason: RegExp) => (error: unknown) => {
      assert.ok(error instanceof MembershipRefusedError);
      assert.match(error.message, reason);
      return true;
    };
    const { replica } = leader;
    await assert.rejects(
      replica.changeMembership({ kind: 'add-learner', name, peer: 'new:1', storeId: 'new' }),
      refused(/remove it first, or use another name/),
    );
    await assert.rejects(
      replica.changeMembership({ kind: 'add-learner', name: 'new', peer, storeId: 'new' }),
      refused(/remove it first, or use another name/),
    );
    await assert.rejects(replica.changeMembership({ kind: 'promote', member: id }), refused(/votes already/));
    await assert.rejects(
      replica.changeMembership({ kind: 'remove', member: own }),
      refused(/transfer leadership first/),
    );
    const first = replica.changeMembership({ kind: 'add-learner', name: 'd', peer: 'd:1', storeId: 'd' });
    await assert.rejects(
      replica.changeMembership({ kind: 'add-learner', name: 'e', peer: 'e:1', storeId: 'e' }),
      refused(/is not applied yet/),
    );
    await cluster.time.until(first, 1000);
    await assert.rejects(
      cluster.time.until(follower.replica.changeMembership({ kind: 'remove', member: id }), 1000),
      (error) => error instanceof ProposeError && error.code === 'not-leader',
    );
    const alone = await TestCluster.start({ names: ['a'] });
    await assert.rejects(
      (await alone.leader()).replica.changeMembership({ kind: 'promote', member: own }),
      refused(/votes already|no member/),
    );
  });

  it('a learner that was never heard of is not promoted, however short the log', async () => {
    const cluster = await TestCluster.start({ names: ['a'] });
    const a = await cluster.leader();
    const added = { kind: 'add-learner', name: 'b', peer: 'b:7071', storeId: 'never there' } as const;
    const { members } = await cluster.time.until(a.replica.changeMembership(added), 1000);
    const id = members[1]?.id;
    if (id === undefined) throw new Error('not added');
    const promoted = a.replica.changeMembership({ kind: 'promote', member: id });
    await assert.rejects(promoted, /member b has nothing of the log yet: wait until it has caught up/);
  });

  it('a voter of two becomes a learner before it goes, and the one that stays knows it after a crash', async () => {
    const cluster = await TestCluster.start({ names: ['a', 'b'] });
    const leader = await cluster.leader();
    const other = cluster.members.find((member) => member !== leader);
    const member = other?.disk.memberId;
    if (member === undefined) throw new Error('not there');
    const { confState } = await cluster.time.until(leader.replica.changeMembership({ kind: 'demote', member }), 5000);
    assert.deepEqual([confState.voters.length, confState.learners], [1, [member]]);
    // It is stored when it is answered: the leader comes back alone.
    cluster.crash(leader);
    if (other !== undefined) cluster.crash(other);
    cluster.boot(leader);
    assert.equal(await cluster.leader(), leader);
    await cluster.commit(leader, 'alone');
  });

  it('a learner is promoted only when it has caught up', async () => {
    const cluster = await TestCluster.start({ names: ['a'] });
    const a = await cluster.leader();
    await cluster.time.until(
      a.replica.changeMembership({ kind: 'add-learner', name: 'b', peer: 'b:7071', storeId: 'never there' }),
      1000,
    );
    for (let at = 0; at < 1100; at += 100) {
      const batch = Array.from({ length: 100 }, (_, nth) => cluster.propose(a, `${at + nth}`));
      await cluster.time.until(Promise.all(batch), 1000);
    }
    const [, b] = a.replica.status().membership.members;
    if (b === undefined) throw new Error('not added');
    await assert.rejects(
      a.replica.changeMembership({ kind: 'promote', member: b.id }),
      /member b is at index 0, 11\d\d entries behind; 1000 at most may be missing to vote/,
    );
  });

  it('answers a replacement when the joint configuration is left and that is stored: the old member may go for good', async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const newcomer = await add(cluster, 'd');
    const leaves = cluster.follower();
    const member = leaves.disk.memberId;
    if (leaves === newcomer || member === undefined) throw new Error('a follower of the first three');
    const by = await caughtUp(cluster, leader, newcomer);
    const answer = leader.replica.changeMembership({ kind: 'replace', member, by });
    const { confState } = await cluster.time.until(answer, 5000);
    assert.deepEqual([confState.votersOutgoing, confState.learners], [[], [member]]);
    assert.ok(confState.voters.includes(by) && confState.voters.length === 3);
    // No other member knows yet that it is committed, and members keep only what is on disk.
    for (const each of cluster.members) cluster.crash(each);
    for (const each of cluster.members) if (each !== leaves) cluster.boot(each);
    await cluster.commit(await cluster.leader(), 'goes on');
  });

  it('a member that was away learns of a leader that joined meanwhile, and then its name', async () => {
    const cluster = await TestCluster.start();
    const away = cluster.follower();
    cluster.crash(away);
    const newcomer = await add(cluster, 'd');
    await promote(cluster, newcomer);
    (await cluster.leader()).replica.transferLeadership(newcomer.disk.memberId);
    await cluster.time.runUntil(() => cluster.ready === newcomer, 3000, 'the transfer');
    cluster.boot(away);
    const leaders: (string | undefined)[] = [];
    away.replica.onLeadership(() => leaders.push(away.replica.status().leader?.name));
    await cluster.commit(newcomer, 'one');
    await cluster.converged(5000);
    assert.equal(away.ledger.text, newcomer.ledger.text);
    assert.equal(leaders.at(-1), 'd', 'whoever hands calls on is told');
  });

  it('a member that was cut off learns of its leader once it hears that the newcomer’s joining is committed', async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const late = cluster.follower();
    await cluster.converged();
    // It gets the entry, but not the word that it is committed.
    cluster.hub.onSend = ({ kind, from, to, ...message }) => {
      if (kind !== 'append' || from !== leader.disk.memberId || to !== late.disk.memberId) return;
      const joining = 'entries' in message && message.entries.some(({ type }) => type === 'conf-change-v2');
      if (joining) cluster.time.after(2, () => cluster.hub.cut(leader.peer, late.peer));
    };
    const newcomer = cluster.add('d');
    cluster.boot(newcomer, { founders: [leader, newcomer] });
    const { peer, disk } = newcomer;
    const change = { kind: 'add-learner', name: 'd', peer, storeId: disk.storeId } as const;
    await cluster.time.until(leader.replica.changeMembership(change), 5000);
    await cluster.time.runUntil(() => disk.memberId !== undefined, 10_000, 'joining');
    await promote(cluster, newcomer);
    leader.replica.transferLeadership(disk.memberId);
    const known: boolean[] = [];
    const knows = (): boolean => late.replica.status().membership.members.some(({ name }) => name === 'd');
    const leaders: (string | undefined)[] = [];
    late.replica.onLeadership(() => {
      known.push(knows());
      leaders.push(late.replica.status().leader?.name);
    });
    await cluster.time.runUntil(() => cluster.ready === newcomer, 3000, 'the transfer');
    await cluster.converged(5000);
    assert.equal(late.replica.status().snapshotsInstalled, 0);
    assert.ok(known.includes(false), 'it was not known at first');
    assert.equal(leaders.at(-1), 'd');
  });

  it('a member that was away votes for one that joined meanwhile, without which there is no majority', async () => {
    const cluster = await TestCluster.start();
    const away = cluster.follower();
    cluster.crash(away);
    const newcomer = await add(cluster, 'd');
    await promote(cluster, newcomer);
    const leader = await cluster.leader();
    const third = cluster.members.find((member) => ![away, newcomer, leader].includes(member));
    if (third === undefined) throw new Error('three founders');
    // The newcomer alone has the last entry besides the leader, which is gone then.
    cluster.hub.cut(leader.peer, third.peer);
    cluster.propose(leader, 'last').catch(() => {});
    await cluster.time.runFor(20);
    cluster.crash(leader);
    cluster.boot(away);
    await cluster.time.runUntil(() => cluster.ready === newcomer, 20_000, 'the election');
    await cluster.commit(newcomer, 'goes on');
  });

  it('answers a replacement though leadership was to pass on meanwhile, in vain, and no other change is proposed', async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const newcomer = await add(cluster, 'd');
    const [target, leaves] = cluster.members.filter((each) => each !== leader && each !== newcomer);
    const member = leaves?.disk.memberId;
    if (target === undefined || member === undefined) throw new Error('three founders');
    const by = await caughtUp(cluster, leader, newcomer);
    // It does not take over: it sleeps.
    cluster.pause(target, 5000);
    const answer = leader.replica.changeMembership({ kind: 'replace', member, by });
    leader.replica.transferLeadership(target.disk.memberId);
    const { confState } = await cluster.time.until(answer, 3000);
    assert.deepEqual([confState.votersOutgoing, confState.learners], [[], [member]]);
  });

  it('a change asked for while leadership passes on did not happen, and may be asked for again: it is not refused', async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const target = cluster.follower();
    cluster.pause(target, 5000);
    leader.replica.transferLeadership(target.disk.memberId);
    const change = { kind: 'add-learner', name: 'd', peer: 'd:1', storeId: 'd' } as const;
    await assert.rejects(
      leader.replica.changeMembership(change),
      (error) => error instanceof ProposeError && error.code === 'not-leader',
    );
    await cluster.time.runFor(2000);
    const { members } = await cluster.time.until(leader.replica.changeMembership(change), 1000);
    assert.equal(members.length, 4);
  });

  it('does not say that nothing happened when the change is made, and the disk does not take it', async () => {
    const cluster = await TestCluster.start({ names: ['a'] });
    const [a] = cluster.members;
    if (a === undefined) throw new Error('no member');
    await cluster.time.runFor(2000);
    a.disk.fate = ({ applied }) => (applied === undefined ? { kind: 'ok', afterMs: 1 } : { kind: 'hang' });
    const change = { kind: 'add-learner', name: 'd', peer: 'd:1', storeId: 'd' } as const;
    await assert.rejects(
      cluster.time.until(a.replica.changeMembership(change), 30_000),
      (error) => error instanceof ProposeError && error.code === 'unknown-outcome' && /is made/.test(error.message),
    );
    assert.equal(a.replica.status().membership.members.length, 2);
  });

  it('leaves it open what becomes of a replacement when leadership is lost in the joint configuration', async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const newcomer = await add(cluster, 'd');
    const member = cluster.members.find((each) => each !== leader && each !== newcomer)?.disk.memberId;
    if (member === undefined) throw new Error('not bootstrapped');
    const by = await caughtUp(cluster, leader, newcomer);
    const answer = leader.replica.changeMembership({ kind: 'replace', member, by });
    const joint = (): boolean => leader.replica.status().membership.confState.votersOutgoing.length > 0;
    await cluster.time.runUntil(joint, 1000, 'the joint configuration');
    cluster.hub.isolate(
      leader.peer,
      cluster.members.map(({ peer }) => peer),
    );
    await assert.rejects(
      cluster.time.until(answer, 5000),
      (error) => error instanceof ProposeError && error.code === 'unknown-outcome',
    );
  });
});
