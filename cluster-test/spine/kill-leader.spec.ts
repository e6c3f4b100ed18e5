/** 1,000 agents register at once, and the leader is killed in the middle of it. */
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { metric } from '#cluster-test/bench/metrics.js';
import { benchConfig } from '#cluster-test/bench/plan.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { showOnFailure } from '#cluster-test/process/fixture.js';
import { type MasterProcess, Masters } from '#cluster-test/process/masters.js';
import { PersistentRegistrar } from '#cluster-test/process/persistent-registrar.js';
import { type ReplicaView, replicaView } from '#cluster-test/process/replica-view.js';
import type { sublet } from '#proto/sublet.js';

const agents = 1_000;
/** The leader is killed once so many are acknowledged. */
const killAfter = 300;
/** Leaders that a master learned of. */
const changesMetric = 'sublet_raft_leader_changes_total';
/** How long the leader is left alone. */
const alonePatienceMs = 700;

type Let = {
  readonly subnets: readonly string[];
  readonly vtepIp: string;
  readonly vtepMac: string;
  readonly epoch: number;
};

function letTo(agent: sublet.v1.Agent.$Properties | null | undefined): Let {
  return {
    subnets: (agent?.overlays ?? []).map(({ subnet }) => subnet ?? ''),
    vtepIp: agent?.vxlan?.vtepIp ?? '',
    vtepMac: agent?.vxlan?.vtepMac ?? '',
    epoch: agent?.lease?.epoch ?? 0,
  };
}

function assertNothingInTwoHands({ agents }: ReplicaView): void {
  const all = agents.map(letTo);
  for (const [what, values] of [
    ['subnet', all.flatMap(({ subnets }) => subnets)],
    ['VTEP address', all.map(({ vtepIp }) => vtepIp)],
    ['MAC', all.map(({ vtepMac }) => vtepMac)],
    ['node address', agents.map(({ nodeIp }) => nodeIp ?? '')],
  ] as const) {
    const twice = values.filter((value, at) => values.indexOf(value) !== at);
    assert.deepEqual(twice, [], `${what} in two hands`);
  }
}

/** Each new leader marks its branch, which moves the revision of the plan and changes nothing else. */
function withoutRevision(parts: ReplicaView['json'] | undefined): readonly unknown[] {
  assert.ok(Array.isArray(parts));
  return parts.map((part: object) => ('revision' in part ? { ...part, revision: '' } : part));
}

