import assert from 'node:assert/strict';
import { answerTimeoutMs } from '#agent/lease/keep-alive.js';
import { MasterError } from '#agent/master-api.js';
import { behindMaxMs } from '#agent/peers/peer-watch.js';
import { agentStatus } from '#agent/report/agent-status.js';
import { AgentWorld } from '#agent/testing/agent-world.js';
import { changes, exampleAgent, snapshot, unavailable } from '#agent/testing/fake-masters.js';

describe('keep-alives of an agent', () => {
  let world: AgentWorld;
  beforeEach(() => {
    world = new AgentWorld();
  });

  it('are sent when the last answer says so', async () => {
    let next = 1_000;
    world.masters.onKeepAlive = () => {
      next *= 2;
      return { nextInMs: next, revision: 100 };
    };
    world.start();
    await world.time.runFor(14_100);
    assert.equal(world.masters.keepAlives.length, 4);
  });

  it('are never sent in a hurry, whatever the answer says', async () => {
    world.masters.onKeepAlive = () => ({ nextInMs: 0, revision: 100 });
    world.start();
    await world.time.runFor(10_000);
    assert.ok(world.masters.keepAlives.length <= 100);
  });

  it('go to another master when one does not answer, well before the agent counts as silent', async () => {
    const agent = world.start();
    await world.time.runFor(1_000);
    const before = agent.options.api.current;
    world.masters.onKeepAlive = () => 'silence';
    await world.time.runFor(9_100 + answerTimeoutMs);
    const sent = world.masters.keepAlives.length;
    world.masters.onKeepAlive = () => ({ nextInMs: 10_000, revision: 100 });
    await world.time.runFor(1_000);
    assert.equal(world.masters.keepAlives.length, sent + 1);
    assert.notEqual(agent.options.api.current, before);
    assert.equal(agent.keepAlive.counts.lastError, '');
    assert.equal(agent.keepAlive.counts.failures, 1);
  });

  it('that the masters refuse are a problem of the agent, until one is answered', async () => {
    const agent = world.start();
    await world.time.runFor(1_000);
    world.masters.onKeepAlive = () => new MasterError('refused', 'PERMISSION_DENIED', 'agent/a was revoked');
    await world.time.runFor(20_000);
    const problem = 'the masters refuse to keep the lease alive: agent/a was revoked';
    assert.ok(agentStatus(agent, 'plan').problems.includes(problem));
    const logged = (): number => world.logged.filter((line) => line.includes('refuse to keep the lease alive')).length;
    assert.equal(logged(), 1, 'each try is not a line');
    // Its connection is ended after that.
    world.masters.onKeepAlive = () => unavailable;
    await world.time.runFor(10_000);
    assert.ok(agentStatus(agent, 'plan').problems.includes(problem));
    const again = (): number => world.logged.filter((line) => line === 'the masters keep the lease alive again').length;
    assert.equal(again(), 0);
    world.masters.onKeepAlive = () => ({ nextInMs: 1_000, revision: 100 });
    await world.time.runFor(20_000);
    assert.deepEqual(agentStatus(agent, 'plan').problems, []);
    assert.equal(again(), 1);
  });

  it('that no master answers are in the log, once, and their return', async () => {
    world.start();
    await world.time.runFor(1_000);
    world.logged.length = 0;
    world.masters.setDown(true);
    await world.time.runFor(600_000);
    const said = (): readonly string[] => world.logged.filter((line) => /no master is heard|answer again/.test(line));
    assert.deepEqual(said(), ['no master is heard; the host stays as it is, and the agent tries on']);
    world.masters.setDown(false);
    await world.time.runFor(20_000);
    assert.deepEqual(said().slice(1), ['the masters answer again']);
  });

  it('come again within 1 s of the masters coming back', async () => {
    const agent = world.start();
    await world.time.runFor(1_000);
    world.masters.setDown(true);
    await world.time.runFor(600_000);
    const answered = agent.keepAlive.counts.answered;
    world.masters.setDown(false);
    world.random = 0.999;
    await world.time.runFor(1_100);
    assert.ok(agent.keepAlive.counts.answered > answered);
  });
});

