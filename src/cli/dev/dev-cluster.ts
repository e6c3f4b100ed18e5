/**
 * A whole cluster on this machine, as processes of their own: started together, watched until it leases subnets, kept
 * running, stopped in order.
 */

import { existsSync } from 'node:fs';
import { isServiceError, MasterClient, NoMasterError } from '#api/master-client.js';
import { clusterService, operatorService } from '#api/services.js';
import { devCredentials } from '#cli/dev/dev-certificates.js';
import { DevChild, type DevDeath } from '#cli/dev/dev-child.js';
import { type DevOptions, type DevProcess, devPlan } from '#cli/dev/dev-plan.js';
import { keepDevOptions } from '#cli/dev/dev-record.js';
import { needPorts } from '#cli/dev/free-ports.js';
import { errorText } from '#errors/unknown-error.js';
import type { sublet } from '#proto/sublet.js';

type Agent = sublet.v1.Agent.$Properties;

const pollMs = 200;
const callTimeoutMs = 2_000;
/** The next agent waits no longer for the one before it. */
const turnBoundMs = 15_000;

export type DevCluster = {
  readonly children: readonly DevChild[];
  /**
   * Every agent of the plan and its lease, once each of them is live and has all that it is going to get.
   * @returns what is missing when that was not so within `boundMs`
   */
  ready(boundMs: number): Promise<DevState>;
  leader(): Promise<string>;
  stop(): Promise<void>;
};

export type DevWatcher = {
  /** Hears of each process that ends unasked. */
  readonly died: (process: DevProcess, death: DevDeath) => void;
  /** And of each start after such an end. */
  readonly again: (process: DevProcess, pid: number) => void;
};

export type DevState =
  | { readonly kind: 'ready'; readonly agents: readonly Agent[]; readonly leader: string }
  | { readonly kind: 'waiting'; readonly missing: string };

/** Starts all processes, with certificates that are made where there are none. `nowMs`: since 1970. */
export async function startDevCluster(
  options: DevOptions,
  nowMs: number,
  { died, again }: DevWatcher,
): Promise<DevCluster> {
  const plan = devPlan(options);
  await needPorts(plan.flatMap(({ ports }) => ports));
  keepDevOptions(options);
  const credentials = await devCredentials(options, plan, nowMs);
  const children = plan.map(
    (process) =>
      new DevChild(
        process,
        (death) => died(process, death),
        (pid) => again(process, pid),
      ),
  );
  const isNew = ({ process: { kind, dataDir } }: DevChild): boolean => kind === 'agent' && !existsSync(dataDir);
  const inOrder = children.filter(isNew);
  for (const child of children.filter((one) => !inOrder.includes(one))) child.start();
  const masters = plan.flatMap(({ api }) => (api === undefined ? [] : [api]));
  const wanted = plan.flatMap(({ kind, name }) => (kind === 'agent' ? [name] : []));
  const client = new MasterClient({ masters, timeoutMs: callTimeoutMs, ...credentials });
  const state = (): Promise<DevState> => stateOf(client, wanted).catch(notYet);
  let stopping = false;
  const started = startInOrder(inOrder, client, () => stopping);
  return {
    children,
    async ready(boundMs) {
      const bound = performance.now() + boundMs;
      for (;;) {
        const now = await state();
        if (now.kind === 'ready' || performance.now() > bound) return now;
        await new Promise((resolve) => setTimeout(resolve, pollMs));
      }
    },
    async leader() {
      return (await client.call(clusterService.getStatus, {}, { idempotent: true })).leader;
    },
    async stop() {
      stopping = true;
      await started;
      client.close();
      // Agents first: they have nothing to say to masters that are going.
      for (const kind of ['agent', 'master'] as const) {
        await Promise.all(children.filter(({ process }) => process.kind === kind).map((child) => child.stop()));
      }
    },
  };
}

/** One new agent after the other, so that agent-1 gets the first subnet: the table is easier to read that way. */
async function startInOrder(agents: readonly DevChild[], client: MasterClient, stopping: () => boolean): Promise<void> {
  for (const child of agents) {
    if (stopping()) return;
    child.start();
    const bound = performance.now() + turnBoundMs;
    while (!stopping() && performance.now() < bound && !(await holdsSomething(client, child.process.name))) {
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
  }
}

async function holdsSomething(client: MasterClient, agentId: string): Promise<boolean> {
  try {
    await client.call(operatorService.getAgent, { agentId, stale: true }, { idempotent: true });
    return true;
  } catch (error) {
    // There is no such agent yet, or no master that could tell: in both cases its turn goes on.
    if (isServiceError(error) || error instanceof NoMasterError) return false;
    throw error;
  }
}

async function stateOf(client: MasterClient, wanted: readonly string[]): Promise<DevState> {
  const { leader } = await client.call(clusterService.getStatus, {}, { idempotent: true });
  if (leader === '') return { kind: 'waiting', missing: 'the masters have no leader yet' };
  const { agents } = await client.call(operatorService.listAgents, { pageSize: 1_000 }, { idempotent: true });
  const live = (name: string): boolean =>
    agents.some(({ agentId, presence }) => agentId === name && presence?.state === 1);
  const missing = wanted.filter((name) => !live(name));
  if (missing.length > 0) return { kind: 'waiting', missing: `not registered yet: ${missing.join(', ')}` };
  const silent = agents.find(({ overlays }) => overlays?.some(({ state }) => !state?.status));
  if (silent !== undefined) return { kind: 'waiting', missing: `${silent.agentId} has not said how its overlays are` };
  return { kind: 'ready', leader, agents };
}

/** While the cluster starts, no answer is no failure: it is asked again. */
function notYet(error: unknown): DevState {
  return { kind: 'waiting', missing: errorText(error) };
}