describe('the leader killed while 1,000 agents register', function () {
  this.timeout(240_000);
  let masters: Masters;
  let registrar: PersistentRegistrar;
  let leader: MasterProcess;
  /** Of the leader, before it is killed. */
  let term = 0;
  /** By survivor, before the kill. */
  const changes = new Map<string, number>();
  const acknowledged = new Map<
    string,
    { readonly granted: Let; readonly revision: number; readonly before: boolean }
  >();

  before(async () => {
    masters = await Masters.start({ count: 3, config: benchConfig() });
    registrar = new PersistentRegistrar(masters.addresses);
    leader = await masters.leader();
  });
  after(async () => {
    registrar?.[Symbol.dispose]();
    await masters?.[Symbol.asyncDispose]();
  });
  afterEach(function () {
    showOnFailure(this, masters?.masters);
  });

  /** Waits until each of these masters has applied what was acknowledged, and reads it there. */
  async function views(from: readonly MasterProcess[]): Promise<ReplicaView[]> {
    const revision = Math.max(...[...acknowledged.values()].map((one) => one.revision));
    return Promise.all(
      from.map(async (master) => {
        await until(`${master.name} at revision ${revision}`, 60_000, async () =>
          holds((await masters.status(master)).appliedIndex >= revision),
        );
        return replicaView(master.api);
      }),
    );
  }

  function assertHoldsAll(view: ReplicaView): void {
    const held = new Map(view.agents.map((agent) => [agent.agentId, letTo(agent)]));
    for (const [agentId, { granted }] of acknowledged) assert.deepEqual(held.get(agentId), granted, agentId);
    assertNothingInTwoHands(view);
  }

  const survivors = (): MasterProcess[] => masters.masters.filter((master) => master !== leader);

  /** Waits until each survivor knows the leader, and notes its term and the counts of changes. */
  async function noteLeader(): Promise<void> {
    for (const master of survivors()) {
      await until(`${master.name} knows the leader`, 30_000, async () =>
        holds((await masters.status(master)).leader === leader.name),
      );
      changes.set(master.name, await metric(master.http, changesMetric));
    }
    ({ term } = await masters.status(leader));
  }

  it('acknowledges nothing that a majority does not have', async () => {
    using alone = new PersistentRegistrar([leader.api]);
    const stopped = survivors();
    for (const { child } of stopped) child.signal('SIGSTOP');
    const asked = alone.register(agents + 2).then(() => 'acknowledged' as const);
    // However slow the machine is, a right answer can't come; a wrong one would within milliseconds.
    const first = await Promise.race([asked, delay(alonePatienceMs, 'nothing' as const)]);
    for (const { child } of stopped) child.signal('SIGCONT');
    assert.equal(first, 'nothing');
    assert.equal(await asked, 'acknowledged');
    leader = await masters.leader();
  });

  it('acknowledges all in the end, on both sides of the kill', async () => {
    await noteLeader();
    let killed: Promise<unknown> | undefined;
    await Promise.all(
      Array.from({ length: agents }, async (_, number) => {
        const before = killed === undefined;
        const { agent, revision } = await registrar.register(number);
        acknowledged.set(agent?.agentId ?? '', {
          granted: letTo(agent),
          revision,
          before: killed === undefined && before,
        });
        if (acknowledged.size === killAfter) killed = leader.child.kill();
      }),
    );
    await killed;
    assert.equal(acknowledged.size, agents);
    const before = [...acknowledged.values()].filter((one) => one.before).length;
    assert.ok(before >= killAfter - 1 && before < agents, `${before} of ${agents} before the kill`);
  });

  it('is followed by another one, which each survivor logs with the reason and counts', async () => {
    for (const { name, child, http } of survivors()) {
      const lines = await until(`${name} logs that another one leads`, 60_000, () => {
        const all = [...child.output.matchAll(/(m\d) leads, term (\d+) \(([^)]*)\)/g)];
        const others = all.filter(([, who, inTerm]) => who !== leader.name && Number(inTerm) > term);
        return others.length > 0 ? others : undefined;
      });
      assert.match(
        lines[0]?.[3] ?? '',
        new RegExp(`^${leader.name} was (not heard for |heard \\w+ ago: it handed over, or lost its quorum)`),
      );
      // Each is counted before it is logged; one more may come between.
      const grown = (await metric(http, changesMetric)) - (changes.get(name) ?? assert.fail());
      assert.ok(grown >= lines.length, `${name}: ${changesMetric} grew by ${grown}, and ${lines.length} are logged`);
    }
  });

  it('has every acknowledged registration on each survivor, and nothing in two hands', async () => {
    const [one, other] = await views(survivors());
    assert.ok(one !== undefined && other !== undefined);
    assertHoldsAll(one);
    assertHoldsAll(other);
    assert.equal(one.agents.length, agents + 1);
    assert.deepEqual(one.json, other.json);
  });

  it('gives the same answer when an agent asks again, by a retry or anew', async () => {
    for (const sequence of [1, 2]) {
      const answers = await Promise.all(
        Array.from({ length: agents }, (_, number) => registrar.register(number, sequence)),
      );
      for (const { agent } of answers) {
        assert.deepEqual(letTo(agent), acknowledged.get(agent?.agentId ?? '')?.granted, agent?.agentId ?? '');
      }
    }
  });

  it('serves registrations again', async () => {
    const { agent, revision } = await registrar.register(agents);
    acknowledged.set(agent?.agentId ?? '', { granted: letTo(agent), revision, before: false });
  });

  it('brings the killed master back, and it catches up', async () => {
    masters.restart(leader);
    await masters.ready([leader]);
    const [back, other] = await views([leader, ...survivors()]);
    assert.ok(back !== undefined && other !== undefined);
    assertHoldsAll(back);
    assert.deepEqual(back.json, other.json);
  });

  it('has the same state and the same order of revisions after all were killed at once', async () => {
    const before = await views(masters.masters);
    await Promise.all(masters.masters.map(({ child }) => child.kill()));
    for (const master of masters.masters) masters.restart(master);
    await masters.ready();
    const after = await views(masters.masters);
    for (const view of after) {
      assertHoldsAll(view);
      assert.deepEqual(withoutRevision(view.json), withoutRevision(before[0]?.json));
      const revisions = view.history.map(({ revision }) => revision ?? 0);
      assert.ok(revisions.length >= agents);
      assert.deepEqual(
        revisions,
        revisions.toSorted((a, b) => a - b),
      );
      assert.deepEqual(
        revisions,
        before[0]?.history.map(({ revision }) => revision),
      );
    }
    const { agent } = await registrar.register(agents + 1);
    const granted = letTo(agent);
    assert.ok(!before[0]?.agents.some((other) => letTo(other).vtepIp === granted.vtepIp));
  });
});
