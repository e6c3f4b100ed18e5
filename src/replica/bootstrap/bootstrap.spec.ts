import assert from 'node:assert/strict';
import { type MemberId, memberId } from '#raft/log/entry.js';
import { Bootstrap, type Bootstrapped } from '#replica/bootstrap/bootstrap.js';
import type { BootstrapProblem } from '#replica/bootstrap/bootstrap-problem.js';
import type { LogWrite } from '#replica/ports/log-store.js';
import type { MemberInfo, Membership } from '#replica/ports/membership.js';
import type { MemberHello } from '#replica/ports/peer-network.js';
import { uncountedClaim } from '#replica/ports/store-claim.js';
import { noMembership } from '#replica/replica-status.js';
import { TestCluster, type TestMember } from '#replica/testing/test-cluster.js';

function problems({ events }: TestMember): BootstrapProblem[] {
  return events.flatMap((event) => (event.kind === 'bootstrap-problem' ? [event.problem] : []));
}

function problem(member: TestMember, code: BootstrapProblem['code']): BootstrapProblem | undefined {
  return problems(member).find((found) => found.code === code);
}

function membership(member: TestMember): unknown {
  const { membership: of } = member.replica.status();
  return of.members.map(({ id, name, storeId }) => ({ id, name, storeId }));
}

