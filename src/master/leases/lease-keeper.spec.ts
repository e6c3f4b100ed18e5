import assert from 'node:assert/strict';
import { RefusedError } from '#api/refusal.js';
import { encodeCommand } from '#ipam/codec/command-codec.js';
import type { Action, Register } from '#ipam/commands/command.js';
import { type AgentId, parseAgentId, parseInstanceId } from '#ipam/identity.js';
import { parseNodeIp } from '#ipam/registration-fields.js';
import { registration } from '#ipam/testing/plan-under-test.js';
import { IpamMachine, type PlanOutcome } from '#master/ipam-machine.js';
import { Leadership } from '#master/leader/leadership.js';
import { type KeepAliveOutcome, LeaseKeeper } from '#master/leases/lease-keeper.js';
import type { Contest } from '#master/leases/lease-processes.js';
import type { ReceivedKeepAlive } from '#master/leases/received-keep-alive.js';
import { MemoryCluster, type MemoryMember } from '#master/testing/memory-log.js';
import { testOverlay, testSettings } from '#master/testing/test-masters.js';
import { ProposeError } from '#replica/ports/replicated-log.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';

const wallTime = 1_700_000_000_000;
const ttlMs = 60_000;
const nothingTold = { clusterId: '', revision: 0, branch: '' };
const sentBy = { ...nothingTold, instanceId: 'i', runId: undefined, stream: 'm1/1', connection: '10.0.0.1:4000' };

/** One leader, with a spare member to lead in its place, under a clock that the spec owns. */
class TestOffice {
  readonly time = new VirtualTime();
  /** Added to the clock: time that passed while the process stood still. */
  stoodStillMs = 0;
  #pausedUntilMs = 0;
  readonly cluster: MemoryCluster<PlanOutcome>;
  readonly member: MemoryMember<PlanOutcome>;
  readonly machine = new IpamMachine();
  readonly leadership: Leadership;
  readonly office: LeaseKeeper;
  readonly reported: unknown[] = [];
  readonly contested: Contest[] = [];
  readonly claimed: ReceivedKeepAlive[] = [];

  constructor(reclaimMs: number | undefined, random = 0.5) {
    this.cluster = new MemoryCluster([this.machine, new IpamMachine()]);
    this.member = this.cluster.member(0);
    this.cluster.elect(0);
    this.#propose({ kind: 'configure-network', settings: { ...testSettings, reclaimMs }, overlays: [testOverlay] });
    const clock = {
      now: () => this.time.now() + this.stoodStillMs,
      after: (delayMs: number, run: () => void) => this.time.after(delayMs, () => this.#whenAwake(run)),
    };
    this.leadership = new Leadership(this.member, clock);
    this.office = new LeaseKeeper({
      log: this.member,
      machine: this.machine,
      leadership: this.leadership,
      clock,
      wallClock: () => wallTime + clock.now(),
      random: () => random,
      electionTimeoutMs: 1_000,
      claimed: (keepAlive) => this.claimed.push(keepAlive),
      report: (error) => this.reported.push(error),
      contested: (contest) => this.contested.push(contest),
    });
  }

  /** The process stands still: what is due meanwhile comes when it goes on. */
  async pause(forMs: number): Promise<void> {
    this.#pausedUntilMs = this.time.now() + forMs;
    await this.time.runFor(forMs);
  }

  #whenAwake(run: () => void): void {
    const asleepMs = this.#pausedUntilMs - this.time.now();
    if (asleepMs > 0) this.time.after(asleepMs, run);
    else run();
  }

  /** Registers in the plan itself, without a call. Returns the agent's id and epoch. */
  register(
    agentId: string,
    sequence = 1,
    more: Partial<Register> = {},
  ): { readonly agentId: AgentId; readonly epoch: number } {
    const id = parseAgentId(agentId);
    const { length } = this.cluster.commands;
    const node = `10.0.${length >> 8}.${length & 255}`;
    this.#propose({ ...registration(agentId, { instance: 'i', sequence, node, hostname: '' }), ...more });
    return { agentId: id, epoch: this.machine.ipam.lease(id)?.epoch ?? 0 };
  }

  keepAlive(of: { readonly agentId: AgentId; readonly epoch: number }): Promise<KeepAliveOutcome> {
    return this.office.keepAlive({ ...of, ...sentBy });
  }

