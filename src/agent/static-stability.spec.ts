import assert from 'node:assert/strict';
import { cacheAfterMs } from '#agent/agent.js';
import { fencedGraceMs } from '#agent/lease/lease-term.js';
import { AgentWorld } from '#agent/testing/agent-world.js';
import {
  aborted,
  changes,
  exampleAgent,
  exampleNetwork,
  grant,
  refusedAnswer,
  snapshot,
  unavailable,
} from '#agent/testing/fake-masters.js';

const hour = 3_600_000;

describe('rule 5, static stability of an agent', () => {
  let world: AgentWorld;
  beforeEach(() => {
    world = new AgentWorld();
  });

  /** Leaves a store behind as an agent does that ran before. */
  async function ranBefore(ttlSeconds = 0): Promise<void> {
    if (ttlSeconds > 0) withTtl(ttlSeconds);
    const agent = world.start();
    await world.time.runFor(2_000);
    await agent.stop();
  }

  function withTtl(ttlSeconds: number): void {
    world.masters.onRegister = (request) => grant(request, { ttlSeconds });
    world.masters.onKeepAlive = () => ({ nextInMs: 10_000, revision: 100, ttlLeftMs: ttlSeconds * 1000 });
  }

  it('starts from the cache when no master answers', async () => {
    await ranBefore();
    world.masters.setDown(true);
    const agent = world.start();
    await world.time.runFor(cacheAfterMs);
    assert.equal(world.host.last(), undefined);
    await world.time.runFor(1_000);
    assert.equal(agent.leaseSource, 'cache');
    assert.equal(world.host.last()?.leaseValid, true);
    assert.equal(world.host.last()?.lease.vxlan.vtepIp, '44.128.0.1/20');
    assert.deepEqual(
      world.host.last()?.peers.map(({ agentId }) => agentId),
      ['b'],
    );
    await world.time.runFor(2 * hour);
    assert.equal(world.host.last()?.leaseValid, true);
  });

  it('does not use the cache when a master answers', async () => {
    await ranBefore();
    world.masters.onRegister = (request) => grant(request, { epoch: 9 });
    world.start();
    await world.time.runFor(cacheAfterMs + 1_000);
    assert.equal(world.store.lease?.lease.epoch, 9);
    assert.ok(!world.logged.some((message) => message.includes('starting from the cache')));
  });

  it('goes back to the masters when they are there again, with the revision of its cache', async () => {
    await ranBefore();
    world.masters.setDown(true);
    const agent = world.start();
    await world.time.runFor(hour);
    world.masters.setDown(false);
    await world.time.runFor(11_000);
    assert.equal(agent.leaseSource, 'masters');
    const request = { clusterId: 'cluster-1', incarnation: 'f1', fromRevision: 100, peersOnly: true, peerForm: 1 };
    assert.deepEqual(world.masters.lastWatch.request, request);
  });

  it('sends the cluster and incarnation of its lease to the masters with each request', async () => {
    await ranBefore();
    const agent = world.start();
    await world.time.runFor(2_000);
    const { registers, keepAlives, reports, watches, leaves } = world.masters;
    await world.time.until(agent.leave(), 1_000);
    assert.equal(registers[0]?.held, undefined);
    const asked = [registers.at(-1)?.held, keepAlives.at(-1), reports.at(-1), watches.at(-1)?.request, leaves.at(-1)];
    for (const each of asked) assert.deepEqual([each?.clusterId, each?.incarnation], ['cluster-1', 'f1']);
    // Before there is a table, it is the lease's cluster whose peers are wanted.
    assert.deepEqual([watches[0]?.request.clusterId, watches[0]?.request.incarnation], ['cluster-1', 'f1']);
  });

  it('keeps the peers of another incarnation of its cluster from the host', async () => {
    world.masters.onWatch = (watch) => watch.send(...snapshot(100, undefined, 'cluster-1', 'f2'));
    world.start();
    await world.time.runFor(5_000);
    assert.equal(world.host.last(), undefined);
    world.masters.lastWatch.send(...snapshot(100));
    await world.time.runFor(500);
    assert.equal(world.host.last()?.peers.length, 1);
  });

  it('changes nothing on the host while the masters are down', async () => {
    world.start();
    await world.time.runFor(1_000);
    const told = world.host.inputs.length;
    world.masters.setDown(true);
    await world.time.runFor(2 * hour);
    assert.equal(world.host.inputs.length, told);
    assert.equal(world.host.last()?.leaseValid, true);
  });

  it('does not give the host a lease without the whole list of peers', async () => {
    world.masters.onWatch = (watch) => watch.send(...snapshot(100).slice(0, 3));
    world.start();
    await world.time.runFor(5_000);
    assert.equal(world.host.last(), undefined);
    world.masters.lastWatch.send(...snapshot(100).slice(3));
    await world.time.runFor(500);
    assert.deepEqual(
      world.host.last()?.peers.map(({ agentId }) => agentId),
      ['b'],
    );
  });

  it('takes the tunnel down when the TTL ends, counted from sending the last answered keep-alive', async () => {
    withTtl(3600);
    world.start();
    await world.time.runFor(25_000);
    assert.equal(world.masters.keepAlives.length, 3);
    // The third was sent 20 s and two round trips after the start.
    const sentAt = 20_000;
    world.masters.setDown(true);
    await world.time.runFor(sentAt + hour - 25_000 - 1);
    assert.equal(world.host.last()?.leaseValid, true);
    await world.time.runFor(5_200);
    assert.equal(world.host.last()?.leaseValid, false);
  });

  it('counts from the sending, however late the answer came', async () => {
    withTtl(60);
    world.start();
    await world.time.runFor(1_000);
    world.masters.latencyMs = 7_000;
    // Sent at 10 s and answered at 17 s; the next one is not answered.
    await world.time.runFor(17_000);
    world.masters.setDown(true);
    await world.time.runFor(10_000 + 60_000 + 5_200 - 18_000);
    assert.equal(world.host.last()?.leaseValid, false);
  });

  it('counts a registration from its sending, too', async () => {
    withTtl(60);
    world.masters.onKeepAlive = () => 'silence';
    world.masters.latencyMs = 20_000;
    world.start();
    await world.time.runFor(45_000);
    assert.equal(world.host.last()?.leaseValid, true);
    await world.time.runFor(60_000 + 5_200 - 45_000);
    assert.equal(world.host.last()?.leaseValid, false);
  });

  it('does not count a keep-alive that was not answered', async () => {
    withTtl(60);
    world.start();
    await world.time.runFor(1_000);
    world.masters.onKeepAlive = () => 'silence';
    await world.time.runFor(65_000);
    assert.equal(world.host.last()?.leaseValid, false);
  });

  it('brings the tunnel up again when the masters answer', async () => {
    withTtl(60);
    world.start();
    await world.time.runFor(1_000);
    world.masters.setDown(true);
    await world.time.runFor(120_000);
    assert.equal(world.host.last()?.leaseValid, false);
    world.masters.setDown(false);
    await world.time.runFor(10_000);
    assert.equal(world.host.last()?.leaseValid, true);
  });

  it('counts the time that the host slept', async () => {
    withTtl(3600);
    world.start();
    await world.time.runFor(1_000);
    world.masters.setDown(true);
    world.sleptMs = 2 * hour;
    await world.time.runFor(5_200);
    assert.equal(world.host.last()?.leaseValid, false);
  });

  it('counts on across a restart of the agent', async () => {
    await ranBefore(3600);
    world.masters.setDown(true);
    world.start();
    await world.time.runFor(hour - 10_000);
    assert.equal(world.host.last()?.leaseValid, true);
    await world.time.runFor(15_000);
    assert.equal(world.host.last()?.leaseValid, false);
  });

  it('does not trust a lease with a TTL after the host was booted, until a master confirms it', async () => {
    await ranBefore(3600);
    world.masters.setDown(true);
    world.bootId = 'boot-2';
    world.start();
    await world.time.runFor(10_000);
    assert.equal(world.host.last()?.leaseValid, false);
    world.masters.setDown(false);
    await world.time.runFor(11_000);
    assert.equal(world.host.last()?.leaseValid, true);
  });

  it('takes a boot clock that is behind what is cached for another boot', async () => {
    await ranBefore(3600);
    world.masters.setDown(true);
    world.sleptMs = -hour;
    world.start();
    await world.time.runFor(10_000);
    assert.equal(world.host.last()?.leaseValid, false);
  });

  it('takes the tunnel down when the boot clock goes back while the agent runs', async () => {
    withTtl(60);
    world.start();
    await world.time.runFor(30_000);
    world.masters.setDown(true);
    world.sleptMs = -60_000;
    await world.time.runFor(10_000);
    assert.equal(world.host.last()?.leaseValid, false);
  });

  it('has no end when a TTL is taken off', async () => {
    withTtl(60);
    world.start();
    await world.time.runFor(1_000);
    world.masters.onKeepAlive = () => ({ nextInMs: 10_000, revision: 100 });
    await world.time.runFor(20_000);
    world.masters.setDown(true);
    await world.time.runFor(2 * hour);
    assert.equal(world.host.last()?.leaseValid, true);
  });

  it('registers anew when its epoch is stale', async () => {
    const agent = world.start();
    await world.time.runFor(1_000);
    world.masters.onRegister = (request) => grant(request, { epoch: 50 });
    world.masters.onKeepAlive = ({ epoch }) => (epoch === 7 ? aborted : { nextInMs: 10_000, revision: 100 });
    await world.time.runFor(11_000);
    assert.deepEqual(
      world.masters.registers.map(({ sequence }) => sequence),
      [1, 2],
    );
    assert.equal(agent.lease?.epoch, 50);
    assert.equal(world.masters.keepAlives.at(-1)?.epoch, 50);
    assert.equal(world.masters.reports.at(-1)?.epoch, 50);
    assert.equal(world.host.last()?.leaseValid, true);
  });

  it('registers anew when a report finds its epoch stale', async () => {
    world.masters.onReport = () => aborted;
    world.start();
    await world.time.runFor(1_000);
    assert.equal(world.masters.registers.length >= 2, true);
  });

  it('takes the tunnel down when its lease is gone and it gets no other', async () => {
    world.start();
    await world.time.runFor(1_000);
    world.masters.onKeepAlive = () => aborted;
    world.masters.onRegister = () => refusedAnswer;
    await world.time.runFor(11_000);
    assert.equal(world.host.last()?.leaseValid, false);
    world.masters.onKeepAlive = () => ({ nextInMs: 10_000, revision: 100 });
    world.masters.onRegister = (request) => grant(request, { epoch: 50 });
    await world.time.runFor(21_000);
    assert.equal(world.host.last()?.leaseValid, true);
  });

  it('uses a lease that is gone for 10 minutes at most while no master can be asked', async () => {
    world.start();
    await world.time.runFor(1_000);
    world.masters.onKeepAlive = () => aborted;
    world.masters.onRegister = () => unavailable;
    // What is released is quarantined for 15 minutes, so this must end well before.
    assert.equal(fencedGraceMs, hour / 6);
    await world.time.runFor(10_000 + fencedGraceMs - 1_000);
    assert.equal(world.host.last()?.leaseValid, true);
    await world.time.runFor(10_000);
    assert.equal(world.host.last()?.leaseValid, false);
  });

  it('leaves the host alone for a while when it is refused after a restart, then takes the tunnel down', async () => {
    await ranBefore();
    world.masters.onRegister = () => refusedAnswer;
    world.start();
    await world.time.runFor(fencedGraceMs - 1_000);
    assert.equal(world.host.last(), undefined);
    await world.time.runFor(7_000);
    assert.equal(world.host.last()?.leaseValid, false);
  });

  it('rule 10: registers again within 30 s, at the same epoch, when an overlay is added', async () => {
    world.start();
    await world.time.runFor(1_000);
    world.random = 0.9;
    const more = {
      ...exampleNetwork,
      overlays: [...(exampleNetwork.overlays ?? []), { name: 'more', subnet: '10.0.0.0/8', prefix: 24, enabled: true }],
    };
    world.masters.onRegister = (request) => grant(request, { network: more, revision: 103 });
    world.masters.lastWatch.send(changes(102, { networkChanged: more }));
    await world.time.runFor(500);
    assert.deepEqual(
      world.host.last()?.overlays.map(({ name }) => name),
      ['dcos', 'more'],
    );
    await world.time.runFor(26_000);
    assert.equal(world.masters.registers.length, 1);
    await world.time.runFor(1_000);
    assert.deepEqual(
      world.masters.registers.map(({ sequence }) => sequence),
      [1, 2],
    );
    await world.time.runFor(120_000);
    assert.equal(world.masters.registers.length, 2);
  });

  it('does not register again when an overlay is disabled or removed', async () => {
    world.start();
    await world.time.runFor(1_000);
    const disabled = (exampleNetwork.overlays ?? []).map((overlay) => ({ ...overlay, enabled: false }));
    world.masters.lastWatch.send(changes(102, { networkChanged: { ...exampleNetwork, overlays: disabled } }));
    await world.time.runFor(120_000);
    world.masters.lastWatch.send(changes(103, { networkChanged: { ...exampleNetwork, overlays: [] } }));
    await world.time.runFor(120_000);
    assert.equal(world.masters.registers.length, 1);
    assert.deepEqual(world.host.last()?.overlays, []);
  });

  it('does not register again because a master is behind', async () => {
    const grown = { ...exampleNetwork, vtepSubnet: '44.128.0.0/16' };
    world.masters.onRegister = (request) => grant(request, { network: grown, revision: 103 });
    world.masters.onKeepAlive = () => ({ nextInMs: 10_000, revision: 103 });
    const agent = world.start();
    await world.time.runFor(120_000);
    assert.equal(world.masters.registers.length, 1);
    assert.equal(agent.network?.vtepSubnet, '44.128.0.0/16');
  });

  it('takes over to a recovered cluster: held is offered, the old marks are adopted, the peers come anew', async () => {
    world.start();
    await world.time.runFor(1_000);
    world.masters.onRegister = (request) =>
      grant(request, { clusterId: 'cluster-2', epoch: 2 ** 33, revision: 2 ** 33 });
    world.masters.onKeepAlive = ({ epoch }) => (epoch === 7 ? aborted : { nextInMs: 10_000, revision: 2 ** 33 });
    world.masters.onWatch = () => {};
    world.masters.lastWatch.end();
    await world.time.runFor(12_000);
    world.masters.lastWatch.send(...snapshot(2 ** 33, [exampleAgent('c', 3)], 'cluster-2'));
    await world.time.runFor(1_000);
    assert.equal(world.masters.registers.at(-1)?.held?.clusterId, 'cluster-1');
    assert.equal(world.host.last()?.clusterId, 'cluster-2');
    assert.deepEqual(world.host.last()?.formerClusterIds, ['cluster-1']);
    // At no time the new lease with the old peers.
    for (const { clusterId, peers } of world.host.inputs) {
      assert.deepEqual(
        peers.map(({ agentId }) => agentId),
        clusterId === 'cluster-1' ? ['b'] : ['c'],
      );
    }
    assert.deepEqual(
      world.host.last()?.peers.map(({ agentId }) => agentId),
      ['c'],
    );
  });

  it('leaves: the lease first, then the cache, then the data plane', async () => {
    const agent = world.start();
    await world.time.runFor(1_000);
    world.masters.onLeave = () => {
      assert.deepEqual(world.host.cleaned, []);
      assert.equal(world.store.lease?.leaving, true);
      return undefined;
    };
    const report = await world.time.until(agent.leave(), 1_000);
    assert.equal(report.gaveBack, true);
    assert.deepEqual(world.host.cleaned, [['cluster-1']]);
    const fence = { agentId: 'a', instanceId: 'instance-1', epoch: 7, clusterId: 'cluster-1', incarnation: 'f1' };
    assert.deepEqual(world.masters.leaves, [{ ...fence, runId: 'run-1' }]);
    assert.equal(world.store.lease, undefined);
    const asked = world.masters.registers.length;
    await world.time.runFor(120_000);
    assert.equal(world.masters.registers.length, asked);
  });

  it('changes nothing when the masters refuse that it leaves', async () => {
    // So that the peers are cached as well.
    await ranBefore();
    const agent = world.start();
    await world.time.runFor(1_000);
    world.masters.onLeave = () => aborted;
    await assert.rejects(world.time.until(agent.leave(), 1_000), (error) => error === aborted);
    assert.deepEqual(world.host.cleaned, []);
    assert.equal(world.store.lease?.leaving, undefined);
    world.masters.setDown(true);
    world.start();
    await world.time.runFor(10_000);
    assert.equal(world.host.last()?.leaseValid, true);
  });

  it('goes on leaving after a refusal when it was to leave before', async () => {
    const agent = world.start();
    await world.time.runFor(1_000);
    world.masters.setDown(true);
    await assert.rejects(world.time.until(agent.leave(), 1_000), /no master reachable/);
    world.masters.setDown(false);
    world.masters.onLeave = () => aborted;
    await assert.rejects(world.time.until(world.make().leave(), 1_000), (error) => error === aborted);
    assert.equal(world.store.lease?.leaving, true);
  });

  it('takes off its host what the first leave had to leave there, and asks no master again', async () => {
    const agent = world.start();
    await world.time.runFor(1_000);
    world.host.left = ['bridge m-dcos still carries 1 container'];
    const first = await world.time.until(agent.leave(), 1_000);
    assert.deepEqual([first.gaveBack, first.left.length], [true, 1]);
    world.masters.setDown(true);
    const second = await world.time.until(world.make().leave(), 1_000);
    assert.deepEqual([second.gaveBack, second.left, world.host.cleaned], [false, [], [['cluster-1']]]);
    await assert.rejects(world.time.until(world.make().leave(), 1_000), /holds nothing/);
    assert.equal(world.masters.leaves.length, 1);
  });

  it('takes its host down alone when asked to, and gets the same lease again later', async () => {
    const agent = world.start();
    await world.time.runFor(1_000);
    world.masters.setDown(true);
    const report = await world.time.until(agent.leave({ hostOnly: true }), 1_000);
    assert.deepEqual([report.gaveBack, world.host.cleaned, world.masters.leaves], [false, [['cluster-1']], []]);
    assert.equal(world.store.lease, undefined);
  });

  it('can be asked to leave again when no master was reached', async () => {
    const agent = world.start();
    await world.time.runFor(1_000);
    world.masters.setDown(true);
    await assert.rejects(world.time.until(agent.leave(), 1_000), /no master reachable/);
    assert.notEqual(world.store.lease, undefined);
  });

  it('does not start from a cached lease that was given back, whether or not the masters know', async () => {
    const agent = world.start();
    await world.time.runFor(1_000);
    world.masters.setDown(true);
    await assert.rejects(world.time.until(agent.leave(), 1_000), /no master reachable/);
    world.host.inputs.length = 0;
    const again = world.start();
    await world.time.runFor(hour);
    assert.deepEqual(world.host.inputs, [], 'it may be another’s by now');
    await again.stop();
    assert.equal(world.store.lease?.leaving, true);
    world.masters.registers.length = 0;
    world.start();
    world.masters.setDown(false);
    await world.time.runFor(60_000);
    assert.equal(world.host.last()?.leaseValid, true);
    assert.equal(world.store.lease?.leaving, undefined, 'it was let anew');
    const held = world.masters.registers.map((request) => request.held);
    assert.ok(held.length > 0 && held.every((each) => each === undefined), 'nor does it say that it holds it');
  });

  it('does not build a host from what it was to give back when the masters refuse it, nor after that', async () => {
    // So that the peers are cached as well.
    await ranBefore();
    const agent = world.start();
    await world.time.runFor(1_000);
    world.masters.setDown(true);
    await assert.rejects(world.time.until(agent.leave(), 1_000), /no master reachable/);
    world.host.inputs.length = 0;
    world.masters.setDown(false);
    world.masters.onRegister = () => refusedAnswer;
    const again = world.start();
    await world.time.runFor(2 * fencedGraceMs);
    await again.stop();
    world.masters.setDown(true);
    world.start();
    await world.time.runFor(hour);
    assert.deepEqual(world.host.inputs, []);
  });

  it('does not leave when the intent can’t be written to disk', async () => {
    const agent = world.start();
    await world.time.runFor(1_000);
    world.store.full = true;
    await assert.rejects(world.time.until(agent.leave(), 1_000), /ENOSPC/);
    assert.deepEqual([world.masters.leaves, world.host.cleaned], [[], []]);
  });

  it('goes on without a cache, and says so, when the disk is full', async () => {
    const agent = world.start();
    await world.time.runFor(30);
    world.store.full = true;
    world.masters.onKeepAlive = () => ({ nextInMs: 10_000, revision: 100, ttlLeftMs: 60_000 });
    await world.time.runFor(60_000);
    assert.equal(world.host.last()?.leaseValid, true);
    assert.match(agent.troubles.join(), /ENOSPC/);
    world.store.full = false;
    await world.time.runFor(61_000);
    assert.deepEqual(agent.troubles, []);
  });
});
