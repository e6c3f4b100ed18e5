import assert from 'node:assert/strict';
import { MasterError, type RegisterRequest, type RegisterResponse } from '#agent/master-api.js';
import { agentMetrics } from '#agent/report/agent-metrics.js';
import { agentStatus, notReady } from '#agent/report/agent-status.js';
import { AgentWorld } from '#agent/testing/agent-world.js';
import { aborted, grant } from '#agent/testing/fake-masters.js';

const words = 'the process at node_ip 10.0.0.9 from 10.0.0.9:4001, heard 1 s ago, has the lease';
const elsewhere = new MasterError('held', 'ALREADY_EXISTS', words, { same_place: 'false' });
const samePlace = new MasterError('held', 'ALREADY_EXISTS', words, { same_place: 'true' });

function behind(sequence: number): MasterError {
  return new MasterError('aborted', 'ABORTED', 'another process has used it', { sequence: String(sequence) });
}

describe('an agent whose lease another process keeps alive', () => {
  let world: AgentWorld;
  let refuse: MasterError | undefined;
  beforeEach(() => {
    world = new AgentWorld();
    refuse = undefined;
    world.masters.onRegister = (request): RegisterResponse | MasterError => refuse ?? grant(request);
  });

  /** A process on the state that another one has left, or is at work on a copy of. */
  async function startOnLease() {
    const before = world.start();
    await world.time.runFor(1_000);
    await before.stop();
    return world.start();
  }

  it('at another place takes its tunnel down at once, is not ready, and names both places', async () => {
    refuse = undefined;
    await startOnLease();
    refuse = elsewhere;
    const agent = world.start();
    await world.time.runFor(1_000);
    assert.equal(agent.term.valid, false);
    assert.equal(world.host.last()?.leaseValid, false);
    assert.deepEqual(notReady(agent), [`another process keeps this lease alive: ${words}`]);
    assert.equal(agentStatus(agent, 'plan').problems[0], `another process keeps this lease alive: ${words}`);
    const page = await agentMetrics(agent).metrics();
    assert.match(page, /^sublet_agent_held_elsewhere 1$/m);
    assert.match(page, /^sublet_agent_ready 0$/m);
    assert.match(page, /^sublet_agent_registered 0$/m);
  });

  it('takes its tunnel down at once when another instance has its id, and goes on for a while when its address is taken', async () => {
    const message = 'agent "a" on node 10.0.0.9 holds it and was last heard 1 s ago';
    // A refusal of its address leaves the host as it is.
    for (const [field, valid, told] of [
      ['node_ip', true, undefined],
      ['agent_id', false, false],
    ] as const) {
      refuse = undefined;
      await startOnLease();
      await world.time.runFor(1_000);
      refuse = new MasterError('refused', 'ALREADY_EXISTS', message, { field });
      const agent = world.start();
      await world.time.runFor(60_000);
      assert.equal(agent.registration.state.kind, 'refused');
      assert.equal(agent.term.valid, valid, field);
      assert.equal(world.host.last()?.leaseValid, told, field);
    }
  });

  it('takes its tunnel down when it knows no peers any more', async () => {
    await startOnLease();
    await world.time.runFor(1_000);
    assert.equal(world.host.last()?.leaseValid, true);
    world.store.peers = undefined;
    world.masters.onWatch = () => {};
    refuse = elsewhere;
    world.start();
    await world.time.runFor(60_000);
    assert.equal(world.host.last()?.leaseValid, false);
    assert.deepEqual(world.host.last()?.peers, []);
  });

  it('has not left when that is refused, and goes on with what it holds', async () => {
    const agent = await startOnLease();
    await world.time.runFor(1_000);
    world.masters.onLeave = () => samePlace;
    await assert.rejects(world.time.until(agent.leave(), 1_000), (error) => error === samePlace);
    assert.deepEqual(world.host.cleaned, []);
    assert.equal(world.store.lease?.leaving, undefined);
    world.start();
    await world.time.runFor(1_000);
    assert.notEqual(world.masters.registers.at(-1)?.held, undefined);
  });

  it('asks every few seconds, and has the lease soon after the other one has gone', async () => {
    refuse = elsewhere;
    const agent = world.start();
    await world.time.runFor(120_000);
    const before = world.masters.registers.length;
    assert.ok(before >= 24 && before <= 60, `${before} requests`);
    refuse = undefined;
    await world.time.runFor(5_100);
    assert.equal(agent.registration.state.kind, 'registered');
    assert.equal(agent.term.valid, true);
    assert.deepEqual(notReady(agent), []);
    assert.match(await agentMetrics(agent).metrics(), /^sublet_agent_held_elsewhere 0$/m);
  });

  for (const [where, refusal] of [
    ['at another place', elsewhere],
    ['at the same place', samePlace],
    ['of another instance', new MasterError('refused', 'ALREADY_EXISTS', words, { field: 'agent_id' })],
  ] as const) {
    it(`${where} logs no end of a lease that it never had`, async () => {
      refuse = refusal;
      const agent = world.start();
      await world.time.runFor(60_000);
      refuse = undefined;
      await world.time.runFor(25_000);
      assert.deepEqual(notReady(agent), []);
      assert.deepEqual(
        world.logged.filter((message) => /lease|tunnel/.test(message)),
        [],
      );
    });
  }

  it('at the same place uses the lease on for 30 s: it is mostly the process before this one', async () => {
    await startOnLease();
    refuse = samePlace;
    const agent = world.start();
    await world.time.runFor(29_000);
    assert.equal(agent.term.valid, true);
    assert.equal(notReady(agent).length, 1);
    await world.time.runFor(2_000);
    assert.equal(agent.term.valid, false);
    assert.equal(world.host.last()?.leaseValid, false);
  });

  it('learns it from a refused keep-alive as well, and asks for the lease at once', async () => {
    const agent = world.start();
    await world.time.runFor(1_000);
    refuse = elsewhere;
    world.masters.onKeepAlive = () => elsewhere;
    const before = world.masters.registers.length;
    await world.time.runFor(10_100);
    assert.equal(agent.term.valid, false);
    assert.ok(world.masters.registers.length > before);
    const sent = world.masters.keepAlives.length;
    await world.time.runFor(60_000);
    assert.equal(world.masters.keepAlives.length, sent, 'it keeps nothing alive that is not its own');
    refuse = undefined;
    world.masters.onKeepAlive = () => ({ nextInMs: 10_000, revision: 100 });
    await world.time.runFor(6_000);
    assert.equal(agent.term.valid, true);
  });
});