  /** Time passes until the keep-alive is answered. */
  answered(of: { readonly agentId: AgentId; readonly epoch: number }): Promise<KeepAliveOutcome> {
    return this.time.until(this.keepAlive(of), 5_000);
  }

  answeredNew(): Promise<KeepAliveOutcome> {
    return this.answered(this.register('new'));
  }

  /** Releases what the log held back; it holds back what comes after. */
  release(): void {
    const held = this.member.held ?? [];
    this.member.held = [];
    for (const go of held) go();
  }

  state(of: { readonly agentId: AgentId }): string | undefined {
    return this.office.presence.of(of.agentId)?.state;
  }

  holds(of: { readonly agentId: AgentId }): boolean {
    return this.machine.ipam.lease(of.agentId) !== undefined;
  }

  #propose(action: Action): void {
    this.cluster.append(encodeCommand({ ...action, wallTime, by: '' }));
    this.cluster.spread();
  }
}

function reasonOf(outcome: KeepAliveOutcome): string | undefined {
  return outcome instanceof RefusedError ? outcome.reason : undefined;
}

describe('presence', () => {
  it('is live for 30 s after an agent was heard, and silent after that', async () => {
    const test = new TestOffice(undefined);
    const agent = test.register('a');
    await test.time.runFor(30_000);
    assert.equal(test.state(agent), 'live');
    await test.time.runFor(1);
    assert.deepEqual(test.office.presence.of(agent.agentId), {
      state: 'silent',
      lastHeard: wallTime,
      silentSince: wallTime,
    });
    assert.deepEqual(test.office.presence.counts(), { live: 0, silent: 1, awaited: 0 });
  });

  it('counts an agent that an adoption awaits as neither live nor silent, however long, until it is heard', async () => {
    const test = new TestOffice(undefined);
    const agents = ['a', 'b', 'c'].map((id) => test.register(id));
    test.cluster.elect(1);
    test.cluster.elect(0);
    await test.time.runFor(30_001);
    const { presence } = test.office;
    assert.deepEqual(presence.counts(), { live: 0, silent: 3, awaited: 0 });
    assert.deepEqual(
      presence.counts(() => true),
      { live: 0, silent: 0, awaited: 3 },
    );
    await test.answered(agents[0] ?? assert.fail());
    assert.deepEqual(
      presence.counts(() => true),
      { live: 1, silent: 0, awaited: 2 },
    );
    await test.time.runFor(30_001);
    assert.deepEqual(
      presence.counts(() => true),
      { live: 0, silent: 1, awaited: 2 },
    );
  });

  it('comes back with a keep-alive', async () => {
    const test = new TestOffice(undefined);
    const agent = test.register('a');
    await test.time.runFor(40_000);
    await test.answered(agent);
    assert.equal(test.state(agent), 'live');
    assert.equal(test.office.presence.of(agent.agentId)?.lastHeard, wallTime + test.time.now());
  });

  it('lists the silent, the longest silent first', async () => {
    const test = new TestOffice(undefined);
    const first = test.register('z');
    await test.time.runFor(1_000);
    const second = test.register('a');
    await test.time.runFor(1_000);
    const third = test.register('m');
    await test.time.runFor(20_000);
    await test.answered(second);
    await test.time.runFor(30_001);
    const ids = test.office.presence.silent(10).map(({ agentId }) => agentId);
    assert.deepEqual(ids, [first.agentId, third.agentId, second.agentId]);
    assert.deepEqual(test.office.presence.silent(1), [{ agentId: first.agentId, silentSince: wallTime }]);
  });

  it('begins anew with a new leader: no agent was heard, and none is silent for the first 30 s', async () => {
    const test = new TestOffice(undefined);
    const agent = test.register('a');
    await test.time.runFor(60_000);
    test.cluster.elect(1);
    assert.equal(test.office.presence.begun, false);
    assert.equal(test.office.presence.of(agent.agentId), undefined);
    test.cluster.elect(0);
    assert.deepEqual(test.office.presence.of(agent.agentId), { state: 'live', lastHeard: undefined });
    await test.time.runFor(30_001);
    assert.deepEqual(test.office.presence.of(agent.agentId), {
      state: 'silent',
      lastHeard: undefined,
      silentSince: wallTime + 60_000,
    });
    await test.answered(agent);
    assert.equal(test.office.presence.of(agent.agentId)?.lastHeard, wallTime + test.time.now());
  });

  it('is not kept before the leader knows the state', () => {
    const test = new TestOffice(undefined);
    test.cluster.elect(0, { ready: false });
    assert.equal(test.office.presence.begun, false);
  });

  it('judges a holder by its epoch: of a later lease nothing is known', async () => {
    const test = new TestOffice(undefined);
    const { agentId, epoch } = test.register('a');
    await test.time.runFor(40_000);
    const instanceId = parseInstanceId('i');
    assert.equal(test.office.presence.judge({ agentId, instanceId, epoch }).silent, true);
    assert.equal(test.office.presence.judge({ agentId, instanceId, epoch: epoch + 1 }).silent, false);
    const stranger = { agentId: parseAgentId('other'), instanceId, epoch };
    assert.equal(test.office.presence.judge(stranger).silent, false);
  });
});

