/**
 * Two clusters may have one id: a master that bootstrapped alone, and lost its disk after others had joined, may
 * bootstrap another one while the first goes on. What an agent holds of the one is not for the other to confirm, renew
 * or replace.
 */
import { RefusedError } from '#api/refusal.js';
import { parseClusterIdText } from '#master/server/refusal-mapping.js';
import type { PlanClient } from '#master/services/plan-client.js';
import { incarnationsDiffer } from '#replica/bootstrap/incarnation.js';

/** What the caller's lease, or its picture of the plan, is of; empty where it does not say. */
export type ClaimedIncarnation = {
  readonly clusterId?: string | null | undefined;
  readonly incarnation?: string | null | undefined;
};

/** Which cluster a master is of, and which incarnation of it. */
export type OwnIncarnation = Pick<PlanClient, 'clusterId' | 'incarnation'>;

/**
 * A cluster of another id is another matter: after a restore, agents go over to it.
 * @throws RefusedError `other-incarnation`; `invalid-argument` for a cluster id that is none by its length
 */
export function checkIncarnation(
  action: string,
  { clusterId, incarnation }: ClaimedIncarnation,
  plan: OwnIncarnation,
): void {
  parseClusterIdText(clusterId ?? '');
  if (!incarnation || clusterId !== plan.clusterId || !incarnationsDiffer(incarnation, plan.incarnation)) return;
  const shown = incarnation.slice(0, incarnationLengthMax);
  throw new RefusedError(
    'other-incarnation',
    `${action}: what it holds is of incarnation ${shown} of cluster "${clusterId}", and this master is of incarnation ` +
      `${plan.incarnation}: two clusters have this id. If this master has lost its data, it must join the others again; if ` +
      'those are gone for good, bootstrap this cluster with an id of its own (cluster.id), or stop the agent and remove ' +
      'lease and peers from its state_dir',
  );
}

/** All that a cluster draws. Of what a caller names, no more is shown. */
export const incarnationLengthMax = 16;
