import assert from 'node:assert/strict';
import { logIndex, noTerm } from '#raft/log/entry.js';
import type { LeadershipNotice } from '#replica/fitness/leadership-state.js';
import { ProposeError } from '#replica/ports/replicated-log.js';
import { callerOf } from '#replica/testing/peer-place.js';
import { TestCluster, type TestMember } from '#replica/testing/test-cluster.js';

function code(error: unknown): string {
  return error instanceof ProposeError ? error.code : String(error);
}

function peers(cluster: TestCluster): string[] {
  return cluster.members.map(({ peer }) => peer);
}

describe('leadership', () => {
  it('passes on when the leader crashes; nothing acknowledged is lost, and it catches up when it is back', async () => {
    const cluster = await TestCluster.start();
    const first = await cluster.leader();
    for (const text of ['one', 'two', 'three']) await cluster.commit(first, text);
    cluster.crash(first);
    const crashedMs = cluster.time.now();
    const second = await cluster.leader();
    assert.ok(cluster.time.now() - crashedMs <= 4000, `${cluster.time.now() - crashedMs} ms without a leader`);
    assert.equal((await cluster.commit(second, 'four')).output, '4: four');
    cluster.boot(first);
    await cluster.converged();
    for (const { ledger } of cluster.members) assert.equal(ledger.text, '1 one\n2 two\n3 three\n4 four');
    assert.deepEqual(cluster.promises.violations, []);
  });

  it('comes back after all have crashed at once, with the same state', async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    await cluster.time.until(
      Promise.all(Array.from({ length: 100 }, (_, at) => cluster.propose(leader, `${at}`))),
      1000,
    );
    const text = leader.ledger.text;
    for (const member of cluster.members) cluster.restart(member);
    await cluster.leader();
    await cluster.converged();
    for (const { ledger } of cluster.members) assert.equal(ledger.text, text);
  });

  it('shows the leader, when asked elsewhere', async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    await cluster.time.runFor(500);
    const follower = cluster.follower();
    await assert.rejects(
      cluster.propose(follower, 'x'),
      (error) => error instanceof ProposeError && error.code === 'not-leader' && error.leader?.name === leader.name,
    );
  });

  it('serves only after an entry of its own term is applied', async () => {
    const cluster = new TestCluster();
    const notices: LeadershipNotice[] = [];
    for (const member of cluster.members) {
      cluster.boot(member);
      member.replica.onLeadership((notice) => {
        if (notice.isSelf) notices.push(notice);
      });
    }
    const leader = await cluster.leader();
    assert.deepEqual(
      notices.map(({ ready }) => ready),
      [false, true],
    );
    assert.equal(leader.replica.status().leaderReady, true);
    assert.equal(leader.replica.status().appliedIndex, 2);
  });

  it('an isolated leader steps down, answers nothing, and its lost commands are known from those that were applied', async () => {
    const cluster = await TestCluster.start();
    const old = await cluster.leader();
    await cluster.commit(old, 'kept');
    cluster.hub.isolate(old.peer, peers(cluster));
    const lost = cluster.propose(old, 'lost').catch(code);
    await cluster.time.runUntil(() => cluster.ready !== undefined && cluster.ready !== old, 10_000);
    assert.equal((await cluster.time.until(lost, 10_000)) as unknown, 'unknown-outcome');
    assert.notEqual(old.replica.status().role, 'leader');
    const leader = await cluster.leader();
    await cluster.commit(leader, 'new');
    cluster.hub.heal();
    await cluster.converged();
    for (const { ledger } of cluster.members) assert.equal(ledger.text, '1 kept\n2 new');
  });

  it('that is lost leaves what was in flight to the next leader: a pending caller gets its answer, if it comes soon', async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const others = cluster.members.filter((member) => member !== leader);
    // The others have the command, and the leader does not learn of it.
    for (const { peer } of others) cluster.hub.cut(peer, leader.peer);
    const outcome = cluster.propose(leader, 'x');
    await cluster.time.runFor(50);
    cluster.hub.heal();
    for (const { peer } of others) cluster.hub.cut(leader.peer, peer);
    await cluster.time.runUntil(() => leader.replica.status().role !== 'leader', 5000, 'the end of its leadership');
    cluster.hub.heal();
    assert.equal((await cluster.time.until(outcome, 3000)).output, '1: x');
  });

  it('refuses at once what was queued and never proposed, when leadership is lost', async () => {
    const cluster = await TestCluster.start();
    const old = await cluster.leader();
    cluster.hub.isolate(old.peer, peers(cluster));
    old.disk.fate = () => ({ kind: 'ok', afterMs: 20_000 });
    const proposed = cluster.propose(old, 'proposed').catch(code);
    await cluster.time.runFor(50);
    const queued = cluster.propose(old, 'queued').catch(code);
    assert.equal((await cluster.time.until(queued, 10_000)) as unknown, 'not-leader');
    assert.equal((await cluster.time.until(proposed, 10_000)) as unknown, 'unknown-outcome');
  });

  it('is handed over on stop: what is under way is answered, and another leads without an election timeout', async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    await cluster.time.runFor(1000);
    const answers = Array.from({ length: 20 }, (_, at) => cluster.propose(leader, `${at}`));
    await cluster.time.runFor(1);
    const beginMs = cluster.time.now();
    const stopped = leader.replica.stop({ transfer: true });
    await cluster.time.runUntil(() => cluster.ready !== undefined && cluster.ready !== leader, 900, 'the next leader');
    assert.ok(cluster.time.now() - beginMs < 100, `${cluster.time.now() - beginMs} ms without a leader`);
    await cluster.time.until(stopped, 3000);
    await cluster.time.until(Promise.all(answers), 100);
    await assert.rejects(cluster.propose(leader, 'late'), (error) => code(error) === 'stopped');
  });

  it('does not count the target of a transfer as heard, if a follower asks for it', async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const [follower, dead] = cluster.members.filter((member) => member !== leader);
    if (follower === undefined || dead === undefined) throw new Error('three members');
    const id = dead.disk.memberId;
    cluster.crash(dead);
    await cluster.time.runFor(3_000);
    const heardMs = (): number | undefined =>
      leader.replica.status().peers.find(({ member }) => member.id === id)?.lastContactMs;
    const before = heardMs() ?? assert.fail();
    const asked: string[] = [];
    cluster.hub.onSend = ({ kind }) => asked.push(kind);
    follower.replica.transferLeadership(id);
    await cluster.time.runFor(100);
    assert.ok(asked.includes('timeout-now'), 'the leader has the wish');
    assert.equal(heardMs(), before);
  });

  it('does not count the member that asked for a read as heard, if a follower passes the question on', async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const [follower, dead] = cluster.members.filter((member) => member !== leader);
    if (follower === undefined || dead === undefined) throw new Error('three members');
    const [from, to] = [dead.disk.memberId, follower.disk.memberId];
    if (from === undefined || to === undefined) throw new Error('members of a cluster');
    cluster.crash(dead);
    await cluster.time.runFor(3_000);
    const heardMs = (): number | undefined =>
      leader.replica.status().peers.find(({ member }) => member.id === from)?.lastContactMs;
    const before = heardMs() ?? assert.fail();
    const message = { kind: 'read-index', from, to, term: noTerm, request: 7 } as const;
    const caller = callerOf(message, follower.replica.status().membership, from, undefined) ?? assert.fail();
    let passedOn = false;
    cluster.hub.onSend = (sent) => {
      passedOn ||= sent.kind === 'read-index' && sent.from === from && sent.to === leader.disk.memberId;
    };
    cluster.hub.carry(leader.peer, follower.peer, (node) => node.take(message, caller, assert.fail));
    await cluster.time.runFor(100);
    assert.ok(passedOn);
    assert.equal(heardMs(), before);
  });

  /**
   * A leader of three that loses its leadership with entries in flight that no other member has, and leads again at
   * once.
   */
  async function leadingAgain<Answer>(
    ask: (cluster: TestCluster, leader: TestMember) => readonly Promise<Answer>[],
  ): Promise<{ readonly cluster: TestCluster; readonly leader: TestMember; readonly before: Promise<unknown> }> {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    await cluster.time.runFor(1000);
    cluster.hub.isolate(leader.peer, peers(cluster));
    const before = Promise.all(ask(cluster, leader).map((answer) => answer.catch(code)));
    const others = cluster.members.filter((member) => member !== leader);
    const other = (): TestMember | undefined => others.find(({ replica }) => replica.status().leaderReady);
    await cluster.time.runUntil(() => other() !== undefined, 5000, 'another leader');
    cluster.hub.heal();
    const next = other()?.replica ?? assert.fail();
    await cluster.time.runUntil(() => !leader.replica.status().leaderReady, 500, 'the end of its leadership');
    next.transferLeadership(leader.disk.memberId);
    await cluster.time.runUntil(() => leader.replica.status().leaderReady, 500, 'its leadership anew');
    return { cluster, leader, before };
  }

  it('rejects a pending command whose index now has another one, when it leads again at once', async () => {
    const { cluster, leader, before } = await leadingAgain((at, old) =>
      Array.from({ length: 6 }, (_, nth) => at.propose(old, `lost ${nth}`)),
    );
    const after = Array.from({ length: 6 }, (_, nth) => cluster.propose(leader, `new ${nth}`));
    await cluster.time.until(Promise.all(after), 1000);
    assert.deepEqual(await cluster.time.until(before, 3000), Array(6).fill('not-leader'));
  });

  it('rejects likewise a pending change of the membership whose index now has another one', async () => {
    const add = (member: TestMember, name: string): Promise<unknown> =>
      member.replica.changeMembership({ kind: 'add-learner', name, peer: `${name}:7071`, storeId: name });
    const { cluster, leader, before } = await leadingAgain((at, old) => {
      const commands = [at.propose(old, 'lost'), at.propose(old, 'lost, too')];
      return [...commands, at.time.sleep(5).then(() => add(old, 'd'))];
    });
    await cluster.time.until(add(leader, 'e'), 1000);
    assert.deepEqual(await cluster.time.until(before, 3000), Array(3).fill('not-leader'));
  });

  for (const who of ['a follower', 'the leader']) {
    it(`has ${who} stop at once, and leave nothing armed, also while commands go on and on`, async () => {
      const cluster = await TestCluster.start();
      const leader = await cluster.leader();
      await cluster.time.runFor(1000);
      let goesOn = true;
      const client = async (): Promise<void> => {
        while (goesOn) {
          const at = cluster.ready ?? leader;
          await cluster.propose(at, 'another').catch(() => cluster.time.sleep(20));
        }
      };
      // Slower than commands come, so that a write follows upon the other.
      for (const { disk } of cluster.members) disk.fate = () => ({ kind: 'ok', afterMs: 10 });
      const clients: Promise<void>[] = [];
      for (let one = 0; one < 40; one += 1) {
        clients.push(client());
        await cluster.time.runFor(1);
      }
      await cluster.time.runFor(500);
      const member = who === 'the leader' ? leader : cluster.follower();
      const beginMs = cluster.time.now();
      await cluster.time.until(member.replica.stop({ transfer: true }), 3000);
      assert.ok(cluster.time.now() - beginMs < 200, `${cluster.time.now() - beginMs} ms`);
      assert.equal(member.process?.timers.size, 0, 'timers that keep the process');
      goesOn = false;
      await cluster.time.until(Promise.all(clients), 5000);
    });
  }

  it('can be handed over at any moment, also just after the core has counted its quorum', async () => {
    for (let waitMs = 0; waitMs < 1200; waitMs += 25) {
      const cluster = await TestCluster.start();
      const leader = await cluster.leader();
      // So that it takes a while to hear of the others after their answers were counted.
      cluster.hub.delayMs = 40;
      await cluster.time.runFor(1000 + waitMs);
      assert.notEqual(leader.replica.transferLeadership(), undefined, `after ${1000 + waitMs} ms`);
      await cluster.time.runFor(500);
      assert.notEqual(await cluster.leader(), leader);
    }
  });

  it('moves to the member that an operator names', async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const target = cluster.follower();
    await cluster.time.runFor(500);
    leader.replica.transferLeadership(target.disk.memberId);
    await cluster.time.runUntil(() => cluster.ready === target, 1000, 'the transfer');
  });

  it('passes on when the disk of the leader hangs, which does not campaign until it answers; heartbeats go on', async () => {
    const cluster = await TestCluster.start();
    const sick = await cluster.leader();
    await cluster.commit(sick, 'one');
    await cluster.time.runFor(3000);
    sick.disk.fate = () => ({ kind: 'hang' });
    const stuck = cluster.propose(sick, 'two').catch(code);
    let heartbeats = 0;
    const { onSend } = cluster.hub;
    cluster.hub.onSend = (message) => {
      onSend(message);
      if (message.kind === 'heartbeat' && message.from === sick.disk.memberId) heartbeats += 1;
    };
    await cluster.time.runFor(900);
    assert.ok(heartbeats >= 16, `${heartbeats} heartbeats while the disk hung`);
    await cluster.time.runUntil(() => cluster.ready !== undefined && cluster.ready !== sick, 2000, 'the handover');
    const next = await cluster.leader();
    assert.ok(sick.events.some((event) => event.kind === 'disk-hangs' && event.handsOverTo === next.disk.memberId));
    assert.equal((await cluster.commit(next, 'three')).output, '3: three');
    // The others lose their leader, too: the one with the sick disk alone would campaign now.
    const term = next.replica.status().term;
    cluster.crash(next);
    await cluster.time.runFor(10_000);
    assert.notEqual(sick.replica.status().role, 'leader');
    assert.ok(['follower'].includes(sick.replica.status().role));
    const vain = sick.replica.status().term;
    assert.equal(vain, term, 'it did not campaign');
    sick.disk.fate = () => ({ kind: 'ok', afterMs: 1 });
    sick.disk.release();
    await cluster.leader();
    await cluster.converged();
    assert.equal((await cluster.time.until(stuck, 100)) as unknown, 'unknown-outcome');
    assert.ok(sick.events.some((event) => event.kind === 'disk-answers'));
    for (const { ledger } of cluster.members.filter(({ running }) => running)) {
      assert.equal(ledger.text, '1 one\n2 two\n3 three');
    }
    assert.deepEqual(cluster.promises.violations, []);
  });

  it('is not taken over by a member whose disk hangs', async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const sick = cluster.follower();
    await cluster.commit(leader, 'one');
    await cluster.time.runFor(200);
    // It has acknowledged all there is; the write that hangs is that of what it applied.
    sick.disk.fate = () => ({ kind: 'hang' });
    await cluster.time.runFor(4000);
    const { term } = leader.replica.status();
    leader.replica.transferLeadership(sick.disk.memberId);
    await cluster.time.runFor(2000);
    assert.ok(sick.events.some((event) => event.kind === 'message-refused' && /disk hangs/.test(event.reason)));
    assert.equal(leader.replica.status().term, term);
    assert.equal((await cluster.commit(leader, 'two')).output, '2: two');
  });

  for (const stored of [true, false]) {
    it(`a member whose write failed (data ${stored ? 'there' : 'not there'}) stops for good; the others go on`, async () => {
      const cluster = await TestCluster.start();
      const leader = await cluster.leader();
      leader.disk.fate = () => ({ kind: 'fail', afterMs: 5, stored });
      const outcome = cluster.propose(leader, 'x').catch(code);
      assert.equal((await cluster.time.until(outcome, 3000)) as unknown, 'unknown-outcome');
      const fatal = leader.events.find((event) => event.kind === 'fatal');
      assert.match(fatal?.error.message ?? '', /the disk failed/);
      await assert.rejects(leader.replica.readBarrier(), (error) => code(error) === 'stopped');
      cluster.crash(leader);
      const next = await cluster.leader();
      await cluster.commit(next, 'y');
      leader.disk.fate = () => ({ kind: 'ok', afterMs: 1 });
      cluster.boot(leader);
      await cluster.converged();
      const texts = new Set(cluster.members.map(({ ledger }) => ledger.text));
      assert.equal(texts.size, 1);
      assert.deepEqual(cluster.promises.violations, []);
    });
  }

  it('a member that has lost its tail stops when its leader knows better, and says how to come back', async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const forgetful = cluster.follower();
    for (const text of ['one', 'two', 'three']) await cluster.commit(leader, text);
    await cluster.converged();
    cluster.crash(forgetful);
    const { content } = forgetful.disk;
    const { hardState, applied } = content;
    if (hardState === undefined || applied === undefined) throw new Error('nothing is stored');
    forgetful.disk.content = {
      ...content,
      hardState: { ...hardState, commit: logIndex(2) },
      entries: content.entries.slice(0, 1),
      applied: { ...applied, index: logIndex(1), time: 0 },
      records: new Map(),
    };
    cluster.boot(forgetful);
    await cluster.time.runFor(1000);
    const fatal = forgetful.events.find((event) => event.kind === 'fatal');
    assert.match(fatal?.error.message ?? '', /has lost what it had acknowledged: .*members remove \w.*members add/);
  });

  it('of a cluster that begins is there soon: without the wait of an election timeout', async () => {
    const cluster = await TestCluster.start();
    assert.ok(cluster.time.now() < 500, `${cluster.time.now()} ms`);
  });

  it('a command that a member does not know stops it, with the message', async () => {
    const cluster = await TestCluster.start({ names: ['a'] });
    const [a] = cluster.members;
    if (a === undefined) throw new Error('no member');
    const outcome = cluster.propose(a, 'unknown').catch(code);
    assert.equal((await cluster.time.until(outcome, 1000)) as unknown, 'unknown-outcome');
    const fatal = a.events.find((event) => event.kind === 'fatal');
    assert.match(fatal?.error.message ?? '', /kind "unknown" is not known to this version/);
  });

  it('a leader that was paused says so; its lease of office is over if the others went on', async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const notices: LeadershipNotice[] = [];
    leader.replica.onLeadership((notice) => notices.push(notice));
    cluster.pause(leader, 5000);
    await cluster.time.runFor(4900);
    assert.notEqual(cluster.ready, undefined);
    await cluster.time.runFor(2000);
    assert.ok(leader.events.some((event) => event.kind === 'paused' && event.forMs >= 4900));
    const leaders = cluster.members.filter(({ replica }) => replica.status().role === 'leader');
    assert.equal(leaders.length, 1);
    assert.notEqual(leaders[0], leader);
  });

  it('a paused leader that was not replaced reports to its listeners that it was paused', async () => {
    const cluster = await TestCluster.start({ names: ['a'] });
    const [a] = cluster.members;
    if (a === undefined) throw new Error('no member');
    const notices: LeadershipNotice[] = [];
    a.replica.onLeadership((notice) => notices.push(notice));
    cluster.pause(a, 3000);
    await cluster.time.runFor(4000);
    assert.deepEqual(
      notices.map(({ paused, ready, isSelf }) => ({ paused, ready, isSelf })),
      [{ paused: true, ready: true, isSelf: true }],
    );
  });

  it('a follower whose event loop stalled takes in what arrived meanwhile before it judges its leader', async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const { term } = leader.replica.status();
    for (let round = 0; round < 5; round += 1) {
      const follower: TestMember = cluster.follower();
      cluster.pause(follower, 3000);
      await cluster.time.runFor(6000);
    }
    assert.equal(leader.replica.status().term, term);
    assert.equal(cluster.ready, leader);
  });
});