describe('the run_id of an agent', () => {
  it('is one for all that a process sends, and another one for the next', async () => {
    const world = new AgentWorld();
    const first = world.start();
    await world.time.runFor(30_000);
    const runs = () => new Set([...world.masters.registers, ...world.masters.keepAlives].map(({ runId }) => runId));
    assert.deepEqual(runs(), new Set(['run-1']));
    await first.stop();
    world.start();
    await world.time.runFor(1_000);
    assert.deepEqual(runs(), new Set(['run-1', 'run-2']));
  });

  it('stays on one keep-alive stream when the same lease is confirmed', async () => {
    const world = new AgentWorld();
    const agent = world.start();
    await world.time.runFor(1_000);
    const streams = world.masters.streamsOpened;
    agent.registration.begin('the spec asks');
    await world.time.runFor(1_000);
    assert.equal(world.masters.registers.length, 2);
    assert.equal(world.masters.streamsOpened, streams);
    world.nodeIp = '10.0.0.7';
    agent.registration.begin('the address has changed');
    await world.time.runFor(1_000);
    assert.equal(world.masters.streamsOpened, streams + 1, 'an answer under way would be one about the former address');
  });
});

describe('a keep-alive that is answered with another node address', () => {
  it('is said in status, metrics and readiness, and the agent asks anew as another process', async () => {
    const world = new AgentWorld();
    const agent = world.start();
    await world.time.runFor(1_000);
    let asked: RegisterRequest | undefined;
    world.masters.onRegister = (request) => {
      asked = request;
      return 'silence';
    };
    world.masters.onKeepAlive = () => ({ nextInMs: 10_000, revision: 100, nodeIp: '10.0.0.9' });
    await world.time.runFor(10_100);
    assert.equal(asked?.nodeIp, '10.0.0.1');
    assert.equal(asked?.runId, 'run-2');
    const reason = 'the masters have node_ip 10.0.0.9 for this lease, not 10.0.0.1';
    assert.deepEqual(notReady(agent), [reason]);
    assert.equal(agentStatus(agent, 'plan').problems[0], reason);
    assert.match(await agentMetrics(agent).metrics(), /^sublet_agent_node_ip_differs 1$/m);
    assert.ok(world.logged.some((message) => message.includes('another node_ip')));
  });

  it('is over when the masters have confirmed its own', async () => {
    const world = new AgentWorld();
    const agent = world.start();
    await world.time.runFor(1_000);
    world.masters.onKeepAlive = (request) => {
      const nodeIp = request.runId === 'run-1' ? '10.0.0.9' : '10.0.0.1';
      return { nextInMs: 10_000, revision: 100, nodeIp };
    };
    await world.time.runFor(30_000);
    assert.deepEqual(notReady(agent), []);
    assert.equal(world.masters.registers.length, 2);
  });
});

describe('a state_dir that is behind', () => {
  it('goes on from the sequence that the masters know, as the same instance', async () => {
    const world = new AgentWorld();
    world.masters.onRegister = (request) => ((request.sequence ?? 0) <= 41 ? behind(41) : grant(request));
    const agent = world.start();
    await world.time.runFor(1_000);
    assert.equal(agent.registration.state.kind, 'registered');
    assert.deepEqual(
      world.masters.registers.map(({ instanceId, sequence }) => [instanceId, sequence]),
      [
        ['instance-1', 1],
        ['instance-1', 42],
      ],
    );
    assert.equal(world.store.identity.sequence, 42);
  });

  it('is corrected three times in a row at most', async () => {
    const world = new AgentWorld();
    world.masters.onRegister = (request) => behind((request.sequence ?? 0) + 10);
    const agent = world.start();
    await world.time.runFor(1_000);
    assert.equal(agent.registration.state.kind, 'refused');
    assert.ok(world.masters.registers.length < 10);
  });

  it('is a new instance when nothing says from where to go on', async () => {
    const world = new AgentWorld();
    world.masters.onRegister = (request) => (request.instanceId === 'instance-1' ? aborted : grant(request));
    world.start();
    await world.time.runFor(1_000);
    assert.equal(world.store.identity.instanceId, 'instance-2');
  });
});