describe('rule 4: a keep-alive', () => {
  it('is answered with when the next is due, the time left, the revision, and the node address of the lease', async () => {
    const test = new TestOffice(ttlMs);
    const agent = test.register('a');
    const common = { nextInMs: 10_000, revision: 2, branch: '', nodeIp: '10.0.0.1' };
    assert.deepEqual(await test.answered(agent), { ...common, ttlLeftMs: ttlMs });
    assert.deepEqual(await new TestOffice(undefined).answeredNew(), common);
  });

  it('is due after 10 s, a tenth more or less', async () => {
    const due = async (random: number): Promise<number | null | undefined> => {
      const test = new TestOffice(undefined, random);
      const outcome = await test.answered(test.register('a'));
      return outcome instanceof RefusedError ? undefined : outcome.nextInMs;
    };
    assert.equal(await due(0), 9_000);
    assert.equal(await due(0.999999), 11_000);
  });

  it('counts only after a quorum round begun after it arrived', async () => {
    const test = new TestOffice(undefined);
    const agent = test.register('a');
    await test.time.runFor(40_000);
    test.member.held = [];
    const answer = test.keepAlive(agent);
    await test.time.runFor(1_000);
    assert.equal(test.member.held.length, 1);
    assert.equal(test.state(agent), 'silent');
    // A second one comes while the round is out: it needs a round of its own.
    const second = test.register('b');
    await test.time.runFor(40_000);
    let answered = false;
    const late = test.keepAlive(second).then(() => {
      answered = true;
    });
    test.release();
    await test.time.until(answer, 1_000);
    assert.equal(test.state(agent), 'live');
    assert.equal(answered, false);
    await test.time.runUntil(() => test.member.held?.length === 1, 2_000);
    test.release();
    await test.time.until(late, 1_000);
  });

  it('shares its quorum round with all that come within a second', async () => {
    const test = new TestOffice(undefined);
    const agents = Array.from({ length: 50 }, (_, at) => test.register(`a${at}`));
    await test.answered(agents[0] ?? test.register('none'));
    const before = test.member.barriers;
    const answers = Promise.all(agents.map((agent) => test.keepAlive(agent)));
    await test.time.until(answers, 2_000);
    assert.equal(test.member.barriers, before + 1);
  });

  it('shares it with all that come within a second, however steadily they come', async () => {
    const test = new TestOffice(undefined);
    const agents = Array.from({ length: 100 }, (_, at) => test.register(`a${at}`));
    const before = test.member.barriers;
    const answers: Promise<KeepAliveOutcome>[] = [];
    for (const agent of agents) {
      answers.push(test.keepAlive(agent));
      await test.time.runFor(100);
    }
    await test.time.until(Promise.all(answers), 2_000);
    assert.ok(test.member.barriers - before <= 11, `${test.member.barriers - before} rounds in 10 s`);
  });

  it('is not answered by a master that leads no more when its round comes back', async () => {
    const test = new TestOffice(ttlMs);
    const agent = test.register('a');
    test.member.held = [];
    const answer = test.keepAlive(agent);
    await test.time.runFor(1_000);
    test.cluster.elect(1);
    test.release();
    await assert.rejects(test.time.until(answer, 1_000), /does not lead any more/);
    assert.equal(test.office.counted, 0);
  });

  it('waits for nothing when there was none for a second', async () => {
    const test = new TestOffice(undefined);
    const agent = test.register('a');
    await test.answered(agent);
    await test.time.runFor(5_000);
    const begin = test.time.now();
    await test.answered(agent);
    assert.equal(test.time.now(), begin);
  });

  it('of a stale epoch, another instance or an unknown agent is refused', async () => {
    const test = new TestOffice(undefined);
    const { agentId, epoch } = test.register('a');
    assert.equal(reasonOf(await test.answered({ agentId, epoch: epoch - 1 })), 'aborted');
    const other = test.office.keepAlive({ agentId, epoch, ...sentBy, instanceId: 'other' });
    assert.equal(reasonOf(await test.time.until(other, 2_000)), 'aborted');
    assert.equal(reasonOf(await test.answered({ agentId: parseAgentId('b'), epoch })), 'aborted');
  });

  it('is refused when no quorum answers, and counts for nothing', async () => {
    const test = new TestOffice(undefined);
    const agent = test.register('a');
    await test.time.runFor(40_000);
    test.member.trouble = { error: new ProposeError('timeout', 'no quorum'), lost: false };
    await assert.rejects(test.answered(agent), /no quorum/);
    assert.equal(test.state(agent), 'silent');
  });
});