describe('the bootstrap of a cluster', () => {
  it('waits for every founder, and gives ids by the order of names', async () => {
    const cluster = new TestCluster({ names: ['c', 'a', 'b'] });
    cluster.boot(cluster.member('c'));
    cluster.boot(cluster.member('a'));
    await cluster.time.runFor(10_000);
    assert.equal(cluster.ready, undefined);
    assert.match(problem(cluster.member('a'), 'unreachable')?.message ?? '', /^b at b:7071 does not answer/);
    assert.equal(problems(cluster.member('a')).length, 1, 'it is told once');
    cluster.boot(cluster.member('b'));
    const leader = await cluster.leader();
    assert.deepEqual(
      cluster.members.map(({ name, disk }) => [name, disk.memberId]),
      [
        ['c', 3],
        ['a', 1],
        ['b', 2],
      ],
    );
    await cluster.commit(leader, 'one');
    await cluster.converged();
    for (const member of cluster.members) assert.deepEqual(membership(member), membership(leader));
  });

  it('a founder that crashed before it began finds the others bootstrapped, and begins with the same', async () => {
    const cluster = new TestCluster();
    const [a, b, c] = cluster.members;
    if (a === undefined || b === undefined || c === undefined) throw new Error('three members');
    b.disk.fate = () => ({ kind: 'hang' });
    for (const member of cluster.members) cluster.boot(member);
    const leader = await cluster.leader();
    assert.equal(b.disk.content.applied, undefined);
    cluster.crash(b);
    await cluster.commit(leader, 'without b');
    b.disk.fate = () => ({ kind: 'ok', afterMs: 1 });
    cluster.boot(b);
    await cluster.converged();
    assert.equal(b.ledger.text, '1 without b');
    assert.equal(b.replica.status().snapshotsInstalled, 0, 'the same first state, and then the log');
    assert.deepEqual(membership(b), membership(leader));
  });

  it('goes on wherever its founders crashed, at every step', async () => {
    // Each founder is crashed once, after so many ms of its own.
    for (let crashMs = 0; crashMs < 130; crashMs += 3) {
      const cluster = new TestCluster({ seed: crashMs });
      const [a, b] = cluster.members;
      if (a === undefined || b === undefined) throw new Error('three members');
      for (const member of cluster.members) cluster.boot(member);
      await cluster.time.runFor(crashMs);
      cluster.restart(a);
      await cluster.time.runFor(crashMs % 17);
      cluster.restart(b);
      const leader = await cluster.leader();
      await cluster.commit(leader, 'x');
      await cluster.converged();
      for (const member of cluster.members) assert.deepEqual(membership(member), membership(leader));
    }
  });

  it('never begins twice: a founder whose disk was wiped meanwhile is refused, or its new store is what all know', async () => {
    for (let wipeMs = 0; wipeMs < 130; wipeMs += 2) {
      const cluster = new TestCluster({ seed: wipeMs });
      const [, b] = cluster.members;
      if (b === undefined) throw new Error('three members');
      for (const member of cluster.members) cluster.boot(member);
      await cluster.time.runFor(wipeMs);
      cluster.crash(b);
      b.disk = cluster.newDisk();
      cluster.boot(b);
      const leader = await cluster.leader();
      await cluster.commit(leader, 'x');
      await cluster.time.runFor(5000);
      const bootstrapped = cluster.members.filter(({ disk }) => disk.content.applied !== undefined);
      for (const member of bootstrapped) assert.deepEqual(membership(member), membership(leader), `wiped at ${wipeMs}`);
      if (!bootstrapped.includes(b)) assert.match(problem(b, 'wiped')?.message ?? '', /its data was lost/);
    }
  });

  it('never begins twice: the member that decides has fixed what it saw, even if it takes its disk long to write it', async () => {
    const cluster = new TestCluster();
    const [a, b, c] = cluster.members;
    if (a === undefined || b === undefined || c === undefined) throw new Error('three members');
    // Incarnation is slow, and the elections after it are not.
    const slow = ({ hardState }: LogWrite) => ({ kind: 'ok', afterMs: hardState === undefined ? 3000 : 1 }) as const;
    a.disk.fate = slow;
    for (const member of [a, b]) cluster.boot(member);
    await cluster.time.runFor(60);
    // Polls in between the others, and is slower to begin.
    c.disk.fate = slow;
    cluster.boot(c);
    await cluster.time.runFor(160);
    cluster.crash(b);
    b.disk = cluster.newDisk();
    cluster.boot(b);
    const leader = await cluster.leader();
    await cluster.time.runFor(5000);
    const bootstrapped = cluster.members.filter(({ disk }) => disk.content.applied !== undefined);
    assert.ok(bootstrapped.length >= 2);
    for (const member of bootstrapped) assert.deepEqual(membership(member), membership(leader));
  });

  it('a member that lost its disk is refused with the way back, and can come back as a new member', async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    await cluster.commit(leader, 'one');
    const wiped = cluster.follower();
    const id = wiped.disk.memberId;
    cluster.crash(wiped);
    wiped.disk = cluster.newDisk();
    cluster.boot(wiped);
    await cluster.time.runFor(3000);
    const found = problem(wiped, 'wiped');
    assert.match(
      found?.message ?? '',
      /remove it with `sublet members remove \w`, start it on an empty data directory with --join, and add it with/,
    );
    assert.ok(id !== undefined);
    await cluster.time.until(leader.replica.changeMembership({ kind: 'remove', member: id }), 5000);
    const { name, peer, disk } = wiped;
    const added = cluster.time.until(
      leader.replica.changeMembership({ kind: 'add-learner', name, peer, storeId: disk.storeId }),
      5000,
    );
    assert.equal((await added).members.find((member) => member.name === name)?.id, 4);
    await cluster.time.runUntil(() => wiped.running && wiped.disk.memberId === 4, 10_000, 'joining');
    await cluster.converged();
    assert.equal(wiped.ledger.text, '1 one');
    assert.equal(wiped.replica.status().snapshotsInstalled, 1);
  });

  it('names the differences when founders are configured differently', async () => {
    const cluster = new TestCluster();
    const [a, b, c] = cluster.members;
    if (a === undefined || b === undefined || c === undefined) throw new Error('three members');
    cluster.boot(a);
    cluster.boot(b, { founders: [a, b] });
    cluster.boot(c);
    await cluster.time.runFor(5000);
    assert.equal(
      problem(a, 'founders-differ')?.message,
      'b at b:7071 is configured with the founders a=a:7071, b=b:7071, this member with a=a:7071, b=b:7071, c=c:7071: make them the same',
    );
    assert.ok(cluster.members.every(({ disk }) => disk.content.applied === undefined));
    cluster.crash(b);
    cluster.boot(b);
    await cluster.leader();
  });

  it('names a peer of another cluster', async () => {
    const cluster = new TestCluster();
    const [a, b, c] = cluster.members;
    if (a === undefined || b === undefined || c === undefined) throw new Error('three members');
    cluster.boot(a);
    cluster.boot(b, { clusterId: 'other' });
    cluster.boot(c);
    await cluster.time.runFor(5000);
    assert.match(
      problem(a, 'other-cluster')?.message ?? '',
      /^b at b:7071 belongs to cluster other, this member to test/,
    );
    assert.equal(cluster.ready, undefined);
  });

  it('names two members with the same name', async () => {
    const cluster = new TestCluster();
    const [a, b, c] = cluster.members;
    if (a === undefined || b === undefined || c === undefined) throw new Error('three members');
    cluster.boot(a);
    cluster.boot(b, { name: 'a' });
    cluster.boot(c);
    await cluster.time.runFor(5000);
    assert.match(
      problem(a, 'name-mismatch')?.message ?? '',
      /^b at b:7071 answers as a, which is the name of this member/,
    );
    assert.match(problem(c, 'name-mismatch')?.message ?? '', /^b at b:7071 answers as a:/);
    assert.equal(cluster.ready, undefined);
  });

  it('a stranger waits until it is added, and says how', async () => {
    const cluster = await TestCluster.start({ names: ['a'] });
    const [a] = cluster.members;
    if (a === undefined) throw new Error('no member');
    const b = cluster.add('b');
    cluster.boot(b, { founders: [a, b] });
    await cluster.time.runFor(3000);
    assert.match(
      problem(b, 'not-a-member')?.message ?? '',
      /has no member b: add it with `sublet members add b=HOST:PORT`/,
    );
    const { name, peer, disk } = b;
    await cluster.time.until(
      a.replica.changeMembership({ kind: 'add-learner', name, peer, storeId: disk.storeId }),
      1000,
    );
    await cluster.commit(a, 'for two');
    await cluster.time.runUntil(() => b.ledger.text === '1 for two', 10_000, 'catching up');
  });

  it('a store of another member, or another cluster, is not used', async () => {
    const cluster = await TestCluster.start({ names: ['a'] });
    const [a] = cluster.members;
    if (a === undefined) throw new Error('no member');
    const start = async (settings: { readonly name?: string; readonly clusterId?: string }) => {
      cluster.crash(a);
      cluster.boot(a, settings);
      await cluster.time.until(a.process?.started ?? Promise.resolve(), 1000);
    };
    await assert.rejects(
      start({ name: 'z' }),
      /store belongs to member a, but the configured name is z: start it as a \(name, --name\), or give z a data directory/,
    );
    await assert.rejects(start({ clusterId: 'z' }), /store belongs to cluster test, but the configured cluster is z/);
    await start({});
  });
});

