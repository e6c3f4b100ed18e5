/**
 * What must hold after every fault, judged from the log that the clients kept and from what each master has: nothing in
 * two hands, every acknowledged registration on every replica, the same answer to each repeated request, one order of
 * revisions everywhere.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { type FaultCluster, settleBoundMs, type Totals } from '#cluster-test/faults/fault-cluster.js';
import { type Acknowledgement, holdingOf, sameHolding } from '#cluster-test/faults/holding.js';
import { holds, until } from '#cluster-test/process/condition.js';
import type { ReplicaView } from '#cluster-test/process/replica-view.js';

/** Answers that must come again before the verdict. */
const answersAfter = 40;

/** Runs the storm, stops it, judges, and prints one line. The storm stays stopped. */
export async function verdict(cluster: FaultCluster, fault: string, faults: number): Promise<Totals> {
  await cluster.flow(answersAfter);
  await cluster.pause();
  const log = acknowledgements(cluster.logFiles);
  const views = await convergedViews(cluster, Math.max(...log.map(({ revision }) => revision)));
  judge(views, log);
  const totals = await cluster.totals('ask-all-again');
  assert.deepEqual(totals.wrong, [], 'what the clients saw');
  assert.equal(totals.acknowledged, log.length, 'the log of the clients is whole');
  const fresh = log.length - cluster.judged;
  cluster.judged = log.length;
  console.log(
    `${fault}: ${fresh} registrations acknowledged, ${faults} faults survived, none lost ` +
      `(so far ${log.length} held by all, ${totals.repeated} repeats the same, ${totals.reads} reads not stale)`,
  );
  return totals;
}

/** Fails unless every replica has all that was acknowledged, alike, and nothing is in two hands. */
export function judge(views: readonly ReplicaView[], log: readonly Acknowledgement[]): void {
  const [first] = views;
  assert.ok(first !== undefined);
  const lost = views.flatMap((view) => missingIn(view, log));
  assert.deepEqual(lost, [], 'acknowledged registrations that a replica lacks or has otherwise');
  assertNothingInTwoHands(first);
  assertOrdered(first);
  for (const view of views) assert.deepEqual(view.json, first.json, 'replicas differ');
}

/** What the clients wrote down, in these files. */
export function acknowledgements(files: readonly string[]): Acknowledgement[] {
  return files
    .filter((file) => existsSync(file))
    .flatMap((file) => readFileSync(file, 'utf8').split('\n').filter(Boolean))
    .map((line) => JSON.parse(line));
}

/** Every master's view, once all have applied the same revision, at least this one. */
async function convergedViews(cluster: FaultCluster, revision: number): Promise<ReplicaView[]> {
  await until(`all masters at one revision, at least ${revision}`, settleBoundMs, async () => {
    const states = await cluster.states();
    const applied = new Set(states.map(({ state }) => state.appliedIndex));
    const [only = 0] = applied;
    return holds(states.length === cluster.masters.length && applied.size === 1 && only >= revision);
  });
  return Promise.all(cluster.masters.map((master) => cluster.view(master)));
}

function missingIn(view: ReplicaView, log: readonly Acknowledgement[]): string[] {
  const held = new Map(view.agents.map((agent) => [agent.agentId ?? '', holdingOf(agent)]));
  return log
    .filter(({ agentId, holding }) => !sameHolding(held.get(agentId) ?? holdingOf(undefined), holding))
    .map(({ agentId, holding }) => `${agentId}: ${JSON.stringify(holding)}, has ${JSON.stringify(held.get(agentId))}`);
}

function assertNothingInTwoHands({ agents }: ReplicaView): void {
  const holders = new Map<string, string>();
  for (const agent of agents) {
    const { subnets, vtepIp, vtepMac, nodeIp } = holdingOf(agent);
    for (const thing of [...subnets, `VTEP ${vtepIp}`, `MAC ${vtepMac}`, `node ${nodeIp}`]) {
      assert.equal(holders.get(thing), undefined, `${thing} in two hands, one of them ${agent.agentId}'s`);
      holders.set(thing, agent.agentId ?? '');
    }
  }
}

function assertOrdered({ history }: ReplicaView): void {
  const revisions = history.map(({ revision }) => revision ?? 0);
  assert.ok(revisions.length > 0);
  assert.deepEqual(
    revisions,
    revisions.toSorted((a, b) => a - b),
    'revisions out of order',
  );
}
