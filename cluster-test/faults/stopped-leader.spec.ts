/** The leader is stopped for 5 s, as a paused virtual machine is, and wakes to find that another leads. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import {
  FaultCluster,
  type FaultMaster,
  faultTools,
  settleBoundMs,
  specBoundMs,
} from '#cluster-test/faults/fault-cluster.js';
import { faultSeed } from '#cluster-test/faults/seed.js';
import { verdict } from '#cluster-test/faults/verdict.js';
import { Child } from '#cluster-test/process/child.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { showOnFailure } from '#cluster-test/process/fixture.js';
import { requires } from '#cluster-test/requirement.js';

const stoppedMs = 5_000;
const answersDuring = 50;
const readsMax = 200;
/** Storm clients send no keep-alives: their agents must outlive the spec, on a machine that does much else, too. */
const reclaim = '600s';
/** Of the history: all that may be decided in this spec. */
const expected: ReadonlySet<string> = new Set(['configure-network', 'register', 'report-status']);
const agentIds = ['kept-1', 'kept-2', 'kept-3'];

type KeptAgent = { readonly id: string; readonly http: string; readonly child: Child };

describe('a leader that is stopped for 5 s', function () {
  this.timeout(specBoundMs);
  let cluster: FaultCluster | undefined;
  const agents: KeptAgent[] = [];

  before(async function () {
    requires(this, ...faultTools);
    cluster = await FaultCluster.start({ seed: faultSeed('stopped leader'), flags: ['--reclaim', reclaim] });
    await startAgents(cluster);
  });
  afterEach(function () {
    showOnFailure(this, cluster?.scene.masters, agents);
  });
  after(async () => {
    await Promise.all(agents.map(({ child }) => child.kill()));
    await cluster?.remove();
  });

  /** Agents that renew their leases, on a host of their own. */
  async function startAgents({ scene, masters }: FaultCluster): Promise<void> {
    const netns = scene.host('agents', '10.88.0.50');
    for (const [at, id] of agentIds.entries()) {
      const http = `127.0.0.1:${7073 + at}`;
      const args = [
        ...[
          'agent',
          '--id',
          id,
          '--node-ip',
          `10.88.0.${50 + at}`,
          '--master',
          masters.map(({ api }) => api).join(','),
        ],
        ...['--state-dir', join(scene.folder, id), '--http-listen', http, '--network', 'plan', '--insecure'],
      ];
      agents.push({ id, http, child: new Child(args, { prefix: netns.enter }) });
    }
    for (const { id, http } of agents) {
      await until(`agent ${id} ready`, settleBoundMs, async () =>
        holds((await netns.run(['curl', '-sf', `http://${http}/readyz`])).code === 0),
      );
    }
  }

  /** What is wrong with the answer of `old` to a read of what the others had acknowledged before it was sent. */
  async function staleness(of: FaultCluster, old: FaultMaster): Promise<string | undefined> {
    const { agentId, revision } = await of.newestAgent();
    try {
      const answer = await of.read(old, agentId);
      return answer.revision >= revision ? undefined : `${agentId} at ${answer.revision}, acknowledged at ${revision}`;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      // That it can't say yet is an answer, too; that there is no such agent is a stale one.
      return /NOT_FOUND|no agent/i.test(reason) ? `${agentId}: ${reason}` : undefined;
    }
  }

  it('answers no stale read when it wakes, and no lease expires', async () => {
    assert.ok(cluster !== undefined);
    const running = cluster;
    const old = await running.leader();
    await running.flow(answersDuring);
    const { agentId } = await running.newestAgent();
    await running.read(old, agentId); // The connection is there before it stops.
    old.host.child.signal('SIGSTOP');
    const begin = performance.now();
    await running.leader(running.others(old));
    await running.flow(answersDuring);
    const reads: Promise<string | undefined>[] = [];
    do {
      await running.flow(1);
      if (reads.length < readsMax) reads.push(staleness(running, old));
    } while (performance.now() - begin < stoppedMs);
    old.host.child.signal('SIGCONT');
    const stale = (await Promise.all(reads)).filter((problem) => problem !== undefined);
    assert.deepEqual(stale, [], `of ${reads.length} reads`);
    assert.ok(reads.length > 0);
    await verdict(running, `leader stopped for 5 s (${reads.length} reads sent to it meanwhile)`, 1);
    const { history, agents: held } = await running.view(old);
    const other = history.filter(({ what }) => !expected.has(what ?? ''));
    assert.deepEqual(other, [], 'nothing expired, nothing was released');
    const heldIds = new Set(held.map(({ agentId }) => agentId));
    for (const id of agentIds) assert.ok(heldIds.has(id), id);
  });
});