describe('a bootstrap alone', () => {
  /** `a` has bootstrapped alone, the others have joined, and then its disk is lost; `others` run on. */
  async function grown(): Promise<{ readonly cluster: TestCluster; readonly a: TestMember; readonly b: TestMember }> {
    const cluster = await TestCluster.start({ names: ['a'] });
    const [a] = cluster.members;
    const b = cluster.add('b');
    if (a === undefined) throw new Error('no member');
    cluster.boot(b);
    const { name, peer, disk } = b;
    const add = { kind: 'add-learner', name, peer, storeId: disk.storeId } as const;
    await cluster.time.until(a.replica.changeMembership(add), 5000);
    const caughtUp = () => (a.replica.status().peers[0]?.matchIndex ?? 0) > 0;
    await cluster.time.runUntil(caughtUp, 10_000, 'b has caught up');
    const id = b.disk.memberId ?? assert.fail();
    await cluster.time.until(a.replica.changeMembership({ kind: 'promote', member: id }), 5000);
    await cluster.converged();
    cluster.crash(a);
    a.disk = cluster.newDisk();
    return { cluster, a, b };
  }

  it('waits a moment for masters that know it, and then begins', async () => {
    const cluster = new TestCluster({ names: ['a'] });
    const [a] = cluster.members;
    if (a === undefined) throw new Error('no member');
    cluster.boot(a);
    await cluster.time.runFor(1_400);
    assert.equal(a.disk.content.applied, undefined);
    assert.equal(
      problem(a, 'not-ready')?.message,
      'a at a:7071 bootstraps cluster test alone, and first waits 1s500ms for masters that know it already',
    );
    await cluster.leader(1_000);
  });

  it('is no more when its disk was lost after others had joined: they call it, and it stays empty', async () => {
    const { cluster, a, b } = await grown();
    cluster.boot(a);
    await cluster.time.runFor(20_000);
    assert.equal(a.disk.content.applied, undefined, 'nothing was bootstrapped');
    const stores = /^b at b:7071 knows a with store 0+1, but this store is 0+3: its data was lost.*--join/;
    assert.match(problem(a, 'wiped')?.message ?? '', stores);
    assert.equal(b.replica.status().membership.members.length, 2);
  });

  it('is taken back when the others are heard only later: there never are two incarnations that know of each other', async () => {
    const { cluster, a, b } = await grown();
    cluster.hub.isolate(a.peer, [b.peer]);
    cluster.boot(a);
    await cluster.leader();
    const first = b.replica.status().membership.incarnation;
    const second = a.replica.status().membership.incarnation;
    assert.match(first, /^[0-9a-f]{16}$/);
    assert.match(second, /^[0-9a-f]{16}$/);
    assert.notEqual(first, second);
    cluster.hub.heal();
    const ended = (): string | undefined =>
      a.events.flatMap((event) => (event.kind === 'removed' ? [event.message] : []))[0];
    await cluster.time.runUntil(() => ended() !== undefined, 5_000, 'the end of the second incarnation');
    assert.match(
      ended() ?? '',
      new RegExp(`^cluster test exists already \\(incarnation ${first}\\), with a as a member, as b at b:7071 says; `),
    );
    assert.match(ended() ?? '', new RegExp(`second incarnation \\(${second}\\).*remove it with .*--join`));
    await assert.rejects(a.replica.propose(new Uint8Array(1)), /stopped/);
  });

  it('gives all joining members the same incarnation, and keeps it across a restart', async () => {
    const { cluster, b } = await grown();
    const { incarnation } = b.replica.status().membership;
    assert.equal(b.disk.content.applied?.membership.incarnation, incarnation);
    cluster.restart(b);
    await cluster.time.runUntil(() => b.replica.status().appliedIndex > 0, 5_000, 'b is at work');
    assert.equal(b.replica.status().membership.incarnation, incarnation);
  });
});

