import assert from 'node:assert/strict';
import { AgentWorld } from '#agent/testing/agent-world.js';
import {
  aborted,
  changes,
  exampleAgent,
  exhausted,
  grant,
  invalid,
  overloaded,
  refusedAnswer,
  unavailable,
} from '#agent/testing/fake-masters.js';

describe('registration of an agent', () => {
  let world: AgentWorld;
  beforeEach(() => {
    world = new AgentWorld();
  });

  it('asks, makes the host match, reports, keeps alive and watches', async () => {
    const agent = world.start({ networkConfig: { overlayMtu: 1300 } });
    await world.time.runFor(1_000);
    assert.deepEqual(world.masters.registers, [
      {
        agentId: 'a',
        hostname: 'host-a',
        networkConfig: { overlayMtu: 1300 },
        nodeIp: '10.0.0.1',
        takeover: false,
        instanceId: 'instance-1',
        runId: 'run-1',
        sequence: 1,
      },
    ]);
    assert.equal(agent.registration.state.kind, 'registered');
    const input = world.host.last();
    assert.equal(input?.clusterId, 'cluster-1');
    assert.equal(input?.leaseValid, true);
    assert.deepEqual(input?.lease.overlays[0], {
      name: 'dcos',
      subnet: '9.0.0.0/24',
      mesosBridge: { name: 'm-dcos', cidr: '9.0.0.0/25' },
      dockerBridge: { name: 'd-dcos', cidr: '9.0.0.128/25' },
    });
    assert.deepEqual(
      input?.peers.map(({ agentId }) => agentId),
      ['b'],
    );
    const fence = { agentId: 'a', instanceId: 'instance-1', epoch: 7, clusterId: 'cluster-1', incarnation: 'f1' };
    assert.deepEqual(world.masters.keepAlives, [{ ...fence, runId: 'run-1' }]);
    assert.deepEqual(world.masters.reports, [{ ...fence, overlays: [{ overlay: 'dcos', state: { status: 1 } }] }]);
    assert.equal(world.masters.watches.length, 1);
  });

  it('sends the same request with the same sequence until a master decides', async () => {
    world.masters.setDown(true);
    const agent = world.start();
    await world.time.runFor(20_000);
    assert.ok(world.masters.registers.length > 3);
    assert.equal(agent.registration.state.kind, 'waiting');
    world.masters.setDown(false);
    await world.time.runFor(11_000);
    assert.equal(agent.registration.state.kind, 'registered');
    assert.deepEqual(new Set(world.masters.registers.map(({ sequence }) => sequence)), new Set([1]));
  });

  it('asks ever more seldom, but at least every 5 s, and not at the same time as others', async () => {
    world.masters.setDown(true);
    world.start();
    const attempts = async (): Promise<number> => {
      const before = world.masters.registers.length;
      await world.time.runFor(600_000);
      return world.masters.registers.length - before;
    };
    await attempts();
    // Half of the cap on average, as this chance has it.
    assert.ok(Math.abs((await attempts()) - 240) <= 1);
    world.random = 0.999;
    assert.ok(Math.abs((await attempts()) - 120) <= 1);
  });

  it('writes the sequence down before it is used', async () => {
    world.masters.onRegister = (request) => {
      assert.equal(world.store.identity.sequence, request.sequence);
      return grant(request);
    };
    const agent = world.start();
    await world.time.runFor(1_000);
    assert.equal(agent.registration.state.kind, 'registered');
  });

  it('raises the sequence with each process and with each new request', async () => {
    const agent = world.start();
    await world.time.runFor(1_000);
    await agent.stop();
    const again = world.start();
    await world.time.runFor(1_000);
    again.registration.begin('a test');
    await world.time.runFor(1_000);
    assert.deepEqual(
      world.masters.registers.map(({ sequence }) => sequence),
      [1, 2, 3],
    );
  });

  it('sends nothing while the sequence can not be written', async () => {
    world.store.full = true;
    const agent = world.start();
    await world.time.runFor(60_000);
    assert.deepEqual(world.masters.registers, []);
    assert.equal(agent.registration.state.kind, 'waiting');
    world.store.full = false;
    await world.time.runFor(11_000);
    assert.deepEqual(
      world.masters.registers.map(({ sequence }) => sequence),
      [1],
    );
  });

  it('waits for a node address', async () => {
    world.nodeIp = undefined;
    const agent = world.start();
    await world.time.runFor(5_000);
    const { state } = agent.registration;
    assert.equal(state.kind, 'waiting');
    assert.match('error' in state ? state.error : '', /no route to any master/);
    world.nodeIp = '10.0.0.1';
    await world.time.runFor(11_000);
    assert.equal(world.masters.registers[0]?.nodeIp, '10.0.0.1');
  });

  it('registers again, with a higher sequence, when its node address changes, over new connections', async () => {
    world.start();
    await world.time.runFor(60_000);
    assert.equal(world.masters.reconnects, 0);
    world.nodeIp = '10.0.0.77';
    await world.time.runFor(31_000);
    assert.equal(world.masters.reconnects, 1, 'the former ones may be of the former address');
    world.nodeIp = undefined;
    await world.time.runFor(120_000);
    assert.deepEqual(
      world.masters.registers.map(({ sequence, nodeIp }) => [sequence, nodeIp]),
      [
        [1, '10.0.0.1'],
        [2, '10.0.0.77'],
      ],
    );
  });

  it('asks for its node address when another agent has taken it over, and says so meanwhile', async () => {
    const agent = world.start();
    await world.time.runFor(1_000);
    world.masters.onRegister = () => refusedAnswer;
    world.masters.lastWatch.send(changes(101, { agentChanged: { ...exampleAgent('a', 1), reachable: false } }));
    await world.time.runFor(400);
    assert.equal(world.masters.registers.length, 2);
    assert.match(agent.troubles.join(), /another agent has taken node_ip over/);
    assert.equal(world.host.last()?.leaseValid, true);
    world.masters.onRegister = (request) => grant(request, { revision: 102 });
    await world.time.runFor(2_000);
    world.masters.lastWatch.send(changes(102, { agentChanged: exampleAgent('a', 1) }));
    await world.time.runFor(60_000);
    assert.deepEqual(agent.troubles, []);
    assert.equal(agent.registration.state.kind, 'registered');
    assert.equal(world.masters.registers.length, 3);
  });

  it('asks again with a higher sequence when its retry was overtaken', async () => {
    world.masters.onRegister = (request) => (request.sequence === 1 ? aborted : grant(request));
    world.start();
    await world.time.runFor(1_000);
    assert.deepEqual(
      world.masters.registers.map(({ instanceId, sequence }) => [instanceId, sequence]),
      [
        ['instance-1', 1],
        ['instance-1', 2],
      ],
    );
  });

  it('becomes a new instance when the masters know newer requests of it: the state was restored or copied', async () => {
    world.masters.onRegister = (request) => (request.instanceId === 'instance-1' ? aborted : grant(request));
    world.start();
    await world.time.runFor(1_000);
    const { instanceId, sequence } = world.masters.registers.at(-1) ?? {};
    assert.deepEqual([instanceId, sequence], ['instance-2', 1]);
    assert.equal(world.store.identity.instanceId, 'instance-2');
    assert.ok(world.logged.some((message) => message.includes('restored or copied')));
  });

  it('becomes a new instance once at most', async () => {
    world.masters.onRegister = () => aborted;
    const agent = world.start();
    await world.time.runFor(300_000);
    assert.equal(agent.registration.state.kind, 'refused');
    assert.deepEqual(
      new Set(world.masters.registers.map(({ instanceId }) => instanceId)),
      new Set(['instance-1', 'instance-2']),
    );
    assert.ok(world.masters.registers.length < 40);
  });

  it('shows a refusal and asks again slowly, anew each time', async () => {
    world.masters.onRegister = () => refusedAnswer;
    const agent = world.start();
    await world.time.runFor(600_000);
    const { state } = agent.registration;
    assert.equal(state.kind, 'refused');
    assert.match('error' in state ? state.error : '', /agent "a" on node 10.0.0.9 holds it/);
    assert.ok(world.masters.registers.length >= 30 && world.masters.registers.length <= 60);
    assert.deepEqual(world.failures, []);
    world.masters.onRegister = (request) => grant(request);
    await world.time.runFor(21_000);
    assert.equal(agent.registration.state.kind, 'registered');
  });

  it('gives up when its request is wrong and it holds nothing', async () => {
    world.masters.onRegister = () => invalid;
    world.start();
    await world.time.runFor(120_000);
    assert.deepEqual(world.failures, [invalid]);
    assert.equal(world.masters.registers.length, 1);
  });

  it('goes on with what it holds when its request is wrong', async () => {
    const first = world.start();
    await world.time.runFor(1_000);
    await first.stop();
    world.masters.onRegister = () => invalid;
    const agent = world.start();
    await world.time.runFor(120_000);
    assert.deepEqual(world.failures, []);
    assert.equal(agent.registration.state.kind, 'refused');
  });

  it('claims a takeover until it has succeeded once', async () => {
    let answers = 0;
    world.masters.onRegister = (request) => {
      answers += 1;
      return answers === 1 ? unavailable : grant(request);
    };
    const agent = world.start({ takeover: true });
    await world.time.runFor(5_000);
    agent.registration.begin('a test');
    await world.time.runFor(1_000);
    assert.deepEqual(
      world.masters.registers.map(({ takeover }) => takeover),
      [true, true, false],
    );
  });

  it('says what it holds by its cache', async () => {
    const first = world.start();
    await world.time.runFor(1_000);
    await first.stop();
    world.start();
    await world.time.runFor(1_000);
    assert.equal(world.masters.registers[0]?.held, undefined);
    assert.deepEqual(world.masters.registers[1]?.held, {
      clusterId: 'cluster-1',
      incarnation: 'f1',
      epoch: 7,
      vtepIp: '44.128.0.1/20',
      subnets: [{ overlay: 'dcos', subnet: '9.0.0.0/24', subnet6: '' }],
    });
  });

  it('does not use the cached lease of another agent id', async () => {
    const first = world.start();
    await world.time.runFor(1_000);
    await first.stop();
    const agent = world.start({ agentId: 'renamed' });
    assert.equal(agent.leaseSource, 'none');
    await world.time.runFor(1_000);
    assert.equal(world.masters.registers[1]?.held, undefined);
    assert.equal(agent.lease?.agentId, 'renamed');
  });

  it('asks again for an overlay that was not leased to it, the more seldom the more agents there are', async () => {
    world.masters.onRegister = (request) =>
      grant(request, { problems: [{ overlay: 'full', reason: 'no block is free' }] });
    world.start();
    await world.time.runFor(200_000);
    assert.equal(world.masters.registers.length, 4);
    assert.ok(world.logged.includes('an overlay was not allocated'));
  });

  it('takes an answer that lacks a part for none', async () => {
    world.masters.onRegister = (request) => {
      const response = grant(request);
      response.network = null;
      return response;
    };
    const agent = world.start();
    await world.time.runFor(1_000);
    const { state } = agent.registration;
    assert.match('error' in state ? state.error : '', /lacks network/);
    assert.equal(world.host.last(), undefined);
  });

  it('begins the next round when the one under way is decided', async () => {
    world.masters.setDown(true);
    const agent = world.start();
    await world.time.runFor(100);
    agent.registration.begin('a test');
    world.masters.setDown(false);
    await world.time.runFor(2_000);
    assert.deepEqual([...new Set(world.masters.registers.map(({ sequence }) => sequence))], [1, 2]);
    assert.equal(agent.registration.state.kind, 'registered');
  });

  it('does nothing more after it was stopped, even if an answer comes', async () => {
    const agent = world.start();
    await agent.stop();
    await world.time.runFor(60_000);
    assert.equal(agent.lease, undefined);
    assert.equal(world.masters.keepAlives.length, 0);
    assert.equal(world.masters.watches.length, 0);
  });

  it('asks again soon when the masters are overloaded, the same, and at least every 20 s', async () => {
    world.masters.onRegister = () => overloaded;
    const agent = world.start();
    await world.time.runFor(2_000);
    assert.ok(world.masters.registers.length >= 3);
    await world.time.runFor(60_000);
    const before = world.masters.registers.length;
    world.random = 0.999;
    await world.time.runFor(600_000);
    assert.ok(Math.abs(world.masters.registers.length - before - 30) <= 1);
    assert.deepEqual(new Set(world.masters.registers.map(({ sequence }) => sequence)), new Set([1]));
    assert.equal(agent.registration.state.kind, 'waiting');
  });

  it('asks seldom when no address is left, and says which subnet is full', async () => {
    world.masters.onRegister = () => exhausted;
    const agent = world.start();
    await world.time.runFor(1_000);
    const { state } = agent.registration;
    assert.equal(state.kind, 'refused');
    assert.match('error' in state ? state.error : '', /44\.128\.0\.0\/28 has no free address/);
    assert.ok(world.logged.includes('the masters refuse to register this agent'));
    await world.time.runFor(600_000);
    const before = world.masters.registers.length;
    await world.time.runFor(3_600_000);
    assert.ok(Math.abs(world.masters.registers.length - before - 40) <= 1);
    world.masters.onRegister = (request) => grant(request);
    await world.time.runFor(120_000);
    assert.equal(agent.registration.state.kind, 'registered');
  });
});