describe('watch of an agent', () => {
  let world: AgentWorld;
  beforeEach(() => {
    world = new AgentWorld();
  });

  it('goes on at the next master from the revision it has', async () => {
    const agent = world.start();
    await world.time.runFor(1_000);
    world.masters.lastWatch.send(changes(101, { agentChanged: exampleAgent('c', 3) }));
    world.masters.onWatch = () => {};
    const { master } = world.masters.lastWatch;
    world.masters.lastWatch.end();
    await world.time.runFor(1_000);
    const request = { clusterId: 'cluster-1', incarnation: 'f1', fromRevision: 101, peersOnly: true, peerForm: 1 };
    assert.deepEqual(world.masters.lastWatch.request, request);
    assert.notEqual(world.masters.lastWatch.master, master);
    assert.equal(agent.table.size, 2);
  });

  it('begins anew when a master breaks the protocol', async () => {
    const agent = world.start();
    await world.time.runFor(1_000);
    const broken = world.masters.lastWatch;
    broken.send({ snapshotEnd: { revision: 200 } });
    await world.time.runFor(1_000);
    assert.equal(broken.open, false);
    assert.equal(world.masters.watches.length, 2);
    assert.equal(agent.table.size, 1);
  });

  it('leaves a master that stays behind the revision of the others', async () => {
    world.masters.onKeepAlive = () => ({ nextInMs: 10_000, revision: 500 });
    world.start();
    await world.time.runFor(10_000 + behindMaxMs - 100);
    assert.equal(world.masters.watches.length, 1);
    await world.time.runFor(1_000);
    assert.equal(world.masters.watches.length, 2);
    assert.notEqual(world.masters.watches[0]?.master, world.masters.watches[1]?.master);
  });

  it('stays with a master that comes forward', async () => {
    let revision = 100;
    world.masters.onKeepAlive = () => {
      revision += 10;
      return { nextInMs: 10_000, revision: revision + 20 };
    };
    world.start();
    await world.time.runFor(1_000);
    for (let tick = 0; tick < 20; tick++) {
      world.masters.lastWatch.send({ progress: { revision } });
      await world.time.runFor(10_000);
    }
    assert.equal(world.masters.watches.length, 1);
  });

  it('gives the host changes that come together at once', async () => {
    world.start();
    await world.time.runFor(1_000);
    const told = world.host.inputs.length;
    for (let number = 3; number < 50; number++) {
      world.masters.lastWatch.send(changes(100 + number, { agentChanged: exampleAgent(`x${number}`, number) }));
    }
    await world.time.runFor(1_000);
    assert.equal(world.host.inputs.length, told + 1);
    assert.equal(world.host.last()?.peers.length, 48);
  });

  it('does not give the host what it would not see', async () => {
    world.start();
    await world.time.runFor(1_000);
    const told = world.host.inputs.length;
    world.masters.lastWatch.send({ progress: { revision: 200 } });
    world.masters.lastWatch.send(changes(201, { agentChanged: { ...exampleAgent('b', 2), hostname: 'x' } }));
    await world.time.runFor(1_000);
    assert.equal(world.host.inputs.length, told);
  });

  it('caches the peers soon after a change, and the position now and then', async () => {
    const agent = world.start();
    await world.time.runFor(3_000);
    assert.equal(world.store.peers?.revision, 100);
    world.masters.lastWatch.send({ progress: { revision: 101 } });
    await world.time.runFor(30_000);
    assert.equal(world.store.peers?.revision, 100);
    await world.time.runFor(30_000);
    assert.equal(world.store.peers?.revision, 101);
    world.masters.lastWatch.send({ progress: { revision: 102 } });
    await agent.stop();
    assert.equal(world.store.peers?.revision, 102);
  });
});

describe('status reports of an agent', () => {
  it('go out when the status changes, once, and again until a master took them', async () => {
    const world = new AgentWorld();
    world.start();
    await world.time.runFor(1_000);
    assert.equal(world.masters.reports.length, 1);
    world.masters.onReport = () => unavailable;
    const failed = { kind: 'failed', name: 'dcos', error: 'x'.repeat(2_000) } as const;
    world.host.tell({ overlays: [failed], problems: [], converged: false });
    await world.time.runFor(30_000);
    assert.ok(world.masters.reports.length > 2);
    world.masters.onReport = () => undefined;
    await world.time.runFor(60_000);
    const sent = world.masters.reports.length;
    const { state } = world.masters.reports.at(-1)?.overlays?.[0] ?? {};
    assert.equal(state?.status, 2);
    assert.equal(state?.error?.length, 1024);
    world.host.tell({ overlays: [failed], problems: ['other'], converged: false });
    await world.time.runFor(60_000);
    assert.equal(world.masters.reports.length, sent);
  });

  it('are not sent by an agent that holds nothing', async () => {
    const world = new AgentWorld();
    world.masters.onWatch = (watch) => watch.send(...snapshot(100));
    world.start();
    world.host.tell({ overlays: [], problems: ['something'], converged: false });
    await world.time.runFor(100);
    assert.deepEqual(world.masters.reports, []);
  });
});