describe('rules 4 and 5: a lease under reclaim', () => {
  it('runs out when the agent was not heard for its TTL, by an entry in the log', async () => {
    const test = new TestOffice(ttlMs);
    const agent = test.register('a');
    const entries = test.cluster.commands.length;
    await test.time.runFor(ttlMs - 1);
    assert.equal(test.holds(agent), true);
    await test.time.runFor(1_001);
    assert.equal(test.holds(agent), false);
    assert.equal(test.cluster.commands.length, entries + 1);
    assert.equal(test.office.presence.size, 0);
    assert.equal(test.office.expired, 1);
  });

  it('goes on while keep-alives come', async () => {
    const test = new TestOffice(ttlMs);
    const agent = test.register('a');
    for (let round = 0; round < 5; round++) {
      await test.time.runFor(ttlMs - 5_000);
      await test.answered(agent);
    }
    assert.equal(test.holds(agent), true);
  });

  it('never runs out without reclaim', async () => {
    const test = new TestOffice(undefined);
    const agent = test.register('a');
    await test.time.runFor(1_000_000);
    assert.equal(test.holds(agent), true);
  });

  it('has its TTL in full from a new leader', async () => {
    const test = new TestOffice(ttlMs);
    const agent = test.register('a');
    await test.time.runFor(ttlMs - 2_000);
    test.cluster.elect(1);
    await test.time.runFor(10_000);
    test.cluster.elect(0);
    await test.time.runFor(ttlMs - 2_000);
    assert.equal(test.holds(agent), true);
    await test.time.runFor(4_000);
    assert.equal(test.holds(agent), false);
  });

  it('has its TTL in full after the leader found that it was paused', async () => {
    const test = new TestOffice(ttlMs);
    const agent = test.register('a');
    await test.time.runFor(ttlMs - 2_000);
    test.member.announce(true);
    await test.time.runFor(ttlMs - 2_000);
    assert.equal(test.holds(agent), true);
  });

  it('has its TTL in full after a pause that no other master has found yet', async () => {
    const test = new TestOffice(ttlMs);
    const agent = test.register('a');
    await test.time.runFor(5_000);
    test.stoodStillMs += ttlMs;
    await test.time.runFor(ttlMs - 2_000);
    assert.equal(test.holds(agent), true);
    await test.time.runFor(4_000);
    assert.equal(test.holds(agent), false);
  });

  it('has its TTL in full after a pause longer than an election timeout, whenever it begins', async () => {
    for (let beginMs = ttlMs - 1_100; beginMs < ttlMs; beginMs += 50) {
      const test = new TestOffice(ttlMs);
      const agent = test.register('a');
      await test.time.runFor(beginMs);
      await test.pause(1_101);
      await test.time.runFor(ttlMs - 1_000);
      assert.equal(test.holds(agent), true, `paused at ${beginMs} ms`);
      await test.time.runFor(2_000);
      assert.equal(test.holds(agent), false);
    }
  });

  it('does not run out right behind a registration that is under way and renews it', async () => {
    const test = new TestOffice(ttlMs);
    const agent = test.register('a');
    await test.time.runFor(ttlMs - 100);
    let decided = () => {};
    const answer = test.office.registering(
      agent.agentId,
      'i',
      () =>
        new Promise<void>((resolve) => {
          decided = resolve;
        }),
    );
    await test.time.runFor(3_000);
    assert.equal(test.holds(agent), true);
    test.register('a', 2);
    decided();
    await answer;
    await test.time.runFor(ttlMs - 1_000);
    assert.equal(test.holds(agent), true);
    await test.time.runFor(2_000);
    assert.equal(test.holds(agent), false);
  });

  it('runs out all the same while another instance asks for it', async () => {
    const test = new TestOffice(ttlMs);
    const agent = test.register('a');
    void test.office.registering(agent.agentId, 'other', () => new Promise<void>(() => {}));
    await test.time.runFor(ttlMs + 1_000);
    assert.equal(test.holds(agent), false);
  });

  it('is not answered for while its expiry is on the way, and refused after it', async () => {
    const test = new TestOffice(ttlMs);
    const agent = test.register('a');
    await test.time.runFor(ttlMs - 1_500);
    test.member.held = [];
    await test.time.runFor(3_000);
    assert.equal(test.member.held.length, 1, 'the expiry is proposed, and not decided');
    const answer = test.keepAlive(agent);
    let answered = false;
    void answer.then(() => {
      answered = true;
    });
    await test.time.runFor(2_000);
    // The barrier is held back, too; it alone passes.
    test.member.held.pop()?.();
    await test.time.runFor(2_000);
    assert.equal(answered, false);
    test.release();
    assert.equal(reasonOf(await test.time.until(answer, 2_000)), 'aborted');
    assert.equal(test.holds(agent), false);
  });

  it('is not answered for when its expiry is proposed while its round waits for that of another', async () => {
    const test = new TestOffice(ttlMs);
    const first = test.register('a');
    await test.time.runFor(3_000);
    const second = test.register('b');
    await test.time.runFor(ttlMs - 3_500);
    test.member.held = [];
    await test.time.runFor(1_500);
    const [expiry] = test.member.held;
    assert.equal(test.member.held.length, 1, 'the first expiry is proposed, and not decided');
    const answers = Promise.all([test.keepAlive(first), test.keepAlive(second)]);
    await test.time.runFor(500);
    test.member.held.pop()?.(); // The barrier.
    await test.time.runFor(2_500);
    assert.equal(test.member.held.length, 2, 'the second expiry, too');
    expiry?.();
    const outcomes = await test.time.until(answers, 1_000);
    assert.deepEqual(outcomes.map(reasonOf), ['aborted', 'unavailable']);
    assert.equal(test.office.counted, 0);
  });

  it('runs out under a later epoch as under the first', async () => {
    const test = new TestOffice(ttlMs);
    const { agentId, epoch } = test.register('a');
    await test.time.runFor(40_000);
    const sameHost = {
      instanceId: parseInstanceId('j'),
      nodeIp: parseNodeIp(test.machine.ipam.agent(agentId)?.nodeIp ?? assert.fail()),
      holders: [{ agentId, epoch, silent: true, lastHeard: undefined }],
    };
    const anew = test.register('a', 1, sameHost);
    assert.ok(anew.epoch > epoch);
    await test.time.runFor(ttlMs - 1);
    assert.equal(test.holds(anew), true);
    await test.time.runFor(1_001);
    assert.equal(test.holds(anew), false);
  });

  it('is nothing that a follower keeps account of, whatever pause it finds', async () => {
    const test = new TestOffice(ttlMs);
    const agent = test.register('a');
    test.cluster.elect(1);
    await test.time.runFor(5_000);
    test.stoodStillMs += 10_000;
    await test.time.runFor(2_000);
    assert.equal(test.office.presence.begun, false);
    await test.time.runFor(2 * ttlMs);
    assert.equal(test.holds(agent), true);
  });

  it('is proposed to end again when the first try was turned away', async () => {
    const test = new TestOffice(ttlMs);
    const agent = test.register('a');
    test.member.trouble = { error: new ProposeError('overloaded', 'full'), lost: false };
    await test.time.runFor(ttlMs + 3_000);
    assert.equal(test.holds(agent), true);
    test.member.trouble = undefined;
    await test.time.runFor(1_000);
    assert.equal(test.holds(agent), false);
    assert.deepEqual(test.reported, []);
  });

  it('ends for many agents within bounds, none forgotten', async () => {
    const test = new TestOffice(ttlMs);
    for (let at = 0; at < 600; at++) test.register(`a${at}`);
    test.member.held = [];
    await test.time.runFor(ttlMs + 1_000);
    assert.equal(test.member.held.length, 256);
    test.release();
    test.member.held = undefined;
    await test.time.runFor(5_000);
    assert.equal(test.machine.ipam.agentCount, 0);
  });
});
