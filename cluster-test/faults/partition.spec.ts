/** Links between masters that are cut, while registrations storm in: a leader alone, one way only, one link of three. */
import assert from 'node:assert/strict';
import {
  FaultCluster,
  type FaultMaster,
  faultTools,
  leaderBoundMs,
  specBoundMs,
} from '#cluster-test/faults/fault-cluster.js';
import { cut, cutOneWay, heal } from '#cluster-test/faults/links.js';
import { faultSeed } from '#cluster-test/faults/seed.js';
import { verdict } from '#cluster-test/faults/verdict.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { showOnFailure } from '#cluster-test/process/fixture.js';
import { requires } from '#cluster-test/requirement.js';

/** Answers to the storm while a fault lasts. */
const answersDuring = 100;
/** Ten election timeouts, in each of which a follower without a leader asks for votes. */
const linkCutMs = 10_000;
/** One link cut is no reason to elect; a machine that stalls may be one, now and then. */
const termsDuringCutMax = 3;

describe('masters whose links are cut', function () {
  this.timeout(specBoundMs);
  let cluster: FaultCluster | undefined;

  before(async function () {
    requires(this, ...faultTools);
    cluster = await FaultCluster.start({ seed: faultSeed('partition') });
  });
  beforeEach(() => running().resume());
  afterEach(function () {
    showOnFailure(this, cluster?.scene.masters);
    for (const master of cluster?.masters ?? []) heal(master);
  });
  after(() => cluster?.remove());

  function running(): FaultCluster {
    assert.ok(cluster !== undefined);
    return cluster;
  }

  /** The others elect one of them, it serves, and the old leader leads no more. */
  async function assertReplaced(old: FaultMaster): Promise<void> {
    await running().leader(running().others(old));
    await running().flow(answersDuring);
    await until(`${old.name} no longer leads`, leaderBoundMs, async () => holds(!(await running().state(old)).leads));
  }

  /** The cut is real: what was acknowledged meanwhile has not come to this follower. */
  async function assertBehind(follower: FaultMaster): Promise<void> {
    const { revision } = await running().newestAgent();
    const { appliedIndex } = await running().state(follower);
    assert.ok(appliedIndex < revision, `${follower.name} has revision ${revision}, though it was cut off`);
  }

  it('replace a leader that is cut off from both others, and take it back', async () => {
    const old = await running().leader();
    await running().flow(answersDuring);
    for (const other of running().others(old)) cut(old, other);
    await assertReplaced(old);
    heal(old);
    for (const other of running().others(old)) heal(other);
    await verdict(running(), 'leader isolated', 1);
  });

  it('replace a leader that is heard no more, though it hears', async () => {
    const old = await running().leader();
    for (const other of running().others(old)) cutOneWay(old, other);
    await assertReplaced(old);
    for (const other of running().others(old)) heal(other);
    await verdict(running(), 'one-way cut, leader mute', 1);
  });

  it('replace a leader that hears no more, though it is heard', async () => {
    const old = await running().leader();
    for (const other of running().others(old)) cutOneWay(other, old);
    await assertReplaced(old);
    heal(old);
    await verdict(running(), 'one-way cut, leader deaf', 1);
  });

  it('elect at most a few times when one link of three is cut, and serve on', async () => {
    const leader = await running().leader();
    const [follower] = running().others(leader);
    assert.ok(follower !== undefined);
    const before = await running().term();
    cut(leader, follower);
    const end = performance.now() + linkCutMs;
    do await running().flow(answersDuring);
    while (performance.now() < end);
    const risen = (await running().term()) - before;
    assert.ok(risen <= termsDuringCutMax, `the term rose by ${risen}`);
    if (risen === 0) await assertBehind(follower);
    heal(leader);
    heal(follower);
    await verdict(running(), `A-B cut (the term rose by ${risen})`, 1);
  });
});