describe('finding a place among members that differ', () => {
  const ownStore = 'd'.repeat(32);

  function membership(given: number, members: readonly (readonly [id: number, name: string, storeId: string])[]) {
    const known = members.map(
      ([id, name, storeId]): MemberInfo => ({ id: memberId(id), name, peer: `${name}:7071`, storeId }),
    );
    return { ...noMembership('test'), members: known, nextMemberId: memberId(given + 1) };
  }

  /** What d finds when a and b answer with these, after a round; it gives up then. */
  async function placeBy(answers: Readonly<Record<'a' | 'b', Membership>>): Promise<MemberId | string | undefined> {
    let told: BootstrapProblem | undefined;
    const hello = async (peer: string): Promise<MemberHello> => {
      const name = peer === 'a:7071' ? 'a' : 'b';
      const common = { clusterId: 'test', storeId: '', bootstrapped: true, commandKinds: [], founders: [], seen: [] };
      const store = { claim: uncountedClaim(''), contradiction: undefined };
      return { ...common, ...store, name, membership: answers[name] };
    };
    const bootstrap: Bootstrap = new Bootstrap({
      name: 'd',
      clusterId: 'test',
      founders: [],
      join: ['a:7071', 'b:7071'],
      storeId: ownStore,
      hello,
      clock: { now: () => 0, after: () => () => {} },
      aloneMs: 0,
      problem: (problem) => {
        told = problem;
        bootstrap.stop();
      },
    });
    const place: Bootstrapped | undefined = await bootstrap.run();
    return place?.memberId ?? told?.code;
  }

  const [a, b] = [[1, 'a', 'a'] as const, [2, 'b', 'b'] as const];
  const d = (id: number, storeId = ownStore) => [id, 'd', storeId] as const;
  const cases = [
    ['one has not heard of it yet', membership(3, [a, b]), membership(4, [b, d(4)]), 4],
    ['one knows only the store that it had before', membership(4, [a, b, d(3, 'old')]), membership(5, [b, d(5)]), 5],
    ['one has not heard that it was removed', membership(4, [a, b, d(4)]), membership(4, [a, b]), 'not-a-member'],
    ['one has not heard that it was added again', membership(4, [a, b, d(4)]), membership(6, [b, d(6)]), 6],
    ['one has not heard of its next store', membership(4, [a, b, d(4)]), membership(5, [a, b, d(5, 'new')]), 'wiped'],
  ] as const;
  for (const [what, older, newer, place] of cases) {
    it(`goes by the newest: ${what}`, async () => {
      assert.equal(await placeBy({ a: older, b: newer }), place);
      assert.equal(await placeBy({ a: newer, b: older }), place);
    });
  }
});
